package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/conch-lock/conch/bench/load"
	"github.com/conch-lock/conch/bench/system"
)

// kinds are the workloads, in the order of the table.
var kinds = []string{"floor", "cycles", "handover", "observers", "kv", "idle", "scale", "failover", "crash"}

// options say what to run.
type options struct {
	systems []string
	find    func(name string) system.System // nil: there is none of that name
	work    []string
	rounds  int
	trials  int // of what gives a single value a time, in each round
	timing  load.Timing
	limit   time.Duration

	runInWindow, runInMost time.Duration // see load.RunIn

	cycleClients []int
	waiters      []int
	observers    int
	kvClients    int
	sessions     int
	sessionTTL   time.Duration
	holders      int // sessions that hold locks, in scale
	held         int // locks that they hold

	data, cache, out string
}

func parseOptions(args []string) (options, error) {
	o := options{
		find:         systemNamed,
		cycleClients: []int{1, 64, 256}, waiters: []int{16, 64, 256},
		runInWindow: 2 * time.Second, runInMost: 40 * time.Second,
		observers: 100, kvClients: 64, sessionTTL: 10 * time.Second,
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	systems := f.String("systems", strings.Join(systemNames(), ","), "systems, `NAMES` with commas between; the first is what others are compared with")
	work := f.String("work", strings.Join(kinds, ","), "workloads, `NAMES` with commas between")
	quick := f.Bool("quick", false, "one round of 1s each with a tenth of the sessions, where no other flag says otherwise")
	f.IntVar(&o.rounds, "rounds", 0, "how many rounds; a cell is their median (default 3)")
	f.DurationVar(&o.timing.Length, "time", 0, "how long each workload is measured (default 5s)")
	f.DurationVar(&o.timing.Warmup, "warmup", 0, "how long it runs before that (default a fifth of -time)")
	f.IntVar(&o.sessions, "sessions", 0, "how many idle sessions (default 10000)")
	f.IntVar(&o.held, "held", 0, "how many locks are held in scale, by a tenth as many sessions (default 1000000)")
	f.DurationVar(&o.limit, "limit", 2*time.Hour, "the whole run ends after that")
	f.StringVar(&o.data, "data", "", "`FOLDER` on a real disk for the data of the servers (default the system's temporary folder, or the cache if that is in memory)")
	f.StringVar(&o.cache, "cache", "", "`FOLDER` for the programs that are built (default conch-bench in the user's cache)")
	f.StringVar(&o.out, "out", "results", "`FOLDER` for results.md and results.json")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: there are only flags, see -help", f.Arg(0))
	}
	rounds, length, sessions, held := 3, 5*time.Second, 10000, 1_000_000
	o.trials = 3
	if *quick {
		rounds, length, sessions, held = 1, time.Second, 1000, 50_000
		o.trials, o.runInWindow = 1, time.Second
	}
	o.rounds = or(o.rounds, rounds)
	o.timing.Length = or(o.timing.Length, length)
	o.timing.Warmup = or(o.timing.Warmup, o.timing.Length/5)
	o.sessions = or(o.sessions, sessions)
	o.held = or(o.held, held)
	o.holders = max(1, o.held/10)
	if o.rounds < 1 || o.timing.Length <= 0 || o.timing.Warmup < 0 || o.sessions < 1 || o.held < 1 || o.limit <= 0 {
		return o, fmt.Errorf("-rounds, -time, -sessions, -held and -limit must be more than 0, and -warmup not less")
	}
	if most, err := openFiles(); err != nil {
		return o, err
	} else if most < o.sessions+spareFiles {
		return o, fmt.Errorf("-sessions %d: each may be a connection, and %d files may be open here: raise that with ulimit -n, or open at most %d", o.sessions, most, most-spareFiles)
	}
	var err error
	if o.systems, err = chosen("-systems", *systems, systemNames()); err != nil {
		return o, err
	}
	if o.work, err = chosen("-work", *work, kinds); err != nil {
		return o, err
	}
	return o, o.folders()
}

// chosen reads names, each of which must be allowed.
func chosen(name, text string, allowed []string) ([]string, error) {
	names := strings.Split(text, ",")
	for _, n := range names {
		if !slices.Contains(allowed, n) {
			return nil, fmt.Errorf("%s: %q is none of %s", name, n, strings.Join(allowed, ", "))
		}
	}
	return names, nil
}

// folders finds those that were not given.
func (o *options) folders() (err error) {
	if o.cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("-cache: %w", err)
		}
		o.cache = filepath.Join(user, "conch-bench")
	}
	if o.cache, err = filepath.Abs(o.cache); err != nil {
		return err
	}
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return err
	}
	given := o.data != ""
	if !given {
		o.data = os.TempDir()
	}
	if o.data, err = filepath.Abs(o.data); err != nil {
		return err
	}
	inMemory, err := onMemory(o.data)
	if err != nil {
		return fmt.Errorf("-data: %w", err)
	}
	switch {
	case inMemory && given:
		return fmt.Errorf("-data: %s is in memory: name a folder on a real disk, or what is on disk is not measured", o.data)
	case inMemory:
		o.data = o.cache
	}
	return nil
}

// onMemory tells whether a folder is on a file system without a disk.
func onMemory(dir string) (bool, error) {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return false, fmt.Errorf("%s: %w", dir, err)
	}
	return int64(s.Type) == tmpfs || int64(s.Type) == ramfs, nil
}

// spareFiles are those that are open besides the connections of idle sessions.
const spareFiles = 500

// openFiles is how many files a process may have open: Go raises its own limit
// to that.
func openFiles() (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("how many files may be open: %w", err)
	}
	return int(min(l.Max, 1<<30)), nil
}

// or is a value, or the one to use instead of none.
func or[T comparable](v, instead T) T {
	var none T
	if v == none {
		return instead
	}
	return v
}
