package conchcron

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// patience bounds every wait for a condition.
const patience = 30 * time.Second

// endpoints are those of a cluster of one real node, for all tests.
var endpoints []string

func TestMain(m *testing.M) {
	code, err := withCluster(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withCluster(run func() int) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "conchcron-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binary, err := cluster.Build(ctx, dir)
	if err != nil {
		return 0, err
	}
	c, err := cluster.New(cluster.Config{Binary: binary, Dir: dir, Nodes: 1})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.Start(ctx); err != nil {
		return 0, err
	}
	endpoints = c.Endpoints()
	return run(), nil
}

// dial is a process of its own, as far as the cell can tell.
func dial(t *testing.T) *sdk.Client {
	t.Helper()
	c, err := sdk.Dial(t.Context(), sdk.Config{Endpoints: endpoints, Name: "conchcron test", SessionTTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// unique is a name for what a test makes in the cell, which goes on from test
// to test.
func unique(t *testing.T) string { return fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano()) }

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
