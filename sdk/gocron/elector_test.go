package conchcron

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/conch-lock/conch/sdk"
)

func elector(t *testing.T, election string) (*Elector, *sdk.Client) {
	t.Helper()
	c := dial(t)
	e, err := NewElector(c, ElectorConfig{Election: election, Every: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	return e, c
}

func TestOneOfTwoLeads(t *testing.T) {
	name := unique(t)
	first, _ := elector(t, name)
	l, err := first.Lead(within(t))
	if err != nil || first.IsLeader(t.Context()) != nil {
		t.Fatalf("the first does not lead: %v, %v", err, first.IsLeader(t.Context()))
	}
	second, client := elector(t, name)
	for ctx := within(t); ; { // until it stands
		e, err := client.ShowElection(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Candidates) == 1 {
			break
		}
	}
	if err := second.IsLeader(t.Context()); !errors.Is(err, ErrNotLeader) {
		t.Errorf("the second: %v, want ErrNotLeader", err)
	}
	if err := first.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := first.IsLeader(t.Context()); !errors.Is(err, ErrNotLeader) || !errors.Is(err, ErrClosed) {
		t.Errorf("a closed one: %v", err)
	}
	if _, err := first.Lead(within(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed one: %v", err)
	}
	m, err := second.Lead(within(t))
	if err != nil || second.IsLeader(t.Context()) != nil || m.Token() <= l.Token() {
		t.Errorf("the second does not lead: %v, %v", err, second.IsLeader(t.Context()))
	}
}

// A tick that a leader has run is not run again by the one that follows it in
// the same tick, and the next tick is.
func TestTickRunsOnceAcrossLeaders(t *testing.T) {
	name := unique(t)
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	first, _ := elector(t, name)
	second, _ := elector(t, name)
	ran := 0
	tasks := map[*Elector]func(context.Context) error{}
	for _, e := range []*Elector{first, second} {
		e.ticks.now = func() time.Time { return now.Add(7 * time.Second) } // late by that
		tasks[e] = e.Task("job", func(_ context.Context, r Run) error {
			if r.Token == 0 || !r.Due.Equal(now) {
				t.Errorf("it was told of %+v", r)
			}
			ran++
			return nil
		})
	}
	leads := func() *Elector {
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			for _, e := range []*Elector{first, second} {
				if e.IsLeader(t.Context()) == nil {
					return e
				}
			}
		}
		t.Fatal("nobody leads")
		return nil
	}
	a := leads()
	if err := tasks[a](t.Context()); err != nil || ran != 1 {
		t.Fatalf("the leader: %v, ran %d times", err, ran)
	}
	if err := tasks[a](t.Context()); !errors.Is(err, ErrRan) || ran != 1 {
		t.Errorf("again in the same tick: %v, ran %d times", err, ran)
	}
	if err := a.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := tasks[a](t.Context()); !errors.Is(err, ErrNotLeader) || ran != 1 {
		t.Errorf("who does not lead: %v, ran %d times", err, ran)
	}
	b := leads()
	if err := tasks[b](t.Context()); !errors.Is(err, ErrRan) || ran != 1 {
		t.Errorf("the next leader in the same tick: %v, ran %d times", err, ran)
	}
	b.ticks.now = func() time.Time { return now.Add(55 * time.Second) } // its clock is early
	if err := b.Task("job", func(context.Context, Run) error { ran++; return nil })(t.Context()); err != nil || ran != 2 {
		t.Errorf("the next tick: %v, ran %d times", err, ran)
	}
}

func TestJobEndsWithTheLead(t *testing.T) {
	name := unique(t)
	e, client := elector(t, name)
	l, err := e.Lead(within(t))
	if err != nil {
		t.Fatal(err)
	}
	err = e.Task("job", func(ctx context.Context, r Run) error {
		if err := client.ResignElection(within(t), name, r.Token, "test"); err != nil {
			t.Error(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-within(t).Done():
			return errors.New("the job was not told")
		}
	})(t.Context())
	if !errors.Is(err, sdk.ErrBroken) {
		t.Errorf("the job: %v, want the reason of the loss", err)
	}
	again, err := e.Lead(within(t))
	if err != nil || again.Token() <= l.Token() {
		t.Errorf("it does not stand again: %v", err)
	}
}

// With gocron itself: of three schedulers one runs.
func TestSchedulersWithElectors(t *testing.T) {
	name := unique(t)
	type run struct {
		who   int
		token sdk.Token
	}
	runs := make(chan run, 1000)
	for who := range 3 {
		c := dial(t)
		e, err := NewElector(c, ElectorConfig{Election: name, Every: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close(context.Background()) })
		s, err := gocron.NewScheduler(gocron.WithDistributedElector(e))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.NewJob(gocron.DurationJob(100*time.Millisecond), gocron.NewTask(e.Task("job", func(_ context.Context, r Run) error {
			runs <- run{who, r.Token}
			return nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	var first run
	for i := range 5 {
		select {
		case r := <-runs:
			if i == 0 {
				first = r
			}
			if r != first {
				t.Errorf("%+v ran beside %+v", r, first)
			}
		case <-within(t).Done():
			t.Fatalf("%d ticks ran", i)
		}
	}
}

func TestBadConfig(t *testing.T) {
	c := dial(t)
	if _, err := NewElector(c, ElectorConfig{Election: "x"}); err == nil {
		t.Error("an elector without Every")
	}
	if _, err := NewElector(c, ElectorConfig{Every: time.Second}); err == nil {
		t.Error("an elector without an election")
	}
	for _, cfg := range []LockerConfig{{}, {Every: time.Millisecond}, {Every: time.Second, TTL: time.Millisecond}, {Every: time.Second, TTL: 25 * time.Hour}} {
		if _, err := NewLocker(c, cfg); err == nil {
			t.Errorf("a locker of %+v", cfg)
		}
	}
	e, err := NewElector(c, ElectorConfig{Election: "a\nb", Every: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Lead(within(t)); !errors.Is(err, sdk.ErrInvalid) {
		t.Errorf("an election with a control character: %v", err)
	}
	if err := e.IsLeader(t.Context()); !errors.Is(err, ErrNotLeader) || !errors.Is(err, sdk.ErrInvalid) {
		t.Errorf("an election with a control character: %v", err)
	}
}
