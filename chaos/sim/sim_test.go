package sim

import (
	"flag"
	"os"
	"testing"
)

var (
	seeds = flag.Int("seeds", 20, "how many seeds to run")
	from  = flag.Uint64("from", 1, "the first seed")
	tell  = flag.Bool("tell", false, "print what happens")
)

func TestSeeds(t *testing.T) {
	for s := *from; s < *from+uint64(*seeds); s++ {
		cfg := Config{Seed: s}
		if *tell {
			cfg.Log = os.Stdout
		}
		if _, err := Run(cfg); err != nil {
			t.Errorf("%v", err)
			if t.Failed() {
				return
			}
		}
	}
}

// TestReplay: the same seed gives the same run, to the last event.
func TestReplay(t *testing.T) {
	a, err := Run(Config{Seed: 42})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Run(Config{Seed: 42})
	if err != nil {
		t.Fatal(err)
	}
	if a.Trace != b.Trace || a.Events != b.Events || a.Entries != b.Entries {
		t.Fatalf("two runs of one seed differ: %+v and %+v", a, b)
	}
}
