package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/chaos/tally"
)

// patience is for how long virtual time may stand still, on a real clock. It does
// when a goroutine waits for a mutex that is not let go.
const patience = 2 * time.Minute

// enough is from how many seeds on everything that there is must have happened.
const enough = 60

// TestCell runs a cell from each of some seeds; see the package.
func TestCell(t *testing.T) {
	began := time.Now()
	seeds, length := []uint64{2, 3, 4}, 8*time.Second
	if text := os.Getenv("CONCH_SHELL_LENGTH"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	if n := number(t, "CONCH_SHELL_SEEDS"); n > 0 {
		from := max(number(t, "CONCH_SHELL_FROM"), 1)
		seeds = nil
		for i := range n {
			seeds = append(seeds, from+i)
		}
	}
	if seed := number(t, "CONCH_SHELL_SEED"); seed > 0 {
		seeds = []uint64{seed}
	}
	all := &totals{counts: map[string]int{}}
	batch := func(seeds []uint64) {
		t.Run("seed", func(t *testing.T) {
			for _, seed := range seeds {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					t.Parallel()
					run(t, settings{Seed: seed, Length: length}, all)
				})
			}
		})
	}
	if text := os.Getenv("CONCH_SHELL_FOR"); text == "" {
		batch(seeds)
	} else {
		budget, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		from := max(number(t, "CONCH_SHELL_FROM"), 1)
		for seeds = nil; time.Since(began) < budget; {
			next := from + uint64(len(seeds))
			batch([]uint64{next, next + 1})
			seeds = append(seeds, next, next+1)
		}
	}
	t.Logf("%d runs:\n%s", len(seeds), list(all.counts))
	if file := os.Getenv("CONCH_SHELL_TALLY"); file != "" {
		if err := all.tally(len(seeds)).Write(file); err != nil {
			t.Error(err)
		}
	}
	if len(seeds) < enough {
		return
	}
	for _, what := range sometimes() {
		if all.counts[what] == 0 {
			t.Errorf("in %d runs it never happened: %s", len(seeds), what)
		}
	}
}

// sometimes is what has to happen in many runs, or they did not look everywhere.
func sometimes() []string {
	out := []string{
		"claims given up", "locks refused: held", "locks refused: wait timed out", "candidacies that failed", "leaderships handed over",
		"leadership of the cell handed over", "clients that died", "sessions lost", "sessions in jeopardy", "sessions saved from jeopardy", "sessions not closed in time", "turns of loops", "clients dialed and closed",
		"watches resumed by their consumer", "transactions that failed", "reads that failed",
		"operators refused: TOKEN_MISMATCH", "taken away while its holder was cut off", "told that it was taken away",
		"writes refused to who had not heard yet", "late writes refused for their token",
		"network: given up in silence", "network: reset", "network: writes that stood still",
	}
	for _, kind := range kinds() {
		out = append(out, hit+kind)
	}
	for _, kind := range []check.Kind{check.BreakLock, check.EndSession, check.Resign, check.ResignAs, check.Transfer} {
		out = append(out, recorder.OperatorDid+string(kind))
	}
	for _, c := range check.Judge(&check.History{Interventions: []check.Intervention{}}).Counts {
		out = append(out, judged(c))
	}
	return out
}

// judged is how what a checker had to judge is counted.
func judged(c check.Count) string { return "judged: " + c.Checker + ": " + c.What }

// totals are the counts of all runs.
type totals struct {
	mu     sync.Mutex
	counts map[string]int
}

// What of the counts is told to who adds up several layers.
const (
	checked = "operations"
	ordered = "operations put in order without revisions"
	hit     = "fault: "
)

// tally is what so many runs did.
func (x *totals) tally(runs int) *tally.Tally {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := tally.New()
	for _, what := range sometimes() {
		if kind, fault := strings.CutPrefix(what, hit); fault {
			out.Faults[kind] = uint64(x.counts[what])
		} else {
			out.Judged[what] = uint64(x.counts[what])
		}
	}
	out.Counts[tally.Seeds] = uint64(runs)
	out.Counts[tally.Checked] = uint64(x.counts[checked])
	out.Counts[tally.Ordered] = uint64(x.counts[ordered])
	// All are the three that there are.
	out.Counts[tally.Crashes] = uint64(x.counts[hit+"power"] + 3*x.counts[hit+"power all"])
	return out
}

