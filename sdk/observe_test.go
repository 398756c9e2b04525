package sdk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/api"
)

// seen gathers what an observer is told, in few words.
func seen(changes iter.Seq2[LeaderChange, error], into chan<- string) {
	defer close(into)
	for x, err := range changes {
		switch {
		case errors.Is(err, context.Canceled):
			return
		case err != nil:
			into <- err.Error()
		case x.Leader == nil:
			into <- fmt.Sprintf("%s %s %d", x.Election, x.Change, x.Term)
		default:
			into <- fmt.Sprintf("%s %s %d %s", x.Election, x.Change, x.Term, x.Leader.Value)
		}
	}
}

func expect(t *testing.T, from <-chan string, want ...string) {
	t.Helper()
	for i, w := range want {
		if got := <-from; got != w {
			t.Fatalf("change %d: got %q, want %q", i, got, w)
		}
	}
}

func TestObserve(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		early := make(chan string, 100)
		go seen(c.Observe(ctx, "e"), early)
		expect(t, early, "e vacant 0")
		s := open(t, c)
		one := lead(t, s, "e", "one")
		lead(t, s, "f", "not observed")
		if err := one.Proclaim(t.Context(), []byte("one again")); err != nil {
			t.Fatal(err)
		}
		expect(t, early, "e elected 1 one", "e proclaimed 1 one again")
		late := make(chan string, 100)
		go seen(c.Observe(ctx, "e"), late)
		expect(t, late, "e elected 1 one again") // present, and new to this observer
		if err := one.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		lead(t, s, "e", "two")
		for _, o := range []chan string{early, late} {
			expect(t, o, "e vacant 1", "e elected 2 two")
		}
		past := make(chan string, 100)
		go seen(c.Observe(ctx, "e", FromRevision(1)), past)
		expect(t, past, "e elected 1 one", "e proclaimed 1 one again", "e vacant 1", "e elected 2 two")
		middle := make(chan string, 100)
		go seen(c.Observe(ctx, "e", FromRevision(one.Revision()+1)), middle)
		expect(t, middle, "e proclaimed 1 one again", "e vacant 1")
		cancel()
		for _, o := range []chan string{early, late, past, middle} {
			for range o {
			}
		}
	})
}

func TestObserveTellsHowALeaderEnded(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a, b := open(t, c), open(t, c)
		one := lead(t, a, "e", "one")
		next, stop := iter.Pull2(c.Observe(t.Context(), "e"))
		defer stop()
		pull := func() LeaderChange {
			x, err, _ := next()
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		if x := pull(); x.Change != Elected || x.Last != nil || !x.Time.IsZero() || x.Leader.Session != a.ID() || x.Token != one.Token() || x.Revision != one.Revision() {
			t.Errorf("first: %+v", x)
		}
		two := stand(t, b, "e", "two")
		if err := one.Transfer(t.Context(), b.ID()); err != nil {
			t.Fatal(err)
		}
		if x := pull(); x.Change != Elected || x.Last.Ended != ReasonTransferred || x.Last.Token != one.Token() || x.Last.Value.String() != "one" || x.Time.IsZero() {
			t.Errorf("second: %+v", x)
		}
		<-two
		if err := c.EndSession(t.Context(), b.ID(), "test"); err != nil {
			t.Fatal(err)
		}
		if x := pull(); x.Change != Vacant || x.Leader != nil || x.Last.Ended != ReasonEnded || x.Last.Session != b.ID() {
			t.Errorf("end: %+v", x)
		}
	})
}

// Every change once and in order, though connections break again and again.
func TestObserveOverReconnects(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := open(t, c)
		const n = 50
		all := make(chan string, 10*n)
		go seen(c.ObservePrefix(ctx, "e/"), all)
		synctest.Wait()
		var want []string
		for i := range n {
			name := fmt.Sprintf("e/%d", i%3)
			l := lead(t, s, name, fmt.Sprint(i))
			want = append(want, fmt.Sprintf("%s elected %d %d", name, i/3+1, i))
			if i%7 == 0 {
				for e := range f.nodes {
					f.cut(e)
				}
			}
			if err := l.Resign(t.Context()); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("%s vacant %d", name, i/3+1))
		}
		expect(t, all, want...)
		cancel()
		for x := range all {
			t.Errorf("and then %s", x)
		}
	})
}

