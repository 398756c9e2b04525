package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCrashesIn: whatever a log tells of panics and races is found, with what
// follows it, and nothing else is.
func TestCrashesIn(t *testing.T) {
	const quiet = `{"level":"info","message":"a value may say \"panic\": or panic: and fatal error: x"}` + "\n" +
		"conch: serve: the node ended: panic: is only a word here\n" +
		"SIGQUIT: quit\nPC=0x1 m=0\n\ngoroutine 1 [running]:\npanic({0x1, 0x2})\n"
	for name, c := range map[string]struct {
		log   string
		found []string // what the crashes begin with
	}{
		"nothing":         {"", nil},
		"all is well":     {quiet, nil},
		"a panic":         {quiet + "panic: boom\n\ngoroutine 7 [running]:\n" + quiet, []string{"panic: boom\n\ngoroutine 7 [running]:\n"}},
		"of the runtime":  {"fatal error: concurrent map writes\n", []string{"fatal error: concurrent map writes\n"}},
		"a race":          {"==================\nWARNING: DATA RACE\nRead at 0x1 by goroutine 7:\n", []string{"WARNING: DATA RACE\nRead at 0x1"}},
		"one was caught":  {quiet + `{"level":"error","panic":"boom","message":"serving a call panicked"}` + "\n" + quiet, []string{`{"level":"error","panic":"boom"`}},
		"two":             {"panic: a\ngoroutine 1\n{}\nnot of it\npanic: b\n", []string{"panic: a\ngoroutine 1\n", "panic: b\n"}},
		"not a whole one": {"panic: bo", nil},
	} {
		found, read, err := crashesIn(strings.NewReader(c.log))
		if err != nil || len(found) != len(c.found) {
			t.Errorf("%s: %d crashes %q, %v: want %d", name, len(found), found, err, len(c.found))
			continue
		}
		if want := int64(strings.LastIndex(c.log, "\n") + 1); read != want {
			t.Errorf("%s: %d bytes were read: want %d", name, read, want)
		}
		for i, want := range c.found {
			if !strings.HasPrefix(found[i], want) || strings.Contains(found[i], "not of it") {
				t.Errorf("%s: found %q: want %q", name, found[i], want)
			}
		}
	}
}

// TestCrashIsSeen: a node that panics is told of once, with its exit status and
// what it said, and so is one that a signal ends.
func TestCrashIsSeen(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "crasher")
	script := "#!/bin/sh\necho \"conch: options $GORACE\" >&2\n[ -e " + dir + "/calm ] && kill -9 $$\necho panic: boom >&2\nexit 2\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Binary: program, Dir: dir, Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := c.Nodes()[0]
	if found, err := n.Crashes(); len(found) > 0 || err != nil {
		t.Errorf("before it was started: %q, %v", found, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	life := func(code int, crashes int) {
		t.Helper()
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		if got, err := n.Ended(ctx); got != code || err != nil {
			t.Errorf("exit status %d, %v: want %d", got, err, code)
		}
		if found, err := n.Crashes(); len(found) != crashes || err != nil {
			t.Errorf("crashes %q, %v: want %d", found, err, crashes)
		}
		if last, err := n.LastWords(); !strings.HasSuffix(last, "halt_on_error=1") || err != nil {
			t.Errorf("its last words are %q, %v: a race has to end it", last, err)
		}
	}
	life(2, 1)
	life(2, 1) // another one, and the first is not told again
	if err := os.WriteFile(filepath.Join(dir, "calm"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	life(128+int(syscall.SIGKILL), 0)
}
