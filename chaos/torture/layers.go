package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// layer is one way of breaking Conch.
type layer struct {
	name  string
	what  string
	alone bool   // it has a lane of its own, and all the time
	lacks string // what it needs and is not there; empty: nothing
	parts int    // of the time of its lane in the first round; 0: one
	lines int    // of the end of what it writes, for the report; 0: 15
	// command is what runs it for some time; into is where it may leave files.
	command func(length time.Duration, seed uint64, into string) []string
	env     []string
}

// layers are all there are. A new one is one more entry.
func layers(root bool) []layer {
	power := ""
	if !root || runtime.GOOS != "linux" {
		power = "root on Linux"
	}
	seconds := func(d time.Duration) string { return d.Round(time.Second).String() }
	return []layer{
		{
			name: "sim", what: "the simulation of a whole cell", alone: true,
			env: []string{"GODEBUG=asyncpreemptoff=1"},
			command: func(length time.Duration, seed uint64, into string) []string {
				return []string{"go", "run", "./chaos/simulate", "-from", fmt.Sprint(seed), "-seeds", "1000000000",
					"-budget", seconds(length), "-violations", "20", "-json", into + ".json"}
			},
		},
		{
			name: "shell", what: "servers and clients in virtual time",
			command: func(length time.Duration, seed uint64, _ string) []string {
				return []string{"make", "--no-print-directory", "shell", "FOR=" + seconds(length), "FROM=" + fmt.Sprint(seed)}
			},
		},
		{
			// Most of its time goes to histories that are long enough to be worth judging.
			name: "procs", what: "real processes, killed, stopped and cut off", parts: 4, lines: 90,
			command: func(length time.Duration, seed uint64, into string) []string {
				args := []string{"go", "run", "./chaos/procs", "-for", seconds(length), "-seed", fmt.Sprint(seed), "-dir", into, "-keys", "40"}
				if os.Geteuid() == 0 {
					args = append(args, "-power")
				}
				if length > 10*time.Minute { // they take minutes of their own
					args = append(args, "-clock", "-crowd")
				}
				return args
			},
		},
		{
			name: "cuts", what: "power cuts under real processes", lacks: power,
			command: func(length time.Duration, seed uint64, into string) []string {
				return []string{"go", "run", "./chaos/procs", "-cuts", fmt.Sprint(max(1, int(length/(1200*time.Millisecond)))),
					"-seed", fmt.Sprint(seed), "-dir", into}
			},
		},
		{
			name: "damage", what: "damaged files of a minority",
			command: func(length time.Duration, seed uint64, _ string) []string {
				return []string{"go", "run", "./chaos/damage", "-injections", fmt.Sprint(max(1, int(length.Seconds()*15))),
					"-seed", fmt.Sprint(seed)}
			},
		},
		{
			name: "failover", what: "killed leaders on a build with the race detector",
			command: func(length time.Duration, _ uint64, _ string) []string {
				return []string{"make", "--no-print-directory", "failover", "LENGTH=" + seconds(length)}
			},
		},
		{
			name: "fuzz", what: "bad input to every decoder",
			command: func(length time.Duration, _ uint64, _ string) []string {
				return []string{"make", "--no-print-directory", "fuzz", "FUZZTIME=" + seconds(max(length/fuzzTargets, time.Second))}
			},
		},
		{
			name: "crashes", what: "power cut before each of 1,000 operations on a node's disk",
			command: func(time.Duration, uint64, string) []string {
				return []string{"make", "--no-print-directory", "crashes"}
			},
		},
		{
			name: "overload", what: "hostile clients of all kinds, and what is left of them",
			command: func(length time.Duration, _ uint64, _ string) []string {
				return []string{"make", "--no-print-directory", "overload", "OVERLOAD=" + seconds(min(max(length/2, 5*time.Second), time.Minute))}
			},
		},
	}
}

// errHangs: a layer goes on for much longer than it was to.
var errHangs = errors.New("it did not come to an end")

// bound is how long a layer may take that was to take so long; longer than this it
// hangs, which is a failure. What is built first, and judged in the end, takes
// minutes of its own.
func bound(length time.Duration) time.Duration {
	return min(2*length, length+30*time.Minute) + 10*time.Minute
}

// patience is how long the processes of a layer may take to end once they are told to.
const patience = time.Minute

// fuzzTargets is about how many there are, to share the time out.
const fuzzTargets = 27

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
	ctx, cancel := context.WithTimeoutCause(ctx, bound(length), errHangs)
	defer cancel()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), l.env...)
	cmd.Stdout, cmd.Stderr = file, file
	res.err = runGroup(ctx, cmd, patience)
	res.took = time.Since(res.began)
	res.read(into, max(15, l.lines))
	return res
}
