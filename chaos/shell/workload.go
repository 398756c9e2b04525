package shell

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
)

// work is what a client does again and again until the context ends, in a
// session of that time to live.
type work struct {
	do  func(ctx context.Context, c *client, s *sitting)
	ttl time.Duration
}

// works are what each of the clients does.
func works() [][]work {
	contending, churning, sharing := work{contend, 2 * time.Second}, work{churn, 3 * time.Second}, work{share, 3 * time.Second}
	standing, vanishing := work{stand, 2 * time.Second}, work{vanish, 700 * time.Millisecond}
	writing, reading := work{write, 4 * time.Second}, work{read, 0}
	return [][]work{
		{contending, standing, writing},
		{contending, standing, sharing, reading},
		{contending, standing, writing},
		{churning, vanishing, sharing, reading},
		{churning, writing, reading},
	}
}

const ownedPrefix = "own/"

// run does a work until the context ends.
func (w work) run(ctx context.Context, c *client) {
	s := &sitting{c: c, ttl: w.ttl}
	for ctx.Err() == nil {
		w.do(ctx, c, s)
		pause(ctx, c.millis(1, 100))
	}
	s.leave()
}

// claim takes a lock, holds it and gives it back.
func claim(ctx context.Context, c *client, s *sdk.Session, item check.Item, hold time.Duration, opts ...sdk.LockOption) {
	claimAll(ctx, c, s, []check.Item{item}, hold, opts...)
}

// claimAll takes several as a whole.
func claimAll(ctx context.Context, c *client, s *sdk.Session, items []check.Item, hold time.Duration, opts ...sdk.LockOption) {
	g, err := c.calls.Lock(ctx, s, false, items, opts...)
	if err != nil {
		switch {
		case errors.Is(err, sdk.ErrHeld):
			c.history.count("locks refused: held")
		case errors.Is(err, sdk.ErrWaitTimedOut):
			c.history.count("locks refused: wait timed out")
		case ctx.Err() != nil:
			c.history.count("claims given up")
		default:
			c.history.count("claims that failed")
		}
		return
	}
	c.history.count("locks held")
	if items[0].Mode == "" {
		c.calls.Believed(g.ID(), c.keep(ctx, g, hold))
	} else { // what it protects is written to by several
		c.hold(ctx, g, hold)
		c.calls.Believed(g.ID(), c.believed(g))
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = c.calls.Unlock(release, g)
}

// hot is a lock that everybody wants.
func (c *client) hot() check.Item { return check.Item{Name: fmt.Sprintf("hot/%d", c.chance(2))} }

// contend takes a lock that everybody wants.
func contend(ctx context.Context, c *client, at *sitting) {
	s := at.session(ctx)
	if s == nil {
		return
	}
	hold := c.millis(0, 60)
	if c.chance(12) == 0 {
		hold = 2 * at.ttl // it has to be kept alive meanwhile
	}
	if c.chance(4) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.millis(1, 2000))
		defer cancel()
	}
	claim(ctx, c, s, c.hot(), hold)
}

// churn tries, waits for a little while, and gives up.
func churn(ctx context.Context, c *client, at *sitting) {
	s := at.session(ctx)
	if s == nil {
		return
	}
	switch c.chance(5) {
	case 0:
		claim(ctx, c, s, c.hot(), c.millis(0, 20), sdk.WithWait(0))
	case 3:
		both := []check.Item{{Name: "hot/1"}, {Name: "hot/0"}}
		claimAll(ctx, c, s, both, c.millis(0, 20), sdk.WithWait(c.millis(1, 400)))
	case 1, 2:
		claim(ctx, c, s, c.hot(), c.millis(0, 20), sdk.WithWait(c.millis(1, 400)))
	default:
		ctx, cancel := context.WithTimeout(ctx, c.millis(0, 30))
		defer cancel()
		claim(ctx, c, s, c.hot(), 0)
	}
}