func TestObservePrefixBeginsWithAll(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := open(t, c)
		for i := range 5 { // more than a page
			lead(t, s, fmt.Sprintf("e/%d", i), "v")
		}
		if err := lead(t, s, "e/5", "").Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		lead(t, s, "f", "not observed")
		all := make(chan string, 100)
		go seen(c.ObservePrefix(ctx, "e/"), all)
		expect(t, all, "e/0 elected 1 v", "e/1 elected 1 v", "e/2 elected 1 v", "e/3 elected 1 v", "e/4 elected 1 v", "e/5 vacant 1")
		synctest.Wait()
		lead(t, s, "e/5", "v")
		expect(t, all, "e/5 elected 2 v")
		cancel()
		for range all {
		}
		next, stop := iter.Pull2(c.ObservePrefix(t.Context(), "a\nb"))
		defer stop()
		_, err, _ := next()
		want(t, "bad prefix", err, ErrInvalid)
	})
}

// A consumer that is slow gets everything, too.
func TestObserveSlowly(t *testing.T) {
	world(t, func(cfg *Config) { cfg.WatchBuffer = 2 }, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		l := lead(t, s, "e", "0")
		next, stop := iter.Pull2(c.Observe(t.Context(), "e"))
		defer stop()
		const n = 20
		for i := range n {
			x, err, _ := next()
			if err != nil || x.Leader.Value.String() != fmt.Sprint(i) {
				t.Fatalf("change %d: %+v, %v", i, x, err)
			}
			if i == 0 {
				time.Sleep(time.Millisecond)
				for j := 1; j < n; j++ {
					if err := l.Proclaim(t.Context(), []byte(fmt.Sprint(j))); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
			}
		}
	})
}

func TestObserveCompacted(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		f.with(func() { f.revision, f.compact = 10, 5 })
		for _, err := range c.Observe(t.Context(), "e", FromRevision(3)) {
			want(t, "Observe", err, ErrCompacted)
			var e *Error
			if !errors.As(err, &e) || e.Revision != 6 || e.Op != "observe" || e.Name != "e" {
				t.Errorf("error %+v", e)
			}
		}
	})
}

// The observer itself finds what a cell does not tell.
func TestObserveFindsGaps(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		one := lead(t, s, "e", "one")
		next, stop := iter.Pull2(c.Observe(t.Context(), "e"))
		defer stop()
		if _, err, _ := next(); err != nil {
			t.Fatal(err)
		}
		f.with(func() { f.elections["e"].skips = 1 })
		if err := one.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		lead(t, s, "e", "three")
		if x, err, _ := next(); err != nil || x.Change != Vacant {
			t.Fatalf("end: %+v, %v", x, err)
		}
		_, err, _ := next()
		if err == nil || !strings.Contains(err.Error(), "a change is missing") {
			t.Errorf("a leader was missed, and told was %v", err)
		}
		if _, _, ok := next(); ok {
			t.Error("it goes on after a gap")
		}
	})
}

// An election that the cell has forgotten begins again, and its observer goes on.
func TestObserveForgotten(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		told := make(chan string, 100)
		go seen(c.ObservePrefix(t.Context(), "e"), told)
		synctest.Wait()
		for i := range 3 {
			if err := lead(t, s, "e1", fmt.Sprint(i)).Resign(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.with(func() { f.forget("e1") })
			expect(t, told, fmt.Sprintf("e1 elected 1 %d", i), "e1 vacant 1")
		}
	})
}

