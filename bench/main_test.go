package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/bench/load"
	"github.com/conch-lock/conch/bench/memory"
	"github.com/conch-lock/conch/bench/system"
)

// TestMain is one of the program's helpers when it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == roleFloor || os.Args[1] == roleHolder) {
		if err := run(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// small are options for a run of a few seconds.
func small(t *testing.T, args ...string) options {
	t.Helper()
	o, err := parseOptions(append([]string{
		"-quick", "-time", "100ms", "-sessions", "20", "-data", t.TempDir(), "-cache", t.TempDir(), "-out", t.TempDir(),
	}, args...))
	if err != nil {
		t.Fatal(err)
	}
	o.runInWindow, o.runInMost = 50*time.Millisecond, time.Second
	o.cycleClients, o.waiters, o.observers, o.kvClients, o.sessionTTL = []int{1, 4}, []int{2}, 3, 4, time.Second
	return o
}

// page runs a comparison and returns its page; data must be gone afterwards.
func page(ctx context.Context, t *testing.T, o options) string {
	t.Helper()
	if err := compare(ctx, o); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(o.data)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	text, err := os.ReadFile(filepath.Join(o.out, "results.md"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(o.out, "results.json")); err != nil {
		t.Error(err)
	}
	return string(text)
}

func TestWholeRunInMemory(t *testing.T) {
	o := small(t, "-rounds", "2")
	o.work = slices.DeleteFunc(o.work, func(k string) bool { return k == "crash" }) // it takes a process that can be killed
	o.systems, o.find = []string{"memory"}, func(string) system.System { return &memory.System{} }
	text := page(t.Context(), t, o)
	for _, want := range []string{
		"| work | measure | Memory | Memory, cheapest | Bare quorum commit |",
		"own lock, 1 client", "own lock, 4 clients", "one lock, 2 waiters", "new leader, 3 observers", "keys, 4 clients, 256 bytes",
		"20 sessions idle, TTL 1s", "SIGKILL of the leader", "SIGSTOP of the leader", "256 bytes and fdatasync", "64 bytes over loopback",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if strings.Contains(text, "failed") {
		t.Error("something failed")
	}
	if t.Failed() {
		t.Log(text)
	}
}

// missing is a system that is not on the machine.
type missing struct{ memory.System }

func (*missing) Prepare(context.Context, string) error {
	return &system.MissingError{What: "the thing", How: "get it"}
}

func TestMissingSystemIsANote(t *testing.T) {
	o := small(t, "-work", "cycles")
	o.systems = []string{"memory", "missing"}
	o.find = func(name string) system.System {
		if name == "missing" {
			return &missing{}
		}
		return &memory.System{}
	}
	if text := page(t.Context(), t, o); !strings.Contains(text, "the thing is missing; to have it: get it") {
		t.Error(text)
	}
	o.systems = []string{"missing"}
	if err := compare(t.Context(), o); err == nil {
		t.Error("a comparison of nothing")
	}
}

// TestTwoRunsDoNotMix: the second one is refused, and works when the first is over.
func TestTwoRunsDoNotMix(t *testing.T) {
	o := small(t, "-work", "cycles")
	o.systems, o.find = []string{"memory"}, func(string) system.System { return &memory.System{} }
	for _, dir := range []string{o.cache, o.out} {
		release, err := exclusively(dir, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := compare(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another run") {
			t.Errorf("with %s in use: %v", dir, err)
		}
		release()
	}
	if text := page(t.Context(), t, o); !strings.Contains(text, "load average at the beginning of round 1: ") {
		t.Errorf("no load average:\n%s", text)
	}
}

// otherwise is the service in memory with clients that take locks in another way.
type otherwise struct {
	memory.System
	lock func(name string) error
}

func (s *otherwise) Dial(ctx context.Context, endpoints []string, recipe, clients int, ttl time.Duration) (*system.Fleet, error) {
	f, err := s.System.Dial(ctx, endpoints, recipe, clients, ttl)
	if err == nil {
		for i := range f.Clients {
			f.Clients[i] = s
		}
	}
	return f, err
}

func (s *otherwise) Lock(_ context.Context, name string) (func(context.Context) error, error) {
	return func(context.Context) error { return nil }, s.lock(name)
}

// TestFailedWorkloadFailsTheRun: whoever looks only at how the run ended learns of
// it, and the table has all that was measured before and after.
func TestFailedWorkloadFailsTheRun(t *testing.T) {
	o := small(t, "-work", "cycles,handover,kv")
	o.systems, o.find = []string{"memory"}, func(string) system.System {
		return &otherwise{lock: func(name string) error {
			if name == "contended" {
				return errors.New("not today")
			}
			return nil
		}}
	}
	err := compare(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "1 failed") {
		t.Errorf("a workload that failed: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(o.out, "results.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"not today", "own lock, 4 clients", "Memory, cheapest"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in the page:\n%s", want, text)
		}
	}
}

// TestSeveralHoldersEndTheRun: nothing else of such a system is worth measuring.
func TestSeveralHoldersEndTheRun(t *testing.T) {
	o := small(t, "-work", "handover,kv,cycles", "-rounds", "50", "-time", "1s")
	o.waiters = []int{16}
	o.systems, o.find = []string{"memory"}, func(string) system.System {
		return &otherwise{lock: func(string) error { return nil }}
	}
	if err := compare(t.Context(), o); !errors.Is(err, load.ErrHolders) {
		t.Errorf("several holders: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(o.out, "results.md"))
	if err != nil || !strings.Contains(string(text), "cut short") || strings.Contains(string(text), "keys,") {
		t.Errorf("%v:\n%s", err, text)
	}
}

func TestLimitEndsTheRun(t *testing.T) {
	o := small(t, "-work", "cycles", "-time", "1h")
	o.systems, o.find = []string{"memory"}, func(string) system.System { return &memory.System{} }
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := compare(ctx, o); err == nil {
		t.Error("a run that was cut short is no error")
	}
	text, err := os.ReadFile(filepath.Join(o.out, "results.md"))
	if err != nil || !strings.Contains(string(text), "cut short") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestWholeRunOfConch(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and starts real servers")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	text := page(ctx, t, small(t, "-systems", "conch", "-work", "cycles,handover,kv,idle,failover,crash", "-time", "300ms"))
	for _, want := range []string{"own lock, 4 clients", "one lock, 2 waiters", "keys, 4 clients", "20 sessions idle", "SIGKILL of the leader", "SIGKILL of a holder"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if strings.Contains(text, "failed") {
		t.Error("something failed")
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestBadOptions(t *testing.T) {
	for _, args := range [][]string{
		{"-systems", "consul"}, {"-work", "everything"}, {"-rounds", "-1"}, {"-time", "-1s"}, {"-limit", "0s"}, {"extra"}, {"-data", "/no/such/folder"},
	} {
		if _, err := parseOptions(append([]string{"-cache", t.TempDir()}, args...)); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

func TestDataInMemoryIsRefused(t *testing.T) {
	const shm = "/dev/shm"
	if inMemory, err := onMemory(shm); err != nil || !inMemory {
		t.Skipf("%s is not in memory here: %v", shm, err)
	}
	if _, err := parseOptions([]string{"-cache", t.TempDir(), "-data", shm}); err == nil {
		t.Error("it was taken")
	}
}
