package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// increment is a read-modify-write of one file, as careless as scripts are.
// The line in the log comes last: whoever is stopped in the middle leaves a
// counter that is at most too large.
const increment = `n=$(cat counter) && echo $((n+1)) > new.$$ && mv new.$$ counter && echo "$CONCH_TOKEN $n" >> log`

const competitors = 20

// TestCounter: twenty competing commands lose no update of one file while the
// leader is killed and started again every few seconds.
func TestCounter(t *testing.T) {
	length := 25 * time.Second
	if text := os.Getenv("CONCH_E2E_LENGTH"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("CONCH_E2E_LENGTH: %v", err)
		}
	}
	c := start(t)
	dir := counterFolder(t)
	ctx := within(t, length+2*time.Minute)
	work, done := context.WithTimeout(ctx, length)
	defer done()

	// The commands.
	var mu sync.Mutex
	ended := map[int]int{} // by exit status
	var wg sync.WaitGroup
	for range competitors {
		wg.Go(func() {
			for work.Err() == nil {
				o := conch(ctx, dir, nil, "lock", "counter", endpoints(c), "--", "sh", "-c", increment)
				mu.Lock()
				ended[o.code]++
				mu.Unlock()
				if o.code != 0 {
					t.Errorf("conch lock ended with %d: %s", o.code, o.errors)
					return
				}
			}
		})
	}

	// The killer.
	kills := 0
	for work.Err() == nil {
		if !pause(work, 2*time.Second) {
			break
		}
		leader, err := c.Leader(ctx)
		if err != nil {
			t.Error(err)
			break
		}
		if err := leader.Kill(); err != nil {
			t.Error(err)
			break
		}
		kills++
		pause(work, time.Second)
		if err := leader.Start(); err != nil {
			t.Error(err)
			break
		}
		if err := leader.Ready(ctx); err != nil {
			t.Error(err)
			break
		}
	}
	done()
	wg.Wait()

	lines, counter, err := countUpdates(dir)
	if err != nil {
		t.Error(err)
	}
	if lines != ended[0] || counter != ended[0] {
		t.Errorf("%d commands ended well, the log has %d lines and the counter is %d: all must be the same", ended[0], lines, counter)
	}
	// Every three seconds on an idle machine; starting a node takes as long as twenty
	// commands that start beside it let it.
	if want := max(1, int(length/(15*time.Second))); kills < want {
		t.Errorf("the leader was killed %d times, want %d at least", kills, want)
	}
	if ended[0] < competitors {
		t.Errorf("%d updates were made, want %d at least", ended[0], competitors)
	}
	sameState(t, c, dial(t, c))
	t.Logf("%d updates by %d competing commands in %v, the leader killed %d times, no update lost, tokens strictly rising", ended[0], competitors, length, kills)
}

// TestCounterWithoutLock makes sure that lost updates are seen: without the
// lock, the very same commands lose some.
func TestCounterWithoutLock(t *testing.T) {
	dir := counterFolder(t)
	var wg sync.WaitGroup
	for token := range competitors {
		wg.Go(func() {
			for range 10 {
				cmd := exec.CommandContext(t.Context(), "sh", "-c", increment)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "CONCH_TOKEN="+strconv.Itoa(token+1))
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
	wg.Wait()
	if _, _, err := countUpdates(dir); err == nil || !strings.Contains(err.Error(), "lost update") {
		t.Errorf("no update was lost: %v", err)
	}
}

func counterFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "counter"), []byte("0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// countUpdates reads what the commands left and says what is wrong with it:
// two that read the same value are a lost update.
func countUpdates(dir string) (lines, counter int, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "counter"))
	if err == nil {
		counter, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return 0, 0, err
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		return 0, 0, err
	}
	var wrong []error
	seen, last := map[int]int{}, 0
	for line := range strings.Lines(string(log)) {
		var token, read int
		if _, err := fmt.Sscanf(line, "%d %d\n", &token, &read); err != nil {
			return 0, 0, fmt.Errorf("line %q of the log: %w", line, err)
		}
		lines++
		if other, twice := seen[read]; twice {
			wrong = append(wrong, fmt.Errorf("lost update: tokens %d and %d both read %d", other, token, read))
		}
		seen[read] = token
		if token <= last {
			wrong = append(wrong, fmt.Errorf("token %d wrote after token %d", token, last))
		}
		last = token
	}
	return lines, counter, errors.Join(wrong...)
}

// pause waits and tells whether the context is still on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
