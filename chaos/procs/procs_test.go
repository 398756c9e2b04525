//go:build linux

package main

import (
	"bytes"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conch-lock/conch/chaos/tally"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(asClient); spec != "" {
		os.Exit(clientProcess(spec)) // this program is a client process
	}
	os.Exit(m.Run())
}

// TestShortRun breaks three nodes for a few seconds. As root it breaks their
// network, too, where the tools for that are there.
func TestShortRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs real processes for a quarter of a minute")
	}
	var out bytes.Buffer
	cfg := config{length: 12 * time.Second, seed: 5, nodes: 3, arrival: 400 * time.Millisecond, most: 4, calm: 10 * time.Second, keys: 4, dir: t.TempDir(), out: &out}
	if err := networkLacks(); err != nil {
		if os.Getenv(requireNetwork) != "" {
			leaveOut(t, err)
		}
		t.Logf("without faults of the network: %v", err)
		cfg.loopback = true
	}
	r, err := run(t.Context(), cfg)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	r.print(&out)
	if len(r.violations) > 0 {
		t.Fatalf("%s", out.Bytes())
	}
	t.Logf("%s", out.Bytes())
	// On a core that was shared with a dozen others it was four times that and more.
	if r.tenures < 50 || r.opinion.Operations < 200 || r.deliveries < 200 || r.writes < 50 {
		t.Errorf("%d tenures, %d operations in order, %d deliveries, %d writes: too little has happened for it to prove anything", r.tenures, r.opinion.Operations, r.deliveries, r.writes)
	}
	for _, c := range r.judged {
		if c.Checker == "exactly once" && c.N == 0 {
			t.Errorf("nothing was judged: %v", c)
		}
	}
	kinds := 0
	for _, n := range r.faults {
		if n > 0 {
			kinds++
		}
	}
	if kinds < 3 {
		t.Errorf("faults of %d kinds: want more", kinds)
	}
	if sum := r.tally(); sum.Counts[tally.Checked] == 0 || sum.Counts[tally.Ordered] != uint64(r.opinion.Operations) || sum.Kinds() != uint64(kinds) {
		t.Errorf("what it tells of itself: %+v", sum)
	}
}

// TestLoopbackPlan: what cannot be done is not chosen.
func TestLoopbackPlan(t *testing.T) {
	r := &runner{cfg: config{nodes: 3}, dead: make([]atomic.Bool, 3)}
	for _, c := range r.choices() {
		switch c.kind {
		case "isolated", "one way", "flapping", "packets late", "packets out of order", "power cut", "disk full", "bridge", "ring", "split in two", "disk stalled", "a sync fails":
			t.Errorf("%q is chosen without a network or disks of its own", c.kind)
		}
	}
}
