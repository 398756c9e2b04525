package load_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conch-lock/conch/bench/load"
	"github.com/conch-lock/conch/bench/memory"
	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// short is long enough for every workload to do something.
var short = load.Timing{Warmup: 10 * time.Millisecond, Length: 100 * time.Millisecond}

// start starts the system in memory with clients of a recipe.
func start(t *testing.T, recipe, clients int) (context.Context, *memory.System, system.Cluster, []system.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	sys := &memory.System{}
	cluster, err := sys.Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	f, err := sys.Dial(ctx, nil, recipe, clients, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, sys, cluster, f.Clients
}

// value finds a sample by its measure.
func value(t *testing.T, samples []table.Sample, measure string) float64 {
	t.Helper()
	for _, s := range samples {
		if s.Row.Measure == measure {
			return s.Value
		}
	}
	t.Fatalf("no %q in %+v", measure, samples)
	return 0
}

func TestCycles(t *testing.T) {
	for recipe := range 2 {
		ctx, _, cluster, clients := start(t, recipe, 8)
		samples, err := load.Cycles(ctx, short, cluster, clients)
		if err != nil {
			t.Fatal(err)
		}
		if v := value(t, samples, "acquire+release"); v < 1000 {
			t.Errorf("%v cycles a second", v)
		}
		if v := value(t, samples, "memory of all servers then"); v <= 0 || v > 100 {
			t.Errorf("%v MB", v)
		}
	}
}

// slow takes a known time for each lock.
type slow struct{ took time.Duration }

func (s slow) Lock(context.Context, string) (func(context.Context) error, error) {
	time.Sleep(s.took)
	return func(context.Context) error { return nil }, nil
}

func TestRateAndLatency(t *testing.T) {
	ctx, _, cluster, _ := start(t, 0, 1)
	const took = 5 * time.Millisecond
	timing := load.Timing{Length: 500 * time.Millisecond}
	samples, err := load.Cycles(ctx, timing, cluster, []system.Client{slow{took}, slow{took}})
	if err != nil {
		t.Fatal(err)
	}
	// A sleep takes longer on a busy machine, never shorter.
	rate, median := value(t, samples, "acquire+release"), value(t, samples, "acquire, median")
	if most := 2 / took.Seconds(); rate > most+10 || rate < most/20 {
		t.Errorf("%v cycles a second of at most %v", rate, most)
	}
	if median < 5 || median > 100 {
		t.Errorf("median of %v ms, where each takes 5 ms", median)
	}
}

// broken fails after some locks.
type broken struct{ left atomic.Int32 }

var errBroken = errors.New("broken")

func (b *broken) Lock(context.Context, string) (func(context.Context) error, error) {
	if b.left.Add(-1) < 0 {
		return nil, errBroken
	}
	return func(context.Context) error { return nil }, nil
}

func TestErrorFailsTheWorkload(t *testing.T) {
	ctx, _, cluster, clients := start(t, 0, 2)
	b := &broken{}
	b.left.Store(10)
	samples, err := load.Cycles(ctx, short, cluster, append(clients, b))
	if !errors.Is(err, errBroken) || samples != nil {
		t.Fatalf("%v, %v", samples, err)
	}
}

func TestDeadServerFailsTheWorkload(t *testing.T) {
	ctx, _, cluster, clients := start(t, 0, 2)
	cluster.Servers()[2].Kill()
	if _, err := load.Cycles(ctx, short, cluster, clients); err == nil || !strings.Contains(err.Error(), "memory n3") {
		t.Fatalf("the usage of a server is missing: %v", err)
	}
}

func TestHandOver(t *testing.T) {
	ctx, _, cluster, clients := start(t, 0, 9)
	samples, err := load.HandOver(ctx, short, cluster, clients)
	if err != nil {
		t.Fatal(err)
	}
	if v := value(t, samples, "release called to next holder knowing, median"); v <= 0 || v > 10 {
		t.Errorf("a median of %v ms", v)
	}
	if v := value(t, samples, "hand-overs"); v < 1000 {
		t.Errorf("%v a second", v)
	}
}

// shared gives its lock to everybody.
type shared struct{}

func (shared) Lock(context.Context, string) (func(context.Context) error, error) {
	return func(context.Context) error { return nil }, nil
}

func TestTwoHoldersAreFound(t *testing.T) {
	ctx, _, cluster, _ := start(t, 0, 1)
	var clients []system.Client
	for range 16 {
		clients = append(clients, shared{})
	}
	_, err := load.HandOver(ctx, load.Timing{Length: 5 * time.Second}, cluster, clients)
	if !errors.Is(err, load.ErrHolders) {
		t.Fatalf("two holders were not found: %v", err)
	}
}

func TestKV(t *testing.T) {
	ctx, _, cluster, clients := start(t, 0, 4)
	samples, err := load.KV(ctx, short, cluster, clients)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"linearizable reads", "linearizable writes"} {
		if v := value(t, samples, what); v < 1000 {
			t.Errorf("%v %s a second", v, what)
		}
	}
	if _, err := load.KV(ctx, short, cluster, []system.Client{slow{}}); !errors.Is(err, system.ErrNotOffered) {
		t.Errorf("a client without keys: %v", err)
	}
}

func TestObservers(t *testing.T) {
	ctx, _, _, clients := start(t, 0, 12)
	samples, err := load.Observers(ctx, short, clients)
	if err != nil {
		t.Fatal(err)
	}
	last, median := value(t, samples, "the same to the last observer, median"), value(t, samples, "resign called to the median observer knowing, median")
	if median <= 0 || last < median || last > 100 {
		t.Errorf("median observer %v ms, last %v ms", median, last)
	}
}