// TestObserverForgets: of what the cell has forgotten the observer keeps nothing,
// and knows a repeat of it still.
func TestObserverForgets(t *testing.T) {
	o := observer{from: 10, elections: map[string]standing{}}
	take := func(name string, revision uint64) error {
		b, err := (&api.ElectionInfo{Name: name, Term: 1, Token: revision, Leader: &api.Leader{Token: revision, SinceRevision: revision}}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.take(KeyValue{Key: name, Value: b, CreateRevision: revision, ModRevision: revision}, time.Time{})
		return err
	}
	for i := range uint64(100) {
		name, at := fmt.Sprint(i), 10+3*i
		if err := take(name, at); err != nil {
			t.Fatal(err)
		}
		o.forget(KeyValue{Key: name, ModRevision: at + 1})
		if err := take(name, at); err == nil {
			t.Fatal("the beginning of what is forgotten is taken for another one")
		}
	}
	if len(o.elections) != 0 {
		t.Errorf("it remembers %d elections that are forgotten", len(o.elections))
	}
	if err := take("0", 400); err != nil {
		t.Errorf("one that begins again: %v", err)
	}
}

// TestAfter: which record may follow which.
func TestAfter(t *testing.T) {
	first := standing{create: 10, term: 1, revision: 10, token: 4, led: true}
	for _, x := range []struct {
		name   string
		before *standing
		next   standing
		ok     bool
	}{
		{"the first leader", nil, first, true},
		{"a first one that had led before it was watched", nil, standing{create: 3, term: 9, revision: 12, token: 9, led: true}, true},
		{"a first one whose beginning is not told", nil, standing{create: 10, term: 1, revision: 11, token: 4, led: true}, false},
		{"a proclamation", &first, standing{create: 10, term: 1, revision: 11, token: 4, led: true}, true},
		{"the end", &first, standing{create: 10, term: 1, revision: 11, token: 4}, true},
		{"the next leader", &first, standing{create: 10, term: 2, revision: 11, token: 5, led: true}, true},
		{"a leader too many", &first, standing{create: 10, term: 3, revision: 11, token: 6, led: true}, false},
		{"the end of one that was not told", &first, standing{create: 10, term: 2, revision: 11, token: 5}, false},
		{"another leader of that term", &first, standing{create: 10, term: 1, revision: 11, token: 5, led: true}, false},
		{"a repeat", &first, first, false},
		{"an earlier one", &first, standing{create: 10, term: 1, revision: 9, token: 4, led: true}, false},
		{"a vacancy twice", &standing{create: 10, term: 1, revision: 11, token: 4}, standing{create: 10, term: 1, revision: 12, token: 4}, false},
		{"a leader back after its end", &standing{create: 10, term: 1, revision: 11, token: 4}, standing{create: 10, term: 1, revision: 12, token: 4, led: true}, false},
		{"one after it was forgotten", &standing{create: 10, term: 5, revision: 20, token: 9}, standing{create: 30, term: 1, revision: 30, token: 12, led: true}, true},
		{"a later one after it was forgotten", &standing{create: 10, term: 5, revision: 20, token: 9}, standing{create: 30, term: 2, revision: 31, token: 13, led: true}, false},
		{"forgotten before it was seen", &standing{create: 10, term: 5, revision: 20, token: 9}, standing{create: 15, term: 1, revision: 31, token: 13, led: true}, false},
	} {
		before := standing{}
		if x.before != nil {
			before = *x.before
		}
		if why := x.next.after(before, x.before != nil, 10); (why == "") != x.ok {
			t.Errorf("%s: %q", x.name, why)
		}
	}
}

func TestLead(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		var told []string
		runs := 0
		err := c.Lead(t.Context(), "e", func(ctx context.Context, token Token) error {
			runs++
			l, ok := LeadershipOf(ctx)
			if !ok || l.Token() != token || l.Err() != nil {
				t.Errorf("run %d: %v", runs, l)
			}
			told = append(told, fmt.Sprintf("%d after %q", l.Term(), l.Predecessor().Value))
			switch runs {
			case 1: // it failed: another one has a go
				return errors.New("a database is not there")
			case 2: // lost
				if err := c.ResignElection(t.Context(), "e", token, "test"); err != nil {
					t.Error(err)
				}
				<-ctx.Done()
				want(t, "cause", context.Cause(ctx), ErrBroken)
				return nil
			case 3: // given up by itself
				if err := l.Resign(t.Context()); err != nil {
					t.Error(err)
				}
				return nil
			default: // done
				return l.Proclaim(ctx, []byte("done"))
			}
		}, WithValue([]byte("worker")))
		if err != nil {
			t.Errorf("Lead: %v", err)
		}
		if want := []string{`1 after ""`, `2 after "worker"`, `3 after "worker"`, `4 after "worker"`}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		if info, err := c.ShowElection(t.Context(), "e"); err != nil || info.Leader != nil || info.Last.Value.String() != "done" || info.Last.Ended != ReasonReleased {
			t.Errorf("afterwards: %+v, %v", info, err)
		}
	})
}

