package floor_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/conch-lock/conch/bench/floor"
	"github.com/conch-lock/conch/bench/load"
)

// TestMain is a node of the quorum when it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "node" {
		f := flag.NewFlagSet("node", flag.ExitOnError)
		listen, file, followers := f.String("listen", "", ""), f.String("file", "", ""), f.String("followers", "", "")
		_ = f.Parse(os.Args[2:]) // ends the process when it fails
		fmt.Fprintln(os.Stderr, floor.Node(*listen, *file, *followers))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestQuorum(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	q := &floor.Quorum{Node: []string{os.Args[0], "node"}}
	cluster, err := q.Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	f, err := q.Dial(ctx, cluster.Endpoints(), 16)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	samples, err := load.Cycles(ctx, load.Timing{Length: 300 * time.Millisecond}, cluster, f.Clients)
	if err != nil {
		t.Fatal(err)
	}
	if samples[0].Value < 1 {
		t.Errorf("%+v", samples)
	}
	// A floor of which a part is broken is none: it ends when the leader notices.
	cluster.Servers()[0].Kill()
	for err == nil {
		if _, err = f.Clients[0].Lock(ctx, ""); ctx.Err() != nil {
			t.Fatal("it goes on committing after a part of it broke")
		}
	}
}

func TestParts(t *testing.T) {
	synced, err := floor.Fdatasync(t.TempDir(), 50*time.Millisecond)
	if err != nil || len(synced) == 0 {
		t.Fatalf("%v, %v", synced, err)
	}
	tripped, err := floor.Loopback(50 * time.Millisecond)
	if err != nil || len(tripped) == 0 {
		t.Fatalf("%v, %v", tripped, err)
	}
	if tripped[0] <= 0 || tripped[0] > tripped[len(tripped)-1] {
		t.Errorf("from %v to %v", tripped[0], tripped[len(tripped)-1])
	}
}
