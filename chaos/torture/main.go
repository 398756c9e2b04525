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
// fails does not stop the others; the exit code is 1 when one did. One that hangs
// is ended with all its processes, and says in its log where its goroutines were;
// one that fails three times in a row as soon as it has begun is given up.
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
	"slices"
	"sync"
	"syscall"
	"time"
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "how long")
	seed := flag.Uint64("seed", 0, "where seeds begin; 0: from the clock")
	dir := flag.String("dir", "", "folder of the report; empty: reports/SEED")
	flag.Parse()
	if flag.NArg() > 0 || *length < shortest {
		fmt.Fprintf(os.Stderr, "torture: no arguments are allowed, and -for must be %v or more\n", shortest)
		os.Exit(2)
	}
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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

// shortest is for how long it can run: layers count in seconds, and take none for
// no end at all.
const shortest = time.Second

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

// A layer that fails at once so often in a row is not run again: it would fail for
// the rest of the night.
const (
	mostAtOnce = 3
	atOnce     = 30 * time.Second
)

// apart is how far the seeds of two runs of a lane's only layer are apart, which
// may run many from there on.
const apart = 10_000_000

// run runs the layers of a lane in turn until the end, or until each has failed at
// once too often. When it cannot write its own files it stops.
func run(ctx context.Context, r *report, lane []layer, end time.Time, seed uint64, dir string) {
	lane, failures := slices.Clone(lane), map[string]int{} // by layer, in a row
	for n := uint64(0); ; n++ {
		lane = slices.DeleteFunc(lane, func(l layer) bool { return failures[l.name] >= mostAtOnce })
		if len(lane) == 0 {
			return
		}
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
			from := seed + n
			if l.alone {
				from = seed + n*apart
			}
			res := l.run(ctx, share, from, filepath.Join(dir, fmt.Sprintf("%s-%d", l.name, n)))
			if res.err != nil && res.took < min(atOnce, share/2) {
				failures[l.name]++
				res.last = failures[l.name] == mostAtOnce
			} else {
				failures[l.name] = 0
			}
			if r.add(res); res.own {
				return
			}
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