func TestLeadStops(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		fatal := fmt.Errorf("the disk is full: %w", ErrStop)
		if err := c.Lead(t.Context(), "e", func(context.Context, Token) error { return fatal }); err != fatal {
			t.Errorf("Lead: %v, want %v", err, fatal)
		}
		// By its context, while it leads and while it waits.
		ctx, cancel := context.WithCancelCause(t.Context())
		leads, waits := make(chan error), make(chan error)
		began := make(chan struct{})
		go func() {
			leads <- c.Lead(ctx, "e", func(ctx context.Context, _ Token) error {
				close(began)
				<-ctx.Done()
				return ctx.Err()
			})
		}()
		<-began
		go func() {
			waits <- c.Lead(ctx, "e", func(context.Context, Token) error {
				t.Error("two lead")
				return nil
			})
		}()
		synctest.Wait()
		shutdown := errors.New("the service shuts down")
		cancel(shutdown)
		for _, got := range []error{<-leads, <-waits} {
			want(t, "Lead", got, context.Canceled)
			want(t, "Lead", got, shutdown)
		}
		synctest.Wait()
		if holders, waiting := f.queue("election e"); holders+waiting != 0 {
			t.Errorf("%d lead and %d wait afterwards", holders, waiting)
		}
		// Where there is no use.
		nothing := func(context.Context, Token) error { t.Error("it leads"); return nil }
		want(t, "bad name", c.Lead(t.Context(), "", nothing), ErrInvalid)
		lead(t, open(t, c), "e", "")
		want(t, "a wait that runs out", c.Lead(t.Context(), "e", nothing, WithWait(time.Second)), ErrWaitTimedOut)
		everywhere(f, nth(1, fault{refuse: &api.Error{Code: api.Code_AGING_MISMATCH, Definite: true}}, isCampaign))
		want(t, "another aging", c.Lead(t.Context(), "e", nothing), ErrAgingMismatch)
	})
}

// A worker that fails at once does not keep the cell busy, and one that loses
// its session stands again in a new one.
func TestLeadPauses(t *testing.T) {
	world(t, func(cfg *Config) { cfg.SessionTTL = time.Second }, func(t *testing.T, f *fakeCell, c *Client) {
		ctx := within(t, 5*time.Minute)
		runs := 0
		err := c.Lead(ctx, "e", func(context.Context, Token) error { runs++; return errors.New("no") })
		want(t, "Lead", err, context.DeadlineExceeded)
		if runs < 10 || runs > 60 {
			t.Errorf("%d runs in five minutes", runs)
		}
		runs = 0
		var last SessionID
		err = c.Lead(t.Context(), "e", func(ctx context.Context, _ Token) error {
			l, _ := LeadershipOf(ctx)
			if runs++; runs == 3 {
				return nil
			}
			if last == l.Session().ID() {
				t.Errorf("run %d is in the session that was lost", runs)
			}
			last = l.Session().ID()
			f.with(func() {
				for _, n := range f.nodes {
					n.mute = true
				}
			})
			<-ctx.Done()
			want(t, "cause", context.Cause(ctx), ErrSessionExpired)
			f.with(func() {
				for _, n := range f.nodes {
					n.mute = false
				}
			})
			return ctx.Err()
		})
		if err != nil || runs != 3 {
			t.Errorf("Lead: %v after %d runs", err, runs)
		}
	})
}

