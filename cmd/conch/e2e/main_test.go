package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// binary is the conch program under test.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(asWriter) != "" {
		os.Exit(writer()) // this program is the child of a conch lock, see stopped_test.go
	}
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "conch-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		binary, err = cluster.Build(ctx, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// start starts three nodes that are killed at the end of the test. What they
// logged is shown when it failed.
func start(t *testing.T) *cluster.Cluster {
	t.Helper()
	c := prepare(t)
	startAll(t, c)
	return c
}

// prepare makes a cluster of which nothing runs yet.
func prepare(t *testing.T) *cluster.Cluster {
	t.Helper()
	c, err := cluster.New(cluster.Config{Binary: binary, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, c)
	return c
}

// closing kills what runs of a cluster at the end of the test, which fails when a
// node has panicked or raced, whether anybody noticed or not.
func closing(t *testing.T, c *cluster.Cluster) {
	t.Cleanup(func() {
		c.Close()
		for _, n := range c.Nodes() {
			found, err := n.Crashes()
			if err != nil {
				t.Error(err)
			}
			for _, crash := range found {
				t.Errorf("%s has crashed:\n%s", n.Name, crash)
			}
		}
		if !t.Failed() {
			return
		}
		for _, n := range c.Nodes() {
			log, _ := os.ReadFile(n.LogFile)
			if len(log) > 8<<10 {
				log = log[len(log)-8<<10:]
			}
			t.Logf("the log of %s ends with:\n%s", n.Name, log)
		}
	})
}

func startAll(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	if err := c.Start(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := c.Healthy(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
}

// within is a context that ends with the test, or earlier.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// dial is a client of the cluster that is closed at the end of the test.
func dial(t *testing.T, c *cluster.Cluster) *sdk.Client {
	t.Helper()
	client, err := sdk.Dial(within(t, 10*time.Second), sdk.Config{Endpoints: c.Endpoints(), Name: "e2e"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// outcome is how a conch command ended.
type outcome struct {
	code        int
	out, errors string
}

// conch runs the program to its end.
func conch(ctx context.Context, dir string, env []string, args ...string) outcome {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	o := outcome{code: cmd.ProcessState.ExitCode(), out: out.String(), errors: complaints.String()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.code, o.errors = -1, err.Error()
	}
	return o
}

// endpoints are the flag that names the nodes.
func endpoints(c *cluster.Cluster) string { return "--endpoints=" + strings.Join(c.Endpoints(), ",") }

// sameState waits until every node has told its hash and fails unless all are
// the same.
func sameState(t *testing.T, c *cluster.Cluster, client *sdk.Client) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	if err := c.Healthy(ctx); err != nil {
		t.Fatal(err)
	}
	for {
		h, err := client.Hash(ctx)
		complete := err == nil
		for _, n := range h.Nodes {
			complete = complete && n.Error == ""
		}
		switch {
		case complete && h.Equal:
			return
		case complete:
			t.Fatalf("the nodes have different states: %+v", h.Nodes)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not every node told its hash: %+v: %v", h.Nodes, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