func (x *totals) add(counts map[string]int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for k, n := range counts {
		x.counts[k] += n
	}
}

func number(t *testing.T, name string) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%s: %v", name, text, err)
	}
	return n
}

// run is one run in a bubble of its own, and what the judges say of it.
func run(t *testing.T, s settings, all *totals) {
	var beats atomic.Int64
	defer watch(t, &beats)()
	began := time.Now()
	var (
		w       *cell
		wrong   []string
		h       *check.History
		virtual time.Duration
	)
	synctest.Test(t, func(*testing.T) {
		w = newCell(s)
		beating, stop := context.WithCancel(context.Background())
		go func() {
			for beating.Err() == nil {
				pause(beating, 100*time.Millisecond)
				beats.Add(1)
			}
		}()
		wrong, h = w.run()
		virtual = now()
		stop()
	})
	took := time.Since(began)
	dir := t.ArtifactDir()
	if h != nil {
		judgement := check.Judge(h)
		for _, v := range judgement.Violations {
			wrong = append(wrong, v.String())
		}
		for _, c := range judgement.Counts {
			w.history.counts[judged(c)] = c.N
		}
		opinion := check.Sceptic{Timeout: time.Minute, Dir: dir}.Check(h)
		for _, v := range opinion.Violations {
			wrong = append(wrong, v.String())
		}
		w.history.counts[ordered] = opinion.Operations
		w.history.counts[checked] = len(h.Operations)
		w.history.counts["revisions replayed"] = int(h.AuditTo)
	}
	t.Logf("seed %d: %v of virtual time in %v, judged in %v:\n%s", s.Seed, virtual.Round(time.Millisecond), took.Round(time.Millisecond),
		(time.Since(began) - took).Round(time.Millisecond), w.report())
	all.add(w.history.counts)
	if len(wrong) == 0 {
		return
	}
	for i, v := range wrong {
		if i == 20 {
			t.Errorf("and %d more", len(wrong)-i)
			break
		}
		t.Error(v)
	}
	t.Errorf("again: CONCH_SHELL_SEED=%d CONCH_SHELL_LENGTH=%v go test -race -v -count 20 -run TestCell -artifacts ./chaos/shell", s.Seed, s.Length)
	w.save(t, dir)
	if h != nil {
		keep(t, filepath.Join(dir, "history.json"), h)
	}
}

// watch ends everything, and prints where every goroutine is, when the heart of
// a bubble beats no more.
func watch(t *testing.T, beats *atomic.Int64) (stop func()) {
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for last, since := int64(0), time.Now(); ; {
			select {
			case <-over:
				return
			case <-time.After(time.Second):
			}
			switch n := beats.Load(); {
			case n != last:
				last, since = n, time.Now()
			case time.Since(since) > patience:
				debug.SetTraceback("all")
				panic(t.Name() + ": virtual time stands still")
			}
		}
	}()
	return func() {
		close(over)
		<-gone
	}
}

func keep(t *testing.T, file string, h *check.History) {
	f, err := os.Create(file)
	if err == nil {
		err = errors.Join(h.Write(f), f.Close())
	}
	if err != nil {
		t.Error(err)
	}
}

// save leaves the logs of a run.
func (w *cell) save(t *testing.T, dir string) {
	journals := map[string]*journal{"run": w.journal}
	for _, x := range w.nodes {
		journals[x.name] = x.log
	}
	for _, c := range w.clients {
		journals[c.name] = c.log
	}
	for name, j := range journals {
		j.mu.Lock()
		var b strings.Builder
		for _, line := range j.lines {
			b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
		}
		j.mu.Unlock()
		if err := os.WriteFile(filepath.Join(dir, name+".log"), []byte(b.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
}
