package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/conch-lock/conch/chaos/group"
	"github.com/conch-lock/conch/chaos/tally"
)

// layer is one way of breaking Conch.
type layer struct {
	name  string
	what  string
	lane  int    // the layers of a lane run one after the other; lanes run side by side
	lacks string // what it needs and is not there; empty: nothing
	parts int    // of the time of its lane; 0: one
	lines int    // of the end of what it writes, for the report; 0: 15
	apart uint64 // from the seed of one run to that of the next; 0: one
	// command is what runs it for some time; into is where it may leave files.
	command func(length time.Duration, seed uint64, into string) []string
	env     func(into string) []string
	// counted is what a log tells of what was done, where the layer writes no tally.
	counted func(log []byte) *tally.Tally
	// enough says whether so much was done that every kind of fault must have taken
	// effect, and plenty whether everything that is judged must have come up; nil:
	// never.
	enough, plenty func(done *tally.Tally) bool
}

// Lanes: what starts processes, and what is one process that calculates.
const (
	processes = iota
	calculation
	lanes
)

// tallyFile is where a layer writes what it did.
func tallyFile(into string) string { return into + ".tally.json" }

// layers are all there are. A new one is one more entry. Each seed of the simulation
// has faults for some virtual time.
func layers(root bool, faults time.Duration) []layer {
	power := ""
	if !root || runtime.GOOS != "linux" {
		power = "root on Linux"
	}
	seconds := func(d time.Duration) string { return d.Round(time.Second).String() }
	return []layer{
		{
			name: "cuts", what: "power cuts under real processes", lane: processes, parts: 2, lacks: power,
			command: func(length time.Duration, seed uint64, into string) []string {
				return []string{"go", "run", "./chaos/procs", "-cuts", fmt.Sprint(max(1, int(length/(1200*time.Millisecond)))),
					"-seed", fmt.Sprint(seed), "-dir", into, "-tally", tallyFile(into)}
			},
		},
		{
			// Most of its time goes to histories that are long enough to be worth judging.
			name: "procs", what: "real processes, killed, stopped and cut off", lane: processes, parts: 12, lines: 100,
			command: func(length time.Duration, seed uint64, into string) []string {
				return append(processFlags(length, seed, root), "-dir", into, "-tally", tallyFile(into))
			},
			// Half of the faults are dealt from a deck of some 40 kinds, one in 2 s or less.
			enough: func(done *tally.Tally) bool { return done.Active >= 200 },
			// What is judged by time alone needs times without faults, which are rare.
			plenty: func(done *tally.Tally) bool { return done.Active >= 3600 },
		},
		{
			name: "failover", what: "killed leaders on a build with the race detector", lane: processes, parts: 2,
			command: func(length time.Duration, _ uint64, _ string) []string {
				args := []string{"make", "--no-print-directory", "failover", "LENGTH=" + seconds(length)}
				if length < 3*time.Minute { // the others take so long by themselves
					args = append(args, "TESTS=^(TestCounter|TestFailOver|TestKillAll)$")
				}
				return args
			},
			counted: func(log []byte) *tally.Tally {
				out := tally.New()
				out.Faults["SIGKILL of the leader"] = sumOf(log, `the leader killed (\d+) times`) + sumOf(log, `to the next grant: median \S+ of (\d+)`)
				return out
			},
		},
		{
			name: "overload", what: "hostile clients of all kinds, and what is left of them", lane: processes, parts: 1,
			command: func(length time.Duration, _ uint64, _ string) []string {
				return []string{"make", "--no-print-directory", "overload", "OVERLOAD=" + seconds(min(max(length/3, 5*time.Second), time.Minute))}
			},
		},
		{
			name: "shell", what: "servers and clients in virtual time", lane: processes, parts: 3,
			command: func(length time.Duration, seed uint64, _ string) []string {
				return []string{"make", "--no-print-directory", "shell", "FOR=" + seconds(length), "FROM=" + fmt.Sprint(seed)}
			},
			env:    func(into string) []string { return []string{"CONCH_SHELL_TALLY=" + absolute(tallyFile(into))} },
			enough: func(done *tally.Tally) bool { return done.Counts[tally.Seeds] >= 60 },
			plenty: func(done *tally.Tally) bool { return done.Counts[tally.Seeds] >= 60 },
			apart:  1000,
		},
		{
			name: "crashes", what: "power cut before each of 1,000 operations on a node's disk", lane: calculation,
			command: func(time.Duration, uint64, string) []string {
				return []string{"make", "--no-print-directory", "crashes"}
			},
			counted: func(log []byte) *tally.Tally {
				out := tally.New()
				out.Counts[tally.Crashes] = sumOf(log, `(\d+) crashes`)
				return out
			},
		},
		{
			name: "damage", what: "damaged files of a minority", lane: calculation,
			command: func(length time.Duration, seed uint64, into string) []string {
				return []string{"go", "run", "./chaos/damage", "-injections", fmt.Sprint(max(1, int(length.Seconds()*40))),
					"-seed", fmt.Sprint(seed), "-tally", tallyFile(into)}
			},
			apart: 100_000,
		},
		{
			name: "fuzz", what: "bad input to decoders, drawn by the seed", lane: calculation, parts: 6, lines: 30,
			command: func(length time.Duration, seed uint64, into string) []string {
				return []string{"go", "run", "./chaos/fuzz", "-for", seconds(length), "-seed", fmt.Sprint(seed), "-parallel", "1", "-tally", tallyFile(into)}
			},
		},
		{
			name: "sim", what: "the simulation of a whole cell", lane: calculation, parts: 14, apart: 10_000_000,
			env: func(string) []string { return []string{"GODEBUG=asyncpreemptoff=1"} },
			command: func(length time.Duration, seed uint64, into string) []string {
				return []string{"go", "run", "./chaos/simulate", "-from", fmt.Sprint(seed), "-seeds", "1000000000",
					"-length", faults.String(), "-budget", seconds(length), "-violations", "20", "-json", into + ".json"}
			},
			enough: func(done *tally.Tally) bool { return done.Counts[tally.Seeds] >= 10_000 },
			plenty: func(done *tally.Tally) bool { return done.Counts[tally.Seeds] >= 10_000 },
		},
	}
}