// share takes a lock together with others, now and then alone, and permits.
func share(ctx context.Context, c *client, at *sitting) {
	s := at.session(ctx)
	if s == nil {
		return
	}
	item := check.Item{Name: "shared", Mode: check.Shared}
	switch c.chance(4) {
	case 0:
		item = check.Item{Name: "shared"}
	case 1:
		item = check.Item{Name: "permits", Mode: check.Permits, Permits: 1 + c.chance(3), Capacity: 4}
	}
	claim(ctx, c, s, item, c.millis(0, 80))
}

// vanish has a session that lives for a moment, with a key and a lead that end with it. It
// closes most of them; the others are lost with the next outage.
func vanish(ctx context.Context, c *client, at *sitting) {
	s := at.session(ctx)
	if s == nil {
		return
	}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	_, _ = c.calls.Txn(short, s, check.Txn{Then: []check.KeyOp{
		{Action: check.Put, Key: ownedPrefix + c.name, Value: c.value(), Owner: uint64(s.ID())},
	}})
	_, _ = c.calls.Campaign(short, s, "brief/"+c.name, c.value(), sdk.WithWait(0))
	cancel()
	claim(ctx, c, s, check.Item{Name: "short"}, c.millis(0, 300), sdk.WithWait(time.Second))
	if c.chance(3) == 0 {
		return
	}
	// So little that it is sometimes too little: then it goes on without its client.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Millisecond)
	defer cancel()
	at.leave()
	c.history.Session(check.Session{ID: uint64(s.ID()), Client: c.name, TTL: s.TTL(), Closed: now()})
	if s.Close(closing) != nil {
		c.history.count("sessions not closed in time")
	}
}

// stand is a candidate that leads for a while.
func stand(ctx context.Context, c *client, at *sitting) {
	s := at.session(ctx)
	if s == nil {
		return
	}
	var opts []sdk.CampaignOption
	if c.chance(3) == 0 {
		opts = append(opts, sdk.WithWait(c.millis(0, 1500)))
	}
	const election = "boss"
	l, err := c.calls.Campaign(ctx, s, election, c.value(), opts...)
	if err != nil {
		c.history.count("candidacies that failed")
		return
	}
	c.history.count("leaderships")
	if c.chance(2) == 0 {
		short, cancel := context.WithTimeout(ctx, time.Second)
		_ = c.calls.Proclaim(short, l, c.value())
		cancel()
	}
	c.calls.Believed(l.ID(), c.keep(ctx, l, c.millis(10, 900)))
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if c.chance(5) == 0 { // it hands over, if there is somebody
		if info, err := c.sdk.ShowElection(release, election); err == nil && len(info.Candidates) > 0 {
			if c.calls.Transfer(release, l, info.Candidates[len(info.Candidates)-1].Session) == nil {
				c.history.count("leaderships handed over")
				return
			}
		}
	}
	_ = c.calls.Resign(release, l)
}

// loop runs the loops that the client has for leading and for a lock, whose
// calls are not recorded one by one.
func loop(ctx context.Context, c *client, _ *sitting) {
	short, cancel := context.WithTimeout(ctx, c.millis(1000, 8000))
	defer cancel()
	believe := func(ctx context.Context, kind check.Kind, h held, revision uint64, session *sdk.Session) {
		o := check.Operation{
			Client: c.name, Kind: kind, Session: uint64(session.ID()), Invoke: now(), Return: now(), Outcome: check.Done,
			Revision: revision, Token: uint64(h.Token()), Claim: []check.Item{{Name: h.Name()}},
		}
		o.Until = c.keep(ctx, h, c.millis(10, 900))
		id := c.history.loops.Begin(o)
		c.history.loops.End(id, o)
		c.history.count("turns of loops")
	}
	if c.chance(2) == 0 {
		_ = c.sdk.Do(short, "do", func(ctx context.Context, token sdk.Token) error {
			pause(ctx, c.millis(10, 900))
			if ctx.Err() == nil && !c.history.store("do", token) && ctx.Err() == nil {
				c.history.violation("the store of %q refused token %d of %s, which holds it", "do", token, c.name)
			}
			return nil
		})
		return
	}
	_ = c.sdk.Lead(short, "loop", func(ctx context.Context, token sdk.Token) error {
		l, ok := sdk.LeadershipOf(ctx)
		if !ok || l.Token() != token {
			c.history.violation("Lead of %s runs with token %d and no leadership that has it", c.name, token)
			return sdk.ErrStop
		}
		believe(ctx, check.Campaign, l, l.Revision(), l.Session())
		if c.chance(2) == 0 {
			return errors.New("had enough")
		}
		return nil
	}, sdk.WithValue([]byte(c.value())))
}

