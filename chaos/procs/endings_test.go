//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
)

// TestWrongEnd: a panic, a race, a signal and a wrong reason are no good ends.
func TestWrongEnd(t *testing.T) {
	const full = "conch: serve: the node ended: write x: no space left on device"
	for name, c := range map[string]struct {
		code  int
		last  string
		may   []ending
		wrong string
	}{
		"in good order":              {0, "", []ending{inOrder}, ""},
		"asked to, and it failed":    {1, full, []ending{inOrder}, "exit status 1"},
		"asked to, and it panicked":  {2, "", []ending{inOrder}, "exit status 2"},
		"asked to, and it had raced": {66, "", []ending{inOrder}, "exit status 66"},
		"killed":                     {137, "", []ending{byKill}, ""},
		"it was gone before":         {0, "", []ending{byKill}, "exit status 0"},
		"a full disk":                {1, full, []ending{noRoom}, ""},
		"and it went in peace":       {0, full, []ending{noRoom}, "exit status 0"},
		"and it panicked":            {2, full, []ending{noRoom}, "exit status 2"},
		"another reason":             {1, "conch: serve: the node ended: the state is odd", []ending{noRoom}, "another reason"},
		"no reason":                  {1, "", []ending{noRoom}, "another reason"},
		"no files, or no room":       {1, full, []ending{noFiles, noRoom}, ""},
		"too large for its memory":   {137, full, []ending{noMem, byKill}, ""},
		"a segmentation fault":       {139, "", []ending{noMem, byKill}, "exit status 139"},
	} {
		got := wrongEnd(c.code, c.last, c.may...)
		if (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%s: %q: want %q", name, got, c.wrong)
		}
	}
}

// crashRun is a run of one node that is a script.
func crashRun(t *testing.T, script string) *runner {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "node")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.New(cluster.Config{Binary: program, Dir: dir, Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	r := bareRunner(t, 1)
	r.cluster = c
	if err := c.Nodes()[0].Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

func bareRunner(t *testing.T, nodes int) *runner {
	return newRunner(t.Context(), config{nodes: nodes, seed: 1, length: time.Second, out: os.Stderr})
}

// TestCrashesAreViolations: a node whose log has a panic that was caught, and one
// that panics when it is asked to end.
func TestCrashesAreViolations(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		wrong  []string
	}{
		"good":        {"trap 'exit 0' TERM\necho ready now\nwhile :; do sleep 0.01; done\n", nil},
		"it panicked": {"trap 'echo panic: boom >&2; exit 2' TERM\necho ready now\nwhile :; do sleep 0.01; done\n", []string{"exit status 2", "panic: boom"}},
		"one was caught": {"trap 'exit 0' TERM\necho '{\"level\":\"error\",\"panic\":\"boom\"}' >&2\necho ready now\nwhile :; do sleep 0.01; done\n",
			[]string{`"panic":"boom"`}},
		"it raced": {"trap 'echo WARNING: DATA RACE >&2; exit 66' TERM\necho ready now\nwhile :; do sleep 0.01; done\n", []string{"exit status 66", "DATA RACE"}},
	} {
		r := crashRun(t, c.script)
		if err := r.node(0).Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.closeInOrder(); err != nil {
			t.Fatal(err)
		}
		r.crashes()
		found := r.history.wrongs()
		if len(found) != len(c.wrong) {
			t.Errorf("%s: %q: want %q", name, found, c.wrong)
			continue
		}
		for i, want := range c.wrong {
			if !strings.Contains(found[i], want) {
				t.Errorf("%s: %q: want %q", name, found[i], want)
			}
		}
	}
}

// TestNodeThatDoesNotStart: it is a violation, and not the end of the run without
// a judgement.
func TestNodeThatDoesNotStart(t *testing.T) {
	r := crashRun(t, "echo panic: at once >&2; exit 2\n")
	if _, err := r.node(0).Ended(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.revive(t.Context(), 0); err != nil {
		t.Errorf("%v: want a violation", err)
	}
	if found := r.history.wrongs(); len(found) != 1 || !strings.Contains(found[0], "at once") {
		t.Errorf("%q: want that it does not start, and what it said", found)
	}
}
