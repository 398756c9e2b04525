//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestFreezer: a process that is frozen does nothing, and goes on where it was; the
// group is gone then. Every freezer that there is does so.
func TestFreezer(t *testing.T) {
	if frost() == nil {
		t.Skip("it needs root and a freezer in /sys/fs/cgroup")
	}
	for _, f := range freezers {
		if f.works() {
			t.Run(filepath.Base(f.dir), func(t *testing.T) { frozenAndThawed(t, &f) })
		}
	}
}

func frozenAndThawed(t *testing.T, f *freezer) {
	in, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat")
	cmd.Stdin, cmd.Stdout = in, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = write.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	echo := func(patience time.Duration) error {
		_ = read.SetReadDeadline(time.Now().Add(patience))
		_, err := read.Read(make([]byte, 1))
		return err
	}
	send := func() {
		t.Helper()
		if _, err := write.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	send()
	if err := echo(time.Minute); err != nil {
		t.Fatal(err)
	}
	g, err := f.hold(fmt.Sprintf("conch-chaos-%d-98", os.Getpid()), cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	send()
	if err := echo(100 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a frozen process answered: %v", err)
	}
	if err := f.release(g, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := echo(time.Minute); err != nil {
		t.Errorf("it does not go on: %v", err)
	}
	if _, err := os.Stat(g.dir); !os.IsNotExist(err) {
		t.Errorf("its group is still there: %v", err)
	}
}
