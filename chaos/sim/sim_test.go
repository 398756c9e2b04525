package sim

import (
	"flag"
	"os"
	"testing"
)

var (
	seeds = flag.Int("seeds", 40, "how many seeds to run")
	from  = flag.Uint64("from", 1, "the first seed")
	tell  = flag.Bool("tell", false, "print what happens")
)

// TestSeeds runs some seeds, and tells which situations they did not meet: a run
// of the nightly size has to meet all.
func TestSeeds(t *testing.T) {
	var all Tally
	for s := *from; s < *from+uint64(*seeds); s++ {
		cfg := Config{Seed: s}
		if *tell {
			cfg.Log = os.Stdout
		}
		r, err := Run(cfg)
		if err != nil {
			t.Fatalf("%v", err)
		}
		all.Add(&r.Tally)
	}
	t.Logf("not met in %d seeds: %q", *seeds, all.Missing())
}

// TestOneDownOrSlow: with one node down or slow, clients of the others wait for
// an acquire no more than three times as long as with all well.
func TestOneDownOrSlow(t *testing.T) {
	var all Tally
	for s := *from; s < *from+uint64(*seeds)/4; s++ {
		r, err := Run(Config{Seed: s, Work: Ailing})
		if err != nil {
			t.Fatalf("%v", err)
		}
		all.Add(&r.Tally)
	}
	for _, s := range []Situation{oneDown, slowFollower, slowLeader} {
		if all.Situations[s] == 0 {
			t.Errorf("it never happened: %v", s)
		}
	}
}

// TestReplay: the same seed gives the same run, to the last event.
func TestReplay(t *testing.T) {
	for _, seed := range []uint64{42, 44, 45} {
		a, err := Run(Config{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		b, err := Run(Config{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if a.Trace != b.Trace || a.Events != b.Events || a.Entries != b.Entries || a.Tally != b.Tally {
			t.Fatalf("two runs of one seed differ: %+v and %+v", a, b)
		}
	}
}

// BenchmarkSeed tells how fast the simulation is: virtual seconds for each second
// of real time on one core, three nodes with everything that goes wrong.
func BenchmarkSeed(b *testing.B) {
	virtual, seed := 0.0, uint64(0)
	for b.Loop() {
		if seed++; seed%4 == 0 {
			seed++ // of five nodes
		}
		r, err := Run(Config{Seed: seed})
		if err != nil {
			b.Fatal(err)
		}
		virtual += r.Virtual.Seconds()
	}
	b.ReportMetric(virtual/b.Elapsed().Seconds(), "virtual-s/s")
}