// processFlags run procs so that it is over after some time. The seed draws three
// nodes or five.
func processFlags(length time.Duration, seed uint64, root bool) []string {
	rng := rand.New(rand.NewPCG(seed, 7))
	// To begin with it builds, and in the end a crowd comes and all is judged.
	storm := max(length/2, length-90*time.Second)
	args := []string{"go", "run", "./chaos/procs", "-for", storm.Round(time.Second).String(), "-seed", fmt.Sprint(seed),
		"-nodes", fmt.Sprint(3 + 2*rng.IntN(2)), "-keys", "40", "-crowd"}
	switch { // that every kind of fault comes
	case storm < 5*time.Minute:
		args = append(args, "-arrival", "1200ms")
	case storm < 10*time.Minute:
		args = append(args, "-arrival", "2s")
	}
	if storm < 10*time.Minute || rng.IntN(4) > 0 { // otherwise a program as it is delivered
		args = append(args, "-clock")
	}
	if root {
		args = append(args, "-power")
	}
	return args
}

// sumOf is the sum of the numbers that a pattern finds in a log.
func sumOf(log []byte, pattern string) (sum uint64) {
	for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(log, -1) {
		n, _ := strconv.ParseUint(string(m[1]), 10, 64) // digits
		sum += n
	}
	return sum
}

// bound is how long a layer may take that was to take so long; longer than this it
// hangs, which is a failure. What is built first, and judged in the end, takes
// minutes of its own.
func bound(length time.Duration) time.Duration {
	return min(2*length, length+30*time.Minute) + 10*time.Minute
}

// patience is how long the processes of a layer may take to end once they are told to.
const patience = time.Minute

// run runs a layer for some time. What it writes goes into a file.
func (l *layer) run(ctx context.Context, length time.Duration, seed uint64, into string) result {
	args := l.command(length, seed, into)
	res := result{layer: l.name, seed: seed, log: into + ".log", command: args, began: time.Now()}
	file, err := os.Create(res.log)
	if err != nil {
		res.err, res.own = err, true
		return res
	}
	defer file.Close()
	whole := ctx
	ctx, cancel := context.WithTimeoutCause(whole, bound(length), group.ErrHangs)
	defer cancel()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = os.Environ()
	if l.env != nil {
		cmd.Env = append(cmd.Env, l.env(into)...)
	}
	cmd.Stdout, cmd.Stderr = file, file
	res.err = group.Run(ctx, cmd, group.Manner{Patience: patience})
	res.took = time.Since(res.began)
	res.read(l, into)
	if res.err != nil && whole.Err() != nil && !errors.Is(res.err, group.ErrHangs) {
		b, err := os.ReadFile(res.log)
		res.cut = err == nil && !alarms.Match(b)
	}
	return res
}

// absolute is a path for who runs in another folder, as tests do.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
