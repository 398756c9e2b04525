package shell

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// electionTime is after which a node that hears nothing asks for an election, as
// the nodes of a cell have it.
const electionTime = 600 * time.Millisecond

// mortals is how many clients die all the time while they hold a lock or lead, or
// wait for it: a new one comes for each.
const mortals = 3

// liveAndDie has one client after the other take what the others wait for and
// end in the middle of it, as a process that is killed or a machine that loses
// its power does. So it is seen how soon the next one is granted it.
func (w *cell) liveAndDie(ctx context.Context, number int) {
	rng := rand.New(rand.NewPCG(w.Seed, uint64(100+number)))
	for life := 0; ctx.Err() == nil; life++ {
		w.live(ctx, fmt.Sprintf("m%d.%d", number+1, life), rng)
		pause(ctx, time.Duration(rng.IntN(200))*time.Millisecond)
	}
}

// live is the life of one of them.
func (w *cell) live(ctx context.Context, name string, rng *rand.Rand) {
	// Its host can be reached whatever is cut: what befalls others is enough.
	c := &client{
		name: name, host: w.net.boot(name), nodes: w.clients[0].nodes, log: &journal{}, history: w.history,
		calls: &recorder.Client{Name: name, Sink: w.history, Now: now}, rate: 1 - maxDrift + 2*maxDrift*rng.Float64(),
		rng: rand.New(rand.NewPCG(rng.Uint64(), 1)),
	}
	power, ttl := c.chance(2) == 0, []time.Duration{700 * time.Millisecond, 1500 * time.Millisecond}[c.chance(2)]
	dying, cancel := context.WithTimeout(ctx, c.millis(1, 4000)) // also while it waits, or dials
	defer cancel()
	if !c.connect(dying) {
		w.net.end(c.host, power)
		return
	}
	s, err := c.sdk.NewSession(dying, sdk.WithTTL(ttl))
	if err == nil {
		c.possess(dying, s)
	}
	if s != nil {
		c.history.Session(check.Session{ID: uint64(s.ID()), Client: name, TTL: ttl, Safe: c.moment(s.Deadline()), Died: now()})
	}
	w.net.end(c.host, power)
	c.history.count("clients that died")
	// What is left of it in this process reaches nobody any more.
	if err := c.sdk.Close(); err != nil {
		c.history.violation("closing the client %s: %v", name, err)
	}
}

// possess takes the lock, or the lead, for a while.
func (c *client) possess(ctx context.Context, s *sdk.Session) {
	var id int
	var h held
	if c.chance(3) == 0 {
		l, err := c.calls.Campaign(ctx, s, "throne", c.value())
		if err != nil {
			return
		}
		id, h = l.ID(), l
	} else {
		g, err := c.calls.Lock(ctx, s, false, []check.Item{{Name: "estate"}})
		if err != nil {
			return
		}
		id, h = g.ID(), g
	}
	c.calls.Believed(id, c.keep(ctx, h, c.millis(0, 300)))
}
