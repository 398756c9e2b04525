//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// TestDiskFull: a follower's disk is full: its process ends and says so, and the
// others go on. Then the leader's, with which the majority is gone: nothing is
// acknowledged any more. With room again everything that was is there.
func TestDiskFull(t *testing.T) {
	c, disks := onDisks(t)
	client := dial(t, c)
	w := &register{client: client, value: incompressible(t, 768<<10)}
	for range 3 {
		w.goesOn(t)
	}
	leader, err := c.Leader(within(t, 30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var follower *cluster.Node
	for _, n := range c.Nodes() {
		if n != leader {
			follower = n
		}
	}
	for _, n := range []*cluster.Node{follower, leader} {
		fill(t, disks[n])
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			code, err := n.Ended(within(t, 4*time.Minute)) // some hundred writes of which each may take a second
			if code != 1 || err != nil {
				t.Errorf("%s with a full disk: exit status %d, %v", n.Name, code, err)
			}
		}()
		// It ends once the log needs another segment.
		for running := true; running; {
			select {
			case <-ended:
				running = false
			default:
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				err := w.put(ctx)
				cancel()
				// A machine that is busy may have the leader change meanwhile.
				if err != nil && n == follower && !errors.Is(err, sdk.ErrUnknownOutcome) {
					t.Fatalf("with two of three: %v", err)
				}
			}
		}
		if n == follower {
			w.goesOn(t)
		}
		said(t, n, "no space left", "free some and start again", n.Data)
	}
	// Nobody is left to decide.
	o := conch(within(t, 30*time.Second), "", nil, "--timeout", "1s", endpoints(c), "lock", "x", "--", "true")
	if o.code != 69 {
		t.Errorf("with one of three: exit status %d: %s", o.code, o.errors)
	}
	for _, n := range []*cluster.Node{follower, leader} {
		must(t, os.Remove(filepath.Join(disks[n].mount, "fill")))
	}
	startAll(t, c)
	w.check(t)
	sameState(t, c, client)
}

// TestDiskThatFails: the leader's disk fails: its process ends, says so, and is
// replaced; what it had acknowledged is there.
func TestDiskThatFails(t *testing.T) {
	c, disks := onDisks(t)
	w := &register{client: dial(t, c), value: []byte("x")}
	for range 50 {
		must(t, w.put(within(t, 10*time.Second)))
	}
	leader, err := c.Leader(within(t, 30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	must(t, disks[leader].cut()) // from here on every operation on it is an I/O error
	for range 20 {
		if err := w.put(within(t, 20*time.Second)); err != nil && !errors.Is(err, sdk.ErrUnknownOutcome) {
			t.Error(err)
		}
	}
	if code, err := leader.Ended(within(t, 30*time.Second)); code != 1 || err != nil {
		t.Errorf("%s with a broken disk: exit status %d, %v", leader.Name, code, err)
	}
	said(t, leader, "the node ended", "input/output error", leader.Data)
	w.check(t)
	must(t, disks[leader].remount())
	startAll(t, c)
	w.check(t)
	sameState(t, c, w.client)
}

// onDisks starts three nodes, each on a file system of its own.
func onDisks(t *testing.T) (*cluster.Cluster, map[*cluster.Node]*disk) {
	t.Helper()
	c := prepare(t)
	disks := make(map[*cluster.Node]*disk)
	for _, n := range c.Nodes() {
		disks[n] = newDisk(t, n.Name)
		n.Data = filepath.Join(disks[n].mount, "data")
	}
	t.Cleanup(c.Close) // before the disks are taken down
	startAll(t, c)
	return c, disks
}

// fill leaves no room on a disk.
func fill(t *testing.T, d *disk) {
	t.Helper()
	f, err := os.Create(filepath.Join(d.mount, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(0)
	for step := int64(64 << 20); step >= 4<<10; {
		switch err := unix.Fallocate(int(f.Fd()), 0, size, step); {
		case err == nil:
			size += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		case !errors.Is(err, unix.EINTR):
			t.Fatalf("fill %s: %v", d.mount, err)
		}
	}
}

// said checks what a node wrote to standard error.
func said(t *testing.T, n *cluster.Node, wants ...string) {
	t.Helper()
	last, err := n.LastWords()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range wants {
		if !strings.Contains(last, want) {
			t.Errorf("%s does not say %q: %s", n.Name, want, last)
		}
	}
}

// register writes a few keys again and again and knows what was acknowledged.
type register struct {
	client *sdk.Client
	value  []byte
	next   int
	acked  map[string]int // key to the write that was acknowledged last
}

func (w *register) key() string { return fmt.Sprint("key", w.next%5) }

func (w *register) put(ctx context.Context) error {
	w.next++
	key := w.key()
	_, err := w.client.Put(ctx, key, append(fmt.Appendf(nil, "%d ", w.next), w.value...))
	if err != nil {
		return fmt.Errorf("write %d: %w", w.next, err)
	}
	if w.acked == nil {
		w.acked = make(map[string]int)
	}
	w.acked[key] = w.next
	return nil
}

// goesOn waits until a write is acknowledged.
func (w *register) goesOn(t *testing.T) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for {
		err := w.put(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil || !errors.Is(err, sdk.ErrUnknownOutcome) {
			t.Fatalf("nothing is acknowledged: %v", err)
		}
	}
}

// check fails the test when a key is older than its last acknowledged write.
func (w *register) check(t *testing.T) {
	t.Helper()
	for key, acked := range w.acked {
		got, err := w.client.Get(within(t, 20*time.Second), key)
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		number, _, _ := bytes.Cut(got.Value, []byte(" "))
		var n int
		if _, err := fmt.Sscan(string(number), &n); err != nil || n < acked {
			t.Errorf("%s has write %q: write %d was acknowledged", key, number, acked)
		}
	}
}

func incompressible(t *testing.T, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}
