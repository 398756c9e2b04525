package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/conch-lock/conch/cmd/conch/config"
)

// fakeNode is ready at once and ends when it is told to, or by itself.
type fakeNode struct {
	spec  nodeSpec
	ready chan struct{}
	done  chan struct{}
	err   error
}

func (n *fakeNode) ClientAddress() string      { return n.spec.ListenClient }
func (n *fakeNode) Ready() <-chan struct{}     { return n.ready }
func (n *fakeNode) Done() <-chan struct{}      { return n.done }
func (n *fakeNode) Err() error                 { return n.err }
func (n *fakeNode) Stop(context.Context) error { return n.Close() }
func (n *fakeNode) Close() error {
	if n.err == nil {
		close(n.done)
	}
	return nil
}

// starting has an App start fake nodes, which are collected.
func starting(a *App, nodes *[]*fakeNode, then func(*fakeNode) error) {
	a.start = func(s nodeSpec) (node, error) {
		n := &fakeNode{spec: s, ready: make(chan struct{}), done: make(chan struct{})}
		close(n.ready)
		*nodes = append(*nodes, n)
		if err := then(n); err != nil {
			return nil, err
		}
		return n, nil
	}
}

// interrupting tells the process to stop when something is printed.
func interrupting(a *App) {
	out := a.Out
	a.Out = writerFunc(func(p []byte) (int, error) {
		defer func() { _ = syscall.Kill(os.Getpid(), syscall.SIGTERM) }()
		return out.Write(p)
	})
}

func TestServeSettingsFromEverywhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conch.toml")
	text := `
name = "n2"
data-dir = "/from/file"
listen-client = "127.0.0.1:1"
listen-peer = "127.0.0.1:2"
log-level = "debug"
[initial-cluster]
n1 = "127.0.0.1:2"
n2 = "127.0.0.1:3"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, out, errs := runner(nil, nil, map[string]string{"CONCH_DATA_DIR": "/from/env", "CONCH_NAME": "n3", "CONCH_CONFIG": file})
	var nodes []*fakeNode
	starting(a, &nodes, func(*fakeNode) error { return nil })
	interrupting(a)
	if code := a.Run([]string{"serve", "--name", "n1"}); code != 0 {
		t.Fatalf("exit status %d, stderr %s", code, errs)
	}
	if out.String() != "ready 127.0.0.1:1\n" {
		t.Errorf("stdout %q", out)
	}
	s := nodes[0].spec
	if s.Name != "n1" || s.DataDir != "/from/env" || s.ListenPeer != "127.0.0.1:2" || s.LogLevel != "debug" || s.LogFormat != "json" {
		t.Errorf("settings %+v: flag beats environment beats file beats default", s.Serve)
	}
	if want := []config.Node{{Name: "n1", Peer: "127.0.0.1:2"}, {Name: "n2", Peer: "127.0.0.1:3"}}; !slices.Equal(s.InitialCluster, want) {
		t.Errorf("cluster %v", s.InitialCluster)
	}
}

// A wrong setting is named after where it came from.
func TestServeNamesTheSource(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conch.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base := []string{"serve", "--data-dir", "/d", "--initial-cluster", "n1=127.0.0.1:2", "--config", file}
	tests := []struct {
		name, file string
		env        map[string]string
		args       []string
		says       string
	}{
		{"flag", "", nil, []string{"--name", "n4"}, `--name: "n4": it is not in initial-cluster (n1=127.0.0.1:2)`},
		{"environment", "", map[string]string{"CONCH_NAME": "n5"}, nil, `CONCH_NAME: "n5": it is not in`},
		{"file", `name = "n6"`, nil, nil, file + `: name: "n6": it is not in`},
		{"missing", "", nil, nil, "--name: the name of a node is empty"},
		{"unknown key", `nmae = "n1"`, nil, nil, file + `: unknown key "nmae": did you mean "name"?`},
		{"not of its type", `join = "perhaps"`, nil, nil, file + `: join: "perhaps"`},
		{"two of one name", "", nil, []string{"--name", "n1", "--initial-cluster", "n1=a:1,n1=b:1"}, "two nodes have the name"},
		{"not a list of nodes", "", nil, []string{"--name", "n1", "--initial-cluster", "n1"}, "--initial-cluster: \"n1\": \"n1\" is not NAME=HOST:PORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(tt.file)
			a, _, errs := runner(nil, nil, tt.env)
			a.start = func(nodeSpec) (node, error) { return nil, errors.New("it was started") }
			if code := a.Run(append(slices.Clone(base), tt.args...)); code != 64 || !strings.Contains(errs.String(), tt.says) {
				t.Errorf("exit status %d, stderr %s\nwant 64, %s", code, errs, tt.says)
			}
		})
	}
}

func TestServeReportsItsEnd(t *testing.T) {
	args := []string{"serve", "--name", "n1", "--data-dir", "/d", "--initial-cluster", "n1=127.0.0.1:2"}
	a, _, errs := runner(nil, nil, nil)
	var nodes []*fakeNode
	starting(a, &nodes, func(n *fakeNode) error {
		n.err = errors.New("the disk is full")
		close(n.done)
		return nil
	})
	if code := a.Run(args); code != 1 || !strings.Contains(errs.String(), "the node ended: the disk is full") {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
	a, _, errs = runner(nil, nil, nil)
	starting(a, &nodes, func(*fakeNode) error { return errors.New("the data is another node's") })
	if code := a.Run(args); code != 1 || !strings.Contains(errs.String(), "the data is another node's") {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
}

func TestDev(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	a, out, errs := runner(nil, nil, nil)
	var nodes []*fakeNode
	starting(a, &nodes, func(n *fakeNode) error { return os.MkdirAll(n.spec.DataDir, 0o700) })
	interrupting(a)
	if code := a.Run([]string{"dev", "--nodes", "2", "--listen", "127.0.0.1:0"}); code != 0 {
		t.Fatalf("exit status %d, stderr %s", code, errs)
	}
	if want := "ready " + nodes[0].spec.ListenClient + "," + nodes[1].spec.ListenClient + "\n"; out.String() != want {
		t.Errorf("stdout %q, want %q", out, want)
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("temporary data is left: %v", left)
	}
	for _, n := range nodes {
		select {
		case <-n.done:
		default:
			t.Errorf("node %s was not stopped", n.spec.Name)
		}
	}
}

// An error of a later node stops the earlier ones, and nothing is left.
func TestDevStopsWhatItStarted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	a, out, errs := runner(nil, nil, nil)
	var nodes []*fakeNode
	starting(a, &nodes, func(n *fakeNode) error {
		if n.spec.Name == "n2" {
			return errors.New("no room")
		}
		return os.MkdirAll(n.spec.DataDir, 0o700)
	})
	if code := a.Run([]string{"dev", "--listen", "127.0.0.1:0"}); code != 1 || !strings.Contains(errs.String(), "start node n2: no room") || out.Len() > 0 {
		t.Errorf("exit status %d, stdout %s, stderr %s", code, out, errs)
	}
	<-nodes[0].done
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("temporary data is left: %v", left)
	}
}

func TestDevPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, _, errs := runner(nil, nil, nil)
	if code := a.Run([]string{"dev", "--listen", l.Addr().String()}); code != 1 ||
		!strings.Contains(errs.String(), "dev: node n1: listen tcp "+l.Addr().String()+": bind: address already in use") {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
}

func TestDevNodeEnds(t *testing.T) {
	a, _, errs := runner(nil, nil, nil)
	var nodes []*fakeNode
	starting(a, &nodes, func(n *fakeNode) error {
		if n.spec.Name == "n3" {
			n.err = errors.New("fsync failed")
			close(n.done)
		}
		return nil
	})
	if code := a.Run([]string{"dev", "--listen", "127.0.0.1:0"}); code != 1 || !strings.Contains(errs.String(), "ended: fsync failed") {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
}
