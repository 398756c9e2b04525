package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/conch-lock/conch/chaos/sim"
	"github.com/conch-lock/conch/internal/cluster"
)

// batch is many seeds.
type batch struct {
	From, Seeds, Step uint64
	Length, Budget    time.Duration
	Most              int // violations
	Graveyard         bool
	Into              string // the file of the summary, if it is to be written
}

// run runs them one after the other.
func (b *batch) run() summary {
	s := newSummary(b.From)
	start, cpu := time.Now(), cpuTime()
	watch := watchdog{out: os.Stderr, exit: func(f found) {
		// The run that hangs is in the other goroutine and adds nothing to it.
		s.Took, s.CPU = time.Since(start).Seconds(), (cpuTime() - cpu).Seconds()
		os.Exit(s.hung(f, b.Into, os.Stderr))
	}}
	if b.Graveyard {
		for _, g := range sim.Graveyard() {
			c, err := sim.Parse(g.Run)
			if err != nil {
				fmt.Fprintln(os.Stderr, "simulate:", err)
				os.Exit(2)
			}
			b.add(&s, c, watch)
		}
	}
	for i := uint64(0); i < b.Seeds && len(s.Violations) < b.Most; i++ {
		if b.Budget > 0 && s.Seeds > 0 && time.Since(start) > b.Budget {
			break
		}
		c := sim.Config{Seed: b.From + i*b.Step}
		if b.Length != sim.Length {
			c.Length = b.Length
		}
		b.add(&s, c, watch)
		s.Seeds++
		if s.Seeds%2000 == 0 {
			fmt.Fprintf(os.Stderr, "%d seeds in %v\n", s.Seeds, time.Since(start).Round(time.Second))
		}
	}
	s.CPU = (cpuTime() - cpu).Seconds()
	return s
}

// add runs one seed, and makes it smaller when it fails.
func (b *batch) add(s *summary, c sim.Config, watch watchdog) {
	done := watch.over("the run of a seed", (&sim.Violation{Config: c}).Replay(), mostOfARun)
	r, err := sim.Run(c)
	done()
	s.add(&r)
	var v *sim.Violation
	if !errors.As(err, &v) {
		if err != nil { // there is no such run
			fmt.Fprintf(os.Stderr, "simulate: %v: %v\n", c, err)
			os.Exit(2)
		}
		return
	}
	// At once, and of every process: a long run says the rest when it ends.
	fmt.Fprintf(os.Stderr, "VIOLATION: %v\nit is made smaller ...\n", v)
	done = watch.over("making a run smaller that breaks "+string(v.Property), v.Replay(), mostOfAShrink)
	small := sim.Shrinker{}.Shrink(v)
	done()
	fmt.Fprintf(os.Stderr, "replay: %s\nas found: %s\n", small.Replay(), v.Replay())
	s.Violations = append(s.Violations, found{
		Property: string(v.Property), What: v.What, Replay: small.Replay(), Full: v.Replay(),
	})
}

// processes is how many are worth having: each has a seed at least.
func (b *batch) processes(jobs int) int { return int(min(uint64(jobs), b.Seeds)) }

// errInterrupted: somebody ended it, so that it says nothing about what it ran.
var errInterrupted = errors.New("interrupted")

// shared has several processes run the seeds: within one, runs must not overlap.
// They end when this one is asked to end, and with it.
func (b *batch) shared(jobs int) (summary, error) {
	total := newSummary(b.From)
	self, err := os.Executable()
	if err != nil {
		return total, err
	}
	dir, err := os.MkdirTemp("", "simulate")
	if err != nil {
		return total, err
	}
	defer os.RemoveAll(dir)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var wait sync.WaitGroup
	var mu sync.Mutex
	for j := range uint64(jobs) {
		file := filepath.Join(dir, fmt.Sprint(j))
		cmd := exec.CommandContext(ctx, self,
			"-from", fmt.Sprint(b.From+j*b.Step), "-step", fmt.Sprint(b.Step*uint64(jobs)),
			"-seeds", fmt.Sprint((b.Seeds+uint64(jobs)-1-j)/uint64(jobs)), "-length", b.Length.String(), "-budget", b.Budget.String(),
			"-violations", fmt.Sprint(b.Most), fmt.Sprint("-graveyard=", b.Graveyard && j == 0), "-json", file)
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = cluster.ProcessAttributes()
		wait.Go(func() {
			// A parent's death is that of the thread that started the child.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			out, err := cmd.Output()
			part, wrong := readSummary(file)
			mu.Lock()
			defer mu.Unlock()
			if wrong != nil {
				// It died before it could tell: that is a failure of its own.
				total.Violations = append(total.Violations, found{
					Property: string(sim.Harness), What: fmt.Sprintf("a process ended without a summary: %v\n%s", err, out),
				})
				return
			}
			total.join(&part)
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return total, errInterrupted
	}
	return total, nil
}
