// Command torture runs all layers that break Conch for some minutes or hours,
// unattended, and leaves a report.
//
// Usage:
//
//	torture -for 10m              what make chaos does
//	torture -for 8h -seed 1234    what make torture does, from a seed
//
// Two lanes run side by side, so that two cores are busy: the simulation in one,
// and in the other all other layers ([layers]), one after the other, again and
// again. What each of them wrote stays in the folder of the report. A layer that
// fails does not stop the others; the exit code is 1 when one did.
//
// It is run from the root of the repository. Layers that need root or Linux are
// left out, and named, where that is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "how long")
	seed := flag.Uint64("seed", 0, "where seeds begin; 0: from the clock")
	dir := flag.String("dir", "", "folder of the report; empty: reports/SEED")
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().Unix()) * 1000
	}
	if *dir == "" {
		*dir = filepath.Join("reports", fmt.Sprint(*seed))
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(2)
	}
	fmt.Printf("torture: seed %d, for %v, report in %s\n", *seed, *length, *dir)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := torture(ctx, layers(os.Geteuid() == 0), *length, *seed, *dir)
	text := r.text()
	fmt.Print(text)
	if err := os.WriteFile(filepath.Join(*dir, "report.md"), []byte(text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(2)
	}
	if r.failed() {
		os.Exit(1)
	}
}

// torture runs both lanes until the time is over.
func torture(ctx context.Context, all []layer, length time.Duration, seed uint64, dir string) *report {
	r := &report{seed: seed, began: time.Now(), length: length}
	end := r.began.Add(length)
	var first, second []layer
	for _, l := range all {
		switch {
		case l.lacks != "":
			r.left = append(r.left, l)
		case l.alone:
			first = append(first, l)
		default:
			second = append(second, l)
		}
	}
	var wait sync.WaitGroup
	for _, lane := range [][]layer{first, second} {
		if len(lane) > 0 {
			wait.Go(func() { run(ctx, r, lane, end, seed, dir) })
		}
	}
	wait.Wait()
	r.took = time.Since(r.began)
	return r
}

// longest is how long a layer of the second lane runs at a time.
const longest = 20 * time.Minute

// run runs the layers of a lane in turn until the end.
func run(ctx context.Context, r *report, lane []layer, end time.Time, seed uint64, dir string) {
	for n := uint64(0); ; n++ {
		for i, l := range lane {
			left := time.Until(end)
			if ctx.Err() != nil || left < 5*time.Second && n > 0 {
				return
			}
			share := min(longest, left)
			if l.alone {
				share = left
			} else if n == 0 {
				share = min(longest, max(part(lane[i:], left), 5*time.Second))
			}
			r.add(l.run(ctx, share, seed+n, filepath.Join(dir, fmt.Sprintf("%s-%d", l.name, n))))
			if n > 0 && time.Until(end) <= 0 {
				return
			}
		}
		if time.Until(end) <= 0 {
			return
		}
	}
}

// part is the first layer's part of the time that is left for all of them.
func part(layers []layer, left time.Duration) time.Duration {
	parts := 0
	for _, l := range layers {
		parts += max(1, l.parts)
	}
	return left * time.Duration(max(1, layers[0].parts)) / time.Duration(parts)
}
