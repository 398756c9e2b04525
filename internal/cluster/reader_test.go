package cluster

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMute: what a node writes comes to its log, nothing does while nobody reads
// it, and everything that it wrote is there once it has ended, muted or not.
func TestMute(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no shell")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "talker")
	script := "#!/bin/sh\necho ready to talk\ni=0\nwhile :; do i=$((i+1)); echo a line to read $i >&2; done\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Binary: program, Dir: dir, Nodes: 1, Piped: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := c.Nodes()[0]
	size := func() int64 {
		info, err := os.Stat(n.LogFile)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	grows := func() {
		t.Helper()
		for since, was := time.Now(), size(); size() == was; time.Sleep(time.Millisecond) {
			if time.Since(since) > time.Minute {
				t.Fatal("the log does not grow")
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, muted := range []bool{false, true} {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		if err := n.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		grows()
		if err := n.Mute(); err != nil {
			t.Fatal(err)
		}
		still := 0
		for was := size(); still < 100; time.Sleep(time.Millisecond) {
			if now := size(); now != was {
				was, still = now, 0
			}
			still++
			if ctx.Err() != nil {
				t.Fatal("the log of a muted node grows on")
			}
		}
		if !muted {
			n.Unmute()
			grows()
		}
		if err := n.Kill(); err != nil {
			t.Fatal(err)
		}
		n.Unmute()
	}
	b, err := os.ReadFile(n.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		if !strings.HasPrefix(l, "a line to read ") {
			t.Fatalf("line %d is %q", i, l)
		}
	}
	if err := (&Node{}).Mute(); err == nil {
		t.Error("a node without a pipe was muted")
	}
}
