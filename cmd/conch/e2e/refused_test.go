package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
)

// TestRefusedStarts: a node that is started with data, ports or settings that
// are not right says what is wrong and does not run, and the others go on.
func TestRefusedStarts(t *testing.T) {
	c := start(t)
	client := dial(t, c)
	s, err := client.NewSession(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // so that there is a log to damage
		lock, err := s.Lock(within(t, 10*time.Second), fmt.Sprint("before", i))
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Unlock(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	n1, n2, n3 := c.Nodes()[0], c.Nodes()[1], c.Nodes()[2]
	if err := n3.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code, err := n3.Ended(within(t, time.Minute)); code != 0 || err != nil {
		t.Fatalf("%s was told to stop: exit status %d, %v", n3.Name, code, err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	log := filepath.Join("cells", "default", "log", "0000000000000001.wal")
	snapshots := filepath.Join("cells", "default", "snapshots")
	for _, x := range []struct {
		name string
		code int
		// change what is in dir, a copy of the third node's data, or the settings.
		change func(t *testing.T, dir string, settings map[string]string)
		want   []string
	}{
		{"wiped data", 1, func(t *testing.T, dir string, _ map[string]string) {
			must(t, os.RemoveAll(dir))
		}, []string{"another data directory than before", "Give it that directory back", n3.Name}},
		{"lost log", 1, func(t *testing.T, dir string, _ map[string]string) {
			must(t, os.RemoveAll(filepath.Join(dir, "cells")))
		}, []string{"its log is gone", "let it join again with an empty directory under a new name"}},
		{"lost identity", 1, func(t *testing.T, dir string, _ map[string]string) {
			must(t, os.Remove(filepath.Join(dir, "identity")))
		}, []string{`not the file "identity"`}},
		{"data of another node", 1, func(t *testing.T, dir string, settings map[string]string) {
			settings["name"] = n2.Name
		}, []string{"belongs to another node", `("` + n3.Name + `")`, `("` + n2.Name + `")`, "nothing was changed"}},
		{"data of another cluster", 1, func(t *testing.T, dir string, settings map[string]string) {
			settings["cluster"] = "other"
		}, []string{"belongs to another node", "of cluster ", "nothing was changed"}},
		{"data in use", 1, func(t *testing.T, _ string, settings map[string]string) {
			settings["name"], settings["data-dir"] = n1.Name, n1.Data
		}, []string{"the data directory " + n1.Data + " cannot be used", "locked by another process"}},
		{"a bit of the log", 1, func(t *testing.T, dir string, _ map[string]string) {
			flip(t, filepath.Join(dir, log), 500)
		}, []string{log, "is damaged at byte ", "nothing was changed", "restore it from an intact copy"}},
		{"a bit of the snapshot", 1, func(t *testing.T, dir string, _ map[string]string) {
			files, err := filepath.Glob(filepath.Join(dir, snapshots, "*.snap"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no snapshots: %v", err)
			}
			for _, f := range files {
				flip(t, f, 150)
			}
		}, []string{snapshots, "is damaged at byte ", "nothing was changed", "restore it from an intact copy"}},
		{"a bit of the identity", 1, func(t *testing.T, dir string, _ map[string]string) {
			flip(t, filepath.Join(dir, "identity"), 20)
		}, []string{"identity is damaged", "restore the file from a copy"}},
		{"client port in use", 1, func(t *testing.T, _ string, settings map[string]string) {
			settings["listen-client"] = taken.Addr().String()
		}, []string{"the client port cannot listen on " + taken.Addr().String(), "address already in use"}},
		{"peer port in use", 1, func(t *testing.T, _ string, settings map[string]string) {
			settings["listen-peer"] = taken.Addr().String()
		}, []string{"the peer port cannot listen on " + taken.Addr().String(), "address already in use"}},
		{"two nodes of one name", 64, func(t *testing.T, _ string, settings map[string]string) {
			settings["initial-cluster"] += ",n1=127.0.0.1:1"
		}, []string{"--initial-cluster", `two nodes have the name "n1"`}},
		{"a folder that is a file", 1, func(t *testing.T, dir string, _ map[string]string) {
			must(t, os.RemoveAll(dir))
			must(t, os.WriteFile(dir, nil, 0o600))
		}, []string{"make the data directory", "not a directory"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if out, err := exec.Command("cp", "-a", n3.Data, dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			settings := map[string]string{
				"name": n3.Name, "data-dir": dir, "listen-client": n3.Endpoint, "listen-peer": n3.Peer, "initial-cluster": members(c),
			}
			x.change(t, dir, settings)
			args := []string{"serve"}
			for k, v := range settings {
				args = append(args, "--"+k, v)
			}
			o := conch(within(t, 30*time.Second), "", nil, args...)
			if o.code != x.code {
				t.Errorf("exit status %d, want %d", o.code, x.code)
			}
			for _, w := range x.want {
				if !strings.Contains(o.errors, w) {
					t.Errorf("it does not say %q", w)
				}
			}
			if strings.Contains(o.out, "ready") {
				t.Error("it served")
			}
			if t.Failed() {
				t.Logf("it said:\n%s", o.errors)
			}
			if o := conch(within(t, 30*time.Second), "", nil, "lock", "meanwhile", endpoints(c), "--", "true"); o.code != 0 {
				t.Errorf("the others do not go on: exit status %d: %s", o.code, o.errors)
			}
		})
	}

	// With its own data it is back as if nothing had been.
	startAll(t, c)
	sameState(t, c, client)
}

// TestUnreachable: a client that reaches nobody says whom it tried and why that
// failed, in time.
func TestUnreachable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	must(t, closed.Close())
	for _, command := range [][]string{{"locks", "ls"}, {"status"}, {"lock", "x", "--", "true"}, {"lock", "x", "--try"}, {"token", "check", "x", "1"}} {
		begin := time.Now()
		o := conch(within(t, 30*time.Second), "", nil,
			append([]string{"--timeout", "1s", "--endpoints", closed.Addr().String() + "," + silent.Addr().String()}, command...)...)
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("%v: it took %v, with a --timeout of 1s", command, took)
		}
		if o.code != 69 || o.out != "" {
			t.Errorf("%v: exit status %d, printed %q", command, o.code, o.out)
		}
		for _, want := range []string{closed.Addr().String(), "connection refused", silent.Addr().String()} {
			if !strings.Contains(o.errors, want) {
				t.Errorf("%v: it does not say %q: %s", command, want, o.errors)
			}
		}
	}
}

// members is --initial-cluster.
func members(c *cluster.Cluster) string {
	var parts []string
	for _, n := range c.Nodes() {
		parts = append(parts, n.Name+"="+n.Peer)
	}
	return strings.Join(parts, ",")
}

// flip changes one bit of a file.
func flip(t *testing.T, file string, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatalf("%s, byte %d: %v", file, at, err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
