package shell

import (
	"context"
	"fmt"
	"sync"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
)

// follower is one consumer of a watch or an observer over one of the clients.
type follower struct {
	*recorder.Follower
	c *client
}

// followers are those of a run: the first of each space makes the audit, the
// others are held against it.
func (w *cell) followers() []*follower {
	clients := append(w.clients, w.admin)
	all := func(name string, space check.Space, at int) *follower {
		c := clients[at]
		return &follower{Follower: recorder.NewFollower(name+" at "+c.name, space), c: c}
	}
	const admin = 5 // which no fault is aimed at: it learns of everything soon
	list := []*follower{
		all("audit of keys", check.OfKeys, admin), all("audit of locks", check.OfLocks, admin), all("audit of elections", check.OfElections, admin),
		all("keys", check.OfKeys, 1), all("locks", check.OfLocks, 3), all("elections", check.OfElections, 1),
		all("observer", check.OfElections, 0), all("observer", check.OfElections, 3), all("some keys", check.OfKeys, 2),
	}
	for i, f := range list {
		f.Audits, f.Observes = i < 3, f.Name[:3] == "obs"
		if i == 4 || i == 5 {
			f.Breaks = func() int { return 1 + f.c.chance(60) }
			f.Rest = func(ctx context.Context) {
				f.c.history.count("watches resumed by their consumer")
				pause(ctx, f.c.millis(0, 500))
			}
		}
	}
	list[3].Prev = true
	list[8].Key, list[8].End = "k/1", "k/3"
	return list
}

// follow goes on until the context ends.
func (f *follower) follow(ctx context.Context) {
	if err := f.Follow(ctx, f.c.sdk, now); err != nil && ctx.Err() == nil {
		f.c.history.violation("watch %s ended: %v", f.Name, err)
	}
}

// following runs followers. Their end is stop, and wait.
type following struct {
	list []*follower
	stop context.CancelFunc
	wg   sync.WaitGroup
}

func follow(list []*follower) *following {
	ctx, stop := context.WithCancel(context.Background())
	x := &following{list: list, stop: stop}
	for _, f := range list {
		x.wg.Go(func() { f.follow(ctx) })
	}
	return x
}

// arrived says who has not been told of everything yet.
func (x *following) arrived(upto, elections uint64) error {
	for _, f := range x.list {
		f.Expect(upto, elections)
		if r := f.Reached(); r < f.Upto {
			return fmt.Errorf("%s has been told of everything up to revision %d and not %d", f.Name, r, f.Upto)
		}
	}
	return nil
}

// tell completes the history when they have ended.
func (x *following) tell(h *check.History, upto uint64) error {
	var list []*recorder.Follower
	for _, f := range x.list {
		list = append(list, f.Follower)
	}
	return recorder.Tell(h, list, upto)
}
