package recorder

import (
	"context"
	"errors"
	"fmt"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/sdk"
)

// Follow consumes a watch until the context ends or it fails otherwise, and
// hands each delivery to take, which may end it by saying false. A watch that is
// told that history is gone goes on from what is left. It returns the revision
// to go on from.
func Follow(ctx context.Context, client *sdk.Client, now func() check.Time, w *check.Watch, from uint64, take func(check.Delivery) bool) (uint64, error) {
	space := map[check.Space]sdk.Space{check.OfKeys: sdk.Keys, check.OfLocks: sdk.Locks, check.OfElections: sdk.Elections}[w.Space]
	for {
		opts := []sdk.WatchOption{sdk.WatchSpace(space), sdk.FromRevision(from), sdk.WithProgress()}
		if w.Prev {
			opts = append(opts, sdk.WithPrev())
		}
		var last error
		for batch, err := range client.Watch(ctx, sdk.KeyRange{Key: w.Key, End: w.End}, opts...) {
			if err != nil {
				last = err
				var refused *sdk.Error
				if errors.Is(err, sdk.ErrLagging) && errors.As(err, &refused) {
					if !take(check.Delivery{At: now(), Resumed: refused.Revision}) {
						return from, nil
					}
					last = nil
				}
				continue
			}
			d := check.Delivery{At: now(), Revision: batch.Revision}
			for _, e := range batch.Events {
				c, err := ChangeOf(w.Space, e)
				if err != nil {
					return from, err
				}
				d.Changes = append(d.Changes, c)
			}
			from = max(from, batch.Revision+1)
			if !take(d) {
				return from, nil
			}
		}
		var refused *sdk.Error
		if !errors.Is(last, sdk.ErrCompacted) || !errors.As(last, &refused) || refused.Revision < from {
			return from, last
		}
		from = refused.Revision
		if !take(check.Delivery{At: now(), Resumed: from, Compacted: true}) {
			return from, nil
		}
	}
}

// Observe consumes an observer of all elections, and hands on what it is told as
// deliveries of a watch of them. One that is told that history is gone goes on
// from what is left.
func Observe(ctx context.Context, client *sdk.Client, now func() check.Time, from uint64, take func(check.Delivery) bool) error {
	for {
		var last error
		for change, err := range client.ObservePrefix(ctx, "", sdk.FromRevision(from)) {
			if err != nil {
				last = err
				break
			}
			e := &check.Election{Term: change.Term, Token: uint64(change.Token), Last: tenureOf(change.Last)}
			if l := change.Leader; l != nil {
				e.Leader = &check.Leader{Session: uint64(l.Session), Token: uint64(l.Token), Value: string(l.Value), Since: l.SinceRevision}
			}
			d := check.Delivery{At: now(), Changes: []check.Change{
				{Revision: change.Revision, Space: check.OfElections, Record: check.Record{Key: change.Election}, Election: e},
			}}
			from = max(from, change.Revision+1)
			if !take(d) {
				return nil
			}
		}
		var refused *sdk.Error
		if !errors.Is(last, sdk.ErrCompacted) || !errors.As(last, &refused) || refused.Revision < from {
			return last
		}
		from = refused.Revision
		if !take(check.Delivery{At: now(), Resumed: from, Compacted: true}) {
			return nil
		}
	}
}

func tenureOf(p *sdk.Predecessor) *check.Tenure {
	if p == nil {
		return nil
	}
	return &check.Tenure{Session: uint64(p.Session), Token: uint64(p.Token), Ended: string(p.Ended), Value: string(p.Value)}
}

// ChangeOf is a change as a watch tells it.
func ChangeOf(space check.Space, e sdk.Event) (check.Change, error) {
	c := check.Change{Revision: e.KV.ModRevision, Space: space, Deleted: e.Deleted, Record: recordOf(e.KV)}
	if e.Prev != nil {
		prev := recordOf(*e.Prev)
		c.Prev = &prev
	}
	if space == check.OfKeys {
		return c, nil
	}
	c.Record.Value = ""
	if e.Deleted {
		return c, nil
	}
	switch space {
	case check.OfLocks:
		var l api.LockInfo // the SDK's LockInfo leaves out which tenures ended
		if err := l.UnmarshalVT(e.KV.Value); err != nil {
			return c, fmt.Errorf("the record of lock %q: %w", e.KV.Key, err)
		}
		c.Lock = lockOf(&l)
	case check.OfElections:
		info, err := sdk.ElectionOf(e.KV)
		if err != nil {
			return c, err
		}
		c.Election = &check.Election{Term: info.Term, Token: uint64(info.Token), Last: tenureOf(info.Last)}
		if l := info.Leader; l != nil {
			c.Election.Leader = &check.Leader{Session: uint64(l.Session), Token: uint64(l.Token), Value: string(l.Value), Since: l.SinceRevision}
		}
	}
	return c, nil
}

func lockOf(l *api.LockInfo) *check.Lock {
	out := &check.Lock{Mode: check.Exclusive, Capacity: int(l.GetCapacity())}
	switch l.GetMode() {
	case api.Mode_SHARED:
		out.Mode = check.Shared
	case api.Mode_PERMITS:
		out.Mode = check.Permits
	}
	for _, h := range l.GetHolders() {
		x := check.Holder{Session: h.GetSession(), Token: h.GetToken()}
		if out.Mode == check.Permits {
			x.Permits = int(h.GetPermits())
		}
		out.Holders = append(out.Holders, x)
	}
	for _, t := range l.GetEnded() {
		out.Ended = append(out.Ended, check.Tenure{Session: t.GetSession(), Token: t.GetToken(), Ended: ended[t.GetEnded()]})
	}
	return out
}

// ended are the words that the SDK uses.
var ended = map[api.EndReason]string{
	api.EndReason_END_RELEASED: string(sdk.ReasonReleased), api.EndReason_END_EXPIRED: string(sdk.ReasonExpired),
	api.EndReason_END_CLOSED: string(sdk.ReasonClosed), api.EndReason_END_ENDED: string(sdk.ReasonEnded),
	api.EndReason_END_BROKEN: string(sdk.ReasonBroken), api.EndReason_END_TRANSFERRED: string(sdk.ReasonTransferred),
}