// write writes keys, exactly once and otherwise, with conditions and without.
func write(ctx context.Context, c *client, at *sitting) {
	s := at.session(ctx)
	if s == nil {
		return
	}
	short, cancel := context.WithTimeout(ctx, c.millis(20, 6000))
	defer cancel()
	key := fmt.Sprintf("k/%d", c.chance(4))
	put := []check.KeyOp{{Action: check.Put, Key: key, Value: c.value()}}
	by := recorder.Transactor(s)
	if c.chance(4) == 0 {
		by = c.sdk
	}
	t := check.Txn{Then: put}
	switch c.chance(5) {
	case 0:
		t.Then = []check.KeyOp{{Action: check.Delete, Key: key}}
	case 1: // on condition that nobody else has written since
		found, err := c.calls.Get(short, c.sdk, key, "", false)
		if err != nil {
			return
		}
		mod := uint64(0)
		if len(found) > 0 {
			mod = found[0].Mod
		}
		t.If = []check.Compare{{Target: check.ModOf, Is: "=", Key: key, Number: mod}}
		t.Else = []check.KeyOp{{Action: check.Get, Key: key}}
	}
	if _, err := c.calls.Txn(short, by, t); err != nil {
		c.history.count("transactions that failed")
		return
	}
	c.history.count("transactions")
}

// read reads keys.
func read(ctx context.Context, c *client, _ *sitting) {
	short, cancel := context.WithTimeout(ctx, c.millis(20, 6000))
	defer cancel()
	if _, err := c.calls.Get(short, c.sdk, fmt.Sprintf("k/%d", c.chance(4)), "", c.chance(4) == 0); err != nil {
		c.history.count("reads that failed")
		return
	}
	c.history.count("reads")
}

// again asks for everything several times, without the SDK.
func again(ctx context.Context, c *client) {
	r := &recorder.Repeater{
		Name: c.name + " again", Sink: c.history, Now: now, Dial: c.host.dial, Endpoints: c.nodes,
		Rand: rand.New(rand.NewPCG(uint64(c.chance(1<<30)), 6)), Value: c.value, Prefix: "again",
		Answered: func() { c.history.count("requests made several times") },
	}
	for ctx.Err() == nil {
		r.Live(ctx)
		pause(ctx, c.millis(10, 300))
	}
}

// visit dials, takes locks and goes, again and again.
func visit(ctx context.Context, c *client) {
	for ctx.Err() == nil {
		made, err := c.dial(ctx)
		if err != nil {
			c.history.count("dials that failed")
			pause(ctx, 100*time.Millisecond)
			continue
		}
		rng := rand.New(rand.NewPCG(uint64(c.chance(1<<30)), 5))
		guest := &client{name: c.name, rate: c.rate, history: c.history, calls: c.calls, rng: rng, sdk: made}
		s := &sitting{c: guest, ttl: 2 * time.Second}
		for range 1 + c.chance(3) {
			contend(ctx, guest, s)
		}
		s.leave()
		if err := made.Close(); err != nil {
			c.history.violation("closing a client of %s: %v", c.name, err)
		}
		c.history.count("clients dialed and closed")
		pause(ctx, c.millis(10, 300))
	}
}