// A panic of the function resigns on its way.
func TestLeadPanics(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = c.Lead(t.Context(), "e", func(context.Context, Token) error { panic("oh") })
		}()
		if holders, _ := f.queue("election e"); holders != 0 {
			t.Error("it still leads")
		}
	})
}

// The pages of what is observed are of one revision, and it may be compacted
// between two of them.
func TestObservePrefixOverCompactions(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		for i := range 5 { // three pages
			lead(t, s, fmt.Sprintf("e/%d", i), "v")
		}
		compacted := 0
		everywhere(f, func(r *api.Request) fault {
			if r.GetRange().GetRevision() == 0 || compacted == 2 {
				return fault{}
			}
			compacted++
			f.change("e/0", fmt.Sprintf("v%d", compacted))
			f.compact = f.revision - 1
			return fault{refuse: &api.Error{Code: api.Code_COMPACTED, Definite: true, Revision: f.compact + 1}}
		})
		next, stop := iter.Pull2(c.ObservePrefix(t.Context(), "e/"))
		defer stop()
		for i := range 5 {
			x, err, _ := next()
			if err != nil {
				t.Fatalf("election %d: %v", i, err)
			}
			if want := map[bool]string{true: "v2", false: "v"}[i == 0]; x.Election != fmt.Sprintf("e/%d", i) || x.Leader.Value.String() != want {
				t.Errorf("election %d: %+v", i, x)
			}
		}
		f.with(func() { f.change("e/0", "v3") })
		if x, err, _ := next(); err != nil || x.Change != Proclaimed || x.Leader.Value.String() != "v3" {
			t.Errorf("then: %+v, %v", x, err)
		}
	})
}

// An observer that was away while the history was compacted goes on when its
// election is as it was, and is told so when it is not.
func TestObserveAwayOverCompactions(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		lead(t, open(t, c), "e", "v")
		next, stop := iter.Pull2(c.Observe(t.Context(), "e"))
		defer stop()
		if x, err, _ := next(); err != nil || x.Leader.Value.String() != "v" {
			t.Fatalf("%+v, %v", x, err)
		}
		away := func(happens func()) {
			synctest.Wait()
			f.unplug()
			f.with(func() {
				happens()
				f.revision += 10
				f.compact = f.revision
				for _, n := range f.nodes {
					n.down = false
				}
			})
		}
		for _, value := range []string{"v1", "v2"} {
			away(func() {})
			time.AfterFunc(time.Second, func() { f.with(func() { f.change("e", value) }) })
			if x, err, _ := next(); err != nil || x.Change != Proclaimed || x.Leader.Value.String() != value {
				t.Fatalf("%+v, %v: want %s", x, err, value)
			}
		}
		away(func() { f.change("e", "v3") })
		_, err, _ := next()
		want(t, "after a change that was missed", err, ErrCompacted)
	})
}

// What changes, and is compacted, between the reading of how things are and its
// answer is told all the same.
func TestObserveWhileItIsCompacted(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		lead(t, open(t, c), "e", "v")
		everywhere(f, nth(1, fault{delay: 2 * time.Millisecond}, func(r *api.Request) bool {
			if r.GetRange() == nil {
				return false
			}
			time.AfterFunc(time.Millisecond, func() {
				f.with(func() {
					f.change("e", "v1")
					f.change("e", "v2")
					f.compact = f.revision
				})
			})
			return true
		}))
		next, stop := iter.Pull2(c.Observe(t.Context(), "e"))
		defer stop()
		for _, want := range []string{"v", "v1", "v2"} {
			if x, err, _ := next(); err != nil || x.Leader.Value.String() != want {
				t.Fatalf("%+v, %v: want %s", x, err, want)
			}
		}
	})
}
