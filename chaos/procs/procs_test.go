//go:build linux

package main

import (
	"bytes"
	"os"
	"sync/atomic"
	"testing"
	"time"
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
	if err := networkTools(); err != nil || os.Geteuid() != 0 {
		t.Logf("without faults of the network, which need root and tools: %v", err)
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
	if r.tenures < 50 || r.opinion.Operations < 200 || r.deliveries < 200 {
		t.Errorf("%d tenures, %d operations in order, %d deliveries: too little has happened for it to prove anything", r.tenures, r.opinion.Operations, r.deliveries)
	}
	for _, c := range r.judged {
		if c.Checker == "exactly once" && c.N == 0 {
			t.Errorf("nothing was judged: %v", c)
		}
	}
	if len(r.faults) < 3 {
		t.Errorf("faults of %d kinds: want more", len(r.faults))
	}
}

// TestLoopbackPlan: what cannot be done is not chosen.
func TestLoopbackPlan(t *testing.T) {
	r := &runner{cfg: config{nodes: 3}, dead: make([]atomic.Bool, 3)}
	for _, c := range r.choices() {
		switch c.kind {
		case "isolated", "one way", "flapping", "packets late", "packets out of order", "power cut", "disk full", "disk stalled", "a sync fails":
			t.Errorf("%q is chosen without a network or disks of its own", c.kind)
		}
	}
}
