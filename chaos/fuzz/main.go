package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/conch-lock/conch/chaos/group"
	"github.com/conch-lock/conch/chaos/tally"
)

// least is how long a target that is drawn is run: in less, an engine that has just
// begun has hardly read the corpus.
const least = 15 * time.Second

func main() {
	group.Keep()
	length := flag.Duration("for", 0, "how long in all, for as many targets as can have 15 s each")
	each := flag.Duration("each", 0, "how long every target is run, instead")
	seed := flag.Uint64("seed", 1, "which targets are drawn, with -for")
	parallel := flag.Int("parallel", 0, "inputs at a time; 0: as many as there are processors")
	into := flag.String("tally", "", "a file into which to write what was done, as JSON")
	flag.Parse()
	if flag.NArg() > 0 || *length < 0 || *each < 0 || (*length == 0) == (*each == 0) || *parallel < 0 {
		fmt.Fprintln(os.Stderr, "fuzz: no arguments are allowed, and one of -for and -each is needed, above 0")
		os.Exit(2)
	}
	if *into != "" {
		if err := tally.Writable(*into); err != nil {
			fmt.Fprintln(os.Stderr, "fuzz:", err)
			os.Exit(2)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	all, err := targets(ctx, ".")
	if err != nil || len(all) == 0 {
		fmt.Fprintf(os.Stderr, "fuzz: there are %d targets: %v\n", len(all), err)
		os.Exit(2)
	}
	b := &batch{out: os.Stdout, sum: tally.New(), run: func(ctx context.Context, t target, d time.Duration, out io.Writer) error {
		return goTest(ctx, t, d, *parallel, out)
	}}
	if *each > 0 {
		b.every(ctx, all, *each)
	} else {
		b.within(ctx, draw(all, len(all), *seed), *length)
	}
	fmt.Printf("%d of %d targets, %d inputs\n", b.ran, len(all), b.sum.Counts[tally.Executions])
	if *into != "" {
		if err := b.sum.Write(*into); err != nil {
			fmt.Fprintln(os.Stderr, "fuzz:", err)
			os.Exit(2)
		}
	}
	if len(b.failed) > 0 {
		fmt.Printf("\n%d FAILED\n", len(b.failed))
		for _, f := range b.failed {
			fmt.Println(" ", f)
		}
	}
	if len(b.failed) > 0 || ctx.Err() != nil {
		os.Exit(1)
	}
}

// goTest has go test run a target.
func goTest(ctx context.Context, t target, d time.Duration, parallel int, out io.Writer) error {
	args := []string{"test", "-run", "^$", "-fuzz", "^" + t.name + "$", "-fuzztime", d.String()}
	if parallel > 0 {
		args = append(args, "-parallel", strconv.Itoa(parallel))
	}
	cmd := exec.Command("go", append(args, t.pkg)...)
	cmd.Stdout, cmd.Stderr = out, out
	return group.Run(ctx, cmd, group.Manner{Signal: syscall.SIGINT, Patience: 10 * time.Second})
}

// batch is some targets that are run one after the other.
type batch struct {
	out    io.Writer
	run    func(ctx context.Context, t target, d time.Duration, out io.Writer) error
	sum    *tally.Tally
	ran    int
	failed []string
}

// every runs all of them for as long.
func (b *batch) every(ctx context.Context, all []target, each time.Duration) {
	for _, t := range all {
		if ctx.Err() != nil {
			return
		}
		b.one(ctx, t, each)
	}
}

// within runs as many as can have enough of the time, but for one at least.
func (b *batch) within(ctx context.Context, all []target, length time.Duration) {
	began := time.Now()
	for i, t := range all {
		left := length - time.Since(began)
		if ctx.Err() != nil || i > 0 && left < least {
			return
		}
		b.one(ctx, t, max(least, left/time.Duration(min(len(all)-i, max(1, int(left/least))))).Round(time.Second))
	}
}

var (
	executions = regexp.MustCompile(`(?m)^fuzz: elapsed: .* execs: (\d+)`)
	again      = regexp.MustCompile(`(?m)^\s*go test -run=\S+`)
)

// one runs a target, and once more when it only came to its end too late: the
// engine calls it a failure when an input was under way at the end of the time.
func (b *batch) one(ctx context.Context, t target, d time.Duration) {
	fmt.Fprintf(b.out, "=== %v for %v\n", t, d)
	b.ran++
	for attempt := 1; ; attempt++ {
		var said bytes.Buffer
		err := b.run(ctx, t, d, io.MultiWriter(b.out, &said))
		if m := executions.FindAllSubmatch(said.Bytes(), -1); m != nil {
			n, _ := strconv.ParseUint(string(m[len(m)-1][1]), 10, 64) // digits
			b.sum.Counts[tally.Executions] += n
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		how := strings.TrimSpace(string(again.Find(said.Bytes())))
		if how == "" && attempt == 1 && strings.Contains(said.String(), "context deadline exceeded") {
			continue
		}
		f := fmt.Sprintf("%v: %v", t, err)
		if how != "" {
			f += ": " + how + " " + t.pkg
		}
		b.failed = append(b.failed, f)
		return
	}
}
