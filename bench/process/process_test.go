package process_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
)

func TestLife(t *testing.T) {
	p, err := process.Start(process.Spec{
		Name: "one", Path: "/bin/sh", Args: []string{"-c", "echo hello; exec sleep 100"}, Log: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Running() {
		t.Fatal(p.Complaint("it does not run"))
	}
	// A process that has only just become the program has no memory of its own yet.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := system.Until(ctx, func(context.Context) error {
		u, err := process.Sum([]*process.Process{p})
		if err == nil && u.Memory <= 0 {
			err = fmt.Errorf("usage %+v", u)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if p.Running() {
		t.Error("it runs after Kill")
	}
	if err := syscall.Kill(p.PID(), 0); err == nil {
		t.Error("its id is still taken")
	}
	if _, err := process.Sum([]*process.Process{p}); err == nil {
		t.Error("the usage of a process that has ended is not missed")
	}
	again, err := p.Again()
	if err != nil {
		t.Fatal(err)
	}
	defer again.Kill()
	if again.PID() == p.PID() || !again.Running() {
		t.Error("it was not started again")
	}
}

func TestComplaintQuotesTheLog(t *testing.T) {
	p, err := process.Start(process.Spec{
		Name: "one", Path: "/bin/sh", Args: []string{"-c", "echo no such disk >&2; exit 3"}, Log: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	text := p.Complaint("it does not serve").Error()
	for _, want := range []string{"one", "it does not serve", "exit status 3", "no such disk"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}

func TestUsageCountsCPU(t *testing.T) {
	before, err := process.Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); n++ {
		if n%1000 != 0 {
			continue
		}
		now, err := process.Of(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now.CPU >= before.CPU+50*time.Millisecond {
			return
		}
	}
	t.Error("20 s of work are no CPU")
}

func TestAddressesDiffer(t *testing.T) {
	all, err := process.Addresses(9)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, a := range all {
		if seen[a] || !strings.HasPrefix(a, "127.0.0.1:") {
			t.Errorf("%s in %v", a, all)
		}
		seen[a] = true
	}
}