// TestCommits: the floor's times are in the rows of the workloads that they bound.
func TestCommits(t *testing.T) {
	ctx, _, cluster, clients := start(t, 0, 12)
	commits := []system.Client{slow{5 * time.Millisecond}}
	queued, err := load.Queued(ctx, short, cluster, commits[0], 11)
	if err != nil {
		t.Fatal(err)
	}
	rested, err := load.Rested(ctx, short, commits[0], 10)
	if err != nil {
		t.Fatal(err)
	}
	handed, err := load.HandOver(ctx, short, cluster, clients)
	if err != nil {
		t.Fatal(err)
	}
	observed, err := load.Observers(ctx, short, clients)
	if err != nil {
		t.Fatal(err)
	}
	of := make(map[table.Row]bool)
	for _, s := range append(handed, observed...) {
		of[s.Row] = true
	}
	for _, s := range append(queued, rested...) {
		if !of[s.Row] || s.Value < 5 || s.Value > 100 {
			t.Errorf("%+v: a commit takes 5 ms", s)
		}
	}
	if len(queued) != 2 || len(rested) != 2 {
		t.Errorf("%v, %v", queued, rested)
	}
}

func TestScale(t *testing.T) {
	ctx, _, cluster, clients := start(t, 0, 3)
	const locks = 300
	samples, err := load.Scale(ctx, short, cluster, clients, locks)
	if err != nil {
		t.Fatal(err)
	}
	for _, measure := range []string{
		"taken", "acquire of another, median, then", "acquire of another while a snapshot is taken, median",
		"acquire of another between snapshots, median", "restart of a killed follower, to serving",
	} {
		if v := value(t, samples, measure); v <= 0 {
			t.Errorf("%s: %v", measure, v)
		}
	}
}

// warming has clients that get faster from lock to lock, down to a millisecond.
type warming struct{ took atomic.Int64 }

func (w *warming) Lock(context.Context, string) (func(context.Context) error, error) {
	time.Sleep(max(time.Millisecond, time.Duration(w.took.Add(-int64(100*time.Microsecond)))))
	return func(context.Context) error { return nil }, nil
}

// TestRunIn: it goes on while a system gets faster, and ends with its time.
func TestRunIn(t *testing.T) {
	ctx, _, cluster, _ := start(t, 0, 1)
	w := &warming{}
	w.took.Store(int64(20 * time.Millisecond))
	if _, err := load.RunIn(ctx, 200*time.Millisecond, time.Minute, cluster, []system.Client{w}); err != nil {
		t.Fatal(err)
	}
	if left := time.Duration(w.took.Load()); left > 10*time.Millisecond {
		t.Errorf("it ended while a lock took %v and the next one less", left)
	}
	w = &warming{}
	w.took.Store(int64(40 * time.Millisecond))
	took, err := load.RunIn(ctx, 200*time.Millisecond, 50*time.Millisecond, cluster, []system.Client{w})
	if err != nil || took > 10*time.Second {
		t.Errorf("it took %v of 50 ms: %v", took, err)
	}
}

func TestIdle(t *testing.T) {
	ctx, sys, cluster, _ := start(t, 0, 1)
	samples, err := load.Idle(ctx, 50*time.Millisecond, cluster, sys, 0, 10, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if v := value(t, samples, "lost"); v != 0 {
		t.Errorf("%v lost", v)
	}
	if _, err := load.Idle(ctx, 0, cluster, sys, 1, 10, 0); !errors.Is(err, system.ErrNotOffered) {
		t.Errorf("a recipe without sessions: %v", err)
	}
}

func TestFailOver(t *testing.T) {
	ctx, _, cluster, clients := start(t, 0, 2)
	for _, fault := range []load.Fault{load.Killed, load.Stopped, load.Killed} {
		samples, err := load.FailOver(ctx, cluster, clients, fault)
		if err != nil {
			t.Fatal(err)
		}
		took := value(t, samples, "to the first write acknowledged")
		if least := memory.Election.Seconds() * 1000; took < least || took > 100*least {
			t.Errorf("%s: %v ms, where an election takes %v", fault, took, memory.Election)
		}
		for _, p := range cluster.Servers() {
			if !p.Running() {
				t.Errorf("%s: %s does not run afterwards", fault, p.Name())
			}
		}
	}
}

func TestCrash(t *testing.T) {
	ctx, _, _, clients := start(t, 0, 2)
	const ttl = 60 * time.Millisecond
	// The holder's lock is free a time to live after it was killed.
	hold := func(ctx context.Context, lock string, ttl time.Duration) (func(), error) {
		unlock, err := clients[0].Lock(ctx, lock)
		return func() { time.AfterFunc(ttl, func() { _ = unlock(ctx) }) }, err
	}
	samples, err := load.Crash(ctx, hold, clients[1], "crash", ttl)
	if err != nil {
		t.Fatal(err)
	}
	if v := value(t, samples, "to the next holder knowing"); v < 60 || v > 6000 {
		t.Errorf("%v ms after a time to live of %v", v, ttl)
	}
	// One who does not hold anything is found out.
	none := func(context.Context, string, time.Duration) (func(), error) { return func() {}, nil }
	if _, err := load.Crash(ctx, none, clients[1], "crash", ttl); err == nil {
		t.Error("nobody held the lock, and it was not noticed")
	}
}

func TestQuantile(t *testing.T) {
	var times []time.Duration
	for i := range 100 {
		times = append(times, time.Duration(i+1)*time.Millisecond)
	}
	for share, want := range map[float64]float64{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := table.Quantile(times, share); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v of 1 to 100 ms: %v, not %v", share, got, want)
		}
	}
}
