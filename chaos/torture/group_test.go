//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHangingChild: the child of a child that takes no notice of being told to end
// is ended all the same, and so is one that is left by a command that has ended.
func TestHangingChild(t *testing.T) {
	const deaf = `sh -c 'trap "" TERM QUIT; exec 3> "$1"; echo up >&3; while :; do sleep 0.1 3>&-; done' sh "$1" & `
	for name, c := range map[string]struct {
		script string
		cancel error // nil: it ends by itself
		says   string
	}{
		"told to end": {deaf + "wait", context.Canceled, "context canceled"},
		"hangs":       {deaf + "wait", errHangs, "it did not come to an end"},
		"left behind": {deaf + "read x < \"$2\"", nil, "left processes behind"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			dir := t.TempDir()
			alive, release := filepath.Join(dir, "alive"), filepath.Join(dir, "release")
			for _, pipe := range []string{alive, release} {
				if err := syscall.Mkfifo(pipe, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			result := make(chan error, 1)
			go func() {
				result <- runGroup(ctx, exec.Command("sh", "-c", c.script, "sh", alive, release), 100*time.Millisecond)
			}()
			f, err := os.Open(alive) // waits for the child's child to open it
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			lines := bufio.NewReader(f)
			if said, err := lines.ReadString('\n'); said != "up\n" {
				t.Fatalf("%q, %v", said, err)
			}
			if c.cancel != nil {
				cancel(c.cancel)
			} else if err := os.WriteFile(release, []byte("x\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := <-result; err == nil || !strings.Contains(err.Error(), c.says) || c.cancel == errHangs && !errors.Is(err, errHangs) {
				t.Errorf("%v: want that it %s", err, c.says)
			}
			if _, err := lines.ReadByte(); err == nil { // the end of the file comes with its end
				t.Error("it goes on")
			}
		})
	}
}
