//go:build unix

package group

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A child that does not hear that it is to end, and says so into a pipe.
const deaf = `sh -c 'trap "" TERM QUIT; exec 3> "$1"; echo up >&3; while :; do sleep 0.1 3>&-; done' sh "$1" & `

// runsUntilKilled names the environment variable that has this program run deaf in
// a group, with that pipe, until somebody kills it.
const runsUntilKilled = "CONCH_TEST_GROUP"

func TestMain(m *testing.M) {
	Keep()
	if pipe := os.Getenv(runsUntilKilled); pipe != "" {
		how := Manner{Patience: 100 * time.Millisecond}
		if os.Getenv("CONCH_TEST_AT_ONCE") != "" {
			how = Manner{Signal: syscall.SIGKILL, Patience: time.Hour}
		}
		_ = Run(context.Background(), exec.Command("sh", "-c", deaf+"wait", "sh", pipe), how)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestKilledStarter: what runs in a group ends when the process that started it is
// killed, also what takes no notice of being told to, and the keeper with it.
func TestKilledStarter(t *testing.T) {
	for _, more := range []string{"CONCH_TEST_AT_ONCE=", "CONCH_TEST_AT_ONCE=yes"} {
		t.Run(more, func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "alive")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			starter := exec.Command(self)
			starter.Env = append(os.Environ(), runsUntilKilled+"="+pipe, more)
			if err := starter.Start(); err != nil {
				t.Fatal(err)
			}
			lines := up(t, pipe)
			if err := starter.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = starter.Wait()           // it was killed
			ended := make(chan error, 1) // the end of the file comes with the end of all
			go func() { _, err := lines.ReadByte(); ended <- err }()
			select {
			case err := <-ended:
				if err != io.EOF {
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Error("it goes on")
			}
		})
	}
}

// up waits until the child of a child has opened a pipe and said that it is there;
// the end of what is returned comes with the end of all that have it.
func up(t *testing.T, pipe string) *bufio.Reader {
	t.Helper()
	f, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	lines := bufio.NewReader(f)
	if said, err := lines.ReadString('\n'); said != "up\n" {
		t.Fatalf("%q, %v", said, err)
	}
	return lines
}

// TestHangingChild: the child of a child that takes no notice of being told to end
// is ended all the same, and so is one that is left by a command that has ended.
func TestHangingChild(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		cancel error // nil: it ends by itself
		says   string
	}{
		"told to end": {deaf + "wait", context.Canceled, "context canceled"},
		"hangs":       {deaf + "wait", ErrHangs, "it did not come to an end"},
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
				result <- Run(ctx, exec.Command("sh", "-c", c.script, "sh", alive, release), Manner{Patience: 100 * time.Millisecond})
			}()
			lines := up(t, alive)
			if c.cancel != nil {
				cancel(c.cancel)
			} else if err := os.WriteFile(release, []byte("x\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := <-result; err == nil || !strings.Contains(err.Error(), c.says) || c.cancel == ErrHangs && !errors.Is(err, ErrHangs) {
				t.Errorf("%v: want that it %s", err, c.says)
			}
			if _, err := lines.ReadByte(); err == nil { // the end of the file comes with its end
				t.Error("it goes on")
			}
		})
	}
}
