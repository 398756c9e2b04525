package main

import (
	crand "crypto/rand"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/conch-lock/conch/chaos/tally"
)

func main() {
	var cfg config
	flag.IntVar(&cfg.injections, "injections", 1000, "how many")
	flag.Uint64Var(&cfg.seed, "seed", 1, "of the first; each has the next")
	flag.StringVar(&cfg.tally, "tally", "", "a file into which to write what was done, as JSON")
	whole := flag.Bool("whole", false, "put whole directories back to older copies instead, with the other two nodes up")
	flag.Parse()
	if *whole {
		cfg.order = wholeLast
	}
	if flag.NArg() > 0 || cfg.injections < 1 {
		fmt.Fprintln(os.Stderr, "damage: no arguments, and at least one injection")
		os.Exit(2)
	}
	ok, err := run(cfg, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "damage:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// config says what to run.
type config struct {
	injections int
	seed       uint64
	order      order
	tally      string // a file for what was done; empty: none
}

// perStage is how many injections begin from the disks of one cell.
const perStage = 100

// seeded is a source of the election timeouts that raft takes from crypto/rand,
// so that a seed replays.
type seeded struct{ rng *rand.Rand }

func (s seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.rng.Uint32())
	}
	return len(p), nil
}

// run makes the injections and says whether nothing was wrong.
func run(cfg config, w io.Writer) (bool, error) {
	if cfg.tally != "" {
		if err := tally.Writable(cfg.tally); err != nil { // not after an hour of work
			return false, err
		}
	}
	reader := crand.Reader
	defer func() { crand.Reader = reader }()
	began := time.Now()
	counts, reasons, bad := map[string]int{}, map[string]string{}, 0
	sum := tally.New()
	var s *stage
	seed := cfg.seed
	for done := 0; done < cfg.injections; seed++ {
		if at := seed / perStage; s == nil || seed%perStage == 0 {
			crand.Reader = seeded{rand.New(rand.NewPCG(at, 1))}
			var err error
			if s, err = newStage(at); err != nil {
				return false, err
			}
		}
		crand.Reader = seeded{rand.New(rand.NewPCG(seed, 2))}
		r := inject(s, seed, cfg.order)
		if r.file == "" {
			continue // there was nothing to damage so
		}
		done++
		counts[fmt.Sprintf("%-20s %s", r.kind, r.outcome)]++
		sum.Faults[r.kind]++
		sum.Counts[tally.Injections]++
		if r.reason != "" && reasons[r.kind] == "" {
			reasons[r.kind] = r.reason
		}
		if r.bad != "" {
			bad++
			if bad <= 20 {
				fmt.Fprintf(w, "VIOLATION: seed %d: %s of %s: %s\n    again: go run ./chaos/damage -injections 1 -seed %d%s\n", seed, r.kind, r.file, r.bad, seed, map[order]string{wholeLast: " -whole"}[cfg.order])
			}
		}
	}
	fmt.Fprintf(w, "\n%d injections in %v, seeds %d to %d\n", cfg.injections, time.Since(began).Round(time.Second), cfg.seed, seed-1)
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%8d  %s\n", counts[k], k)
	}
	for _, k := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(w, "such as, %s: %s\n", k, reasons[k])
	}
	if cfg.tally != "" {
		if err := sum.Write(cfg.tally); err != nil {
			return false, err
		}
	}
	if bad > 0 {
		fmt.Fprintf(w, "%d VIOLATIONS\n", bad)
	} else {
		fmt.Fprintln(w, "nothing that was acknowledged is lost, and all nodes that run have one state")
	}
	return bad == 0, nil
}
