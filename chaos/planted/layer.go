package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/conch-lock/conch/chaos/group"
	"github.com/conch-lock/conch/internal/planted"
)

// layer is something that may find a bug: a program that fails when it does.
type layer struct {
	name    string
	dir     string // where it runs
	env     []string
	program string
	args    []string
	limit   time.Duration  // without an end after that it has found something
	enough  *regexp.Regexp // what it prints when there is no need to go on; nil: nothing
	stops   bool           // when it ends without saying what failed, that is a finding, too: it cannot work with the bug
	noisy   []string       // tests that fail with and without a bug now and then; they find nothing
}

// finding says how a layer found a bug.
type finding struct {
	layer string
	how   string // the seed, or the test
	took  time.Duration
}

// find runs the layer with a bug on. What a test finds has to be found again, by
// that test, and not without the bug: a test that the load of the machine makes
// fail finds nothing.
func (l *layer) find(ctx context.Context, b planted.Bug) (*finding, error) {
	for {
		f, err := l.run(ctx, b, l.without(l.noisy)...)
		if err != nil || f == nil || !strings.HasPrefix(f.how, "Test") {
			return f, err
		}
		test, _, _ := strings.Cut(f.how, "/")
		again, err := l.run(ctx, b, "-test.run", "^"+test+"$")
		if err != nil {
			return nil, err
		}
		sound, err := l.run(ctx, planted.None, "-test.run", "^"+test+"$")
		if err != nil {
			return nil, err
		}
		if again != nil && sound == nil {
			return f, nil
		}
		l.noisy = append(l.noisy, test)
	}
}

// without are the arguments that leave out tests.
func (l *layer) without(tests []string) []string {
	if len(tests) == 0 {
		return nil
	}
	return []string{"-test.skip", "^(" + strings.Join(tests, "|") + ")$"}
}

// run runs the layer with a bug on, or none. It gives the finding when that fails.
func (l *layer) run(ctx context.Context, b planted.Bug, more ...string) (*finding, error) {
	limited, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	out := &output{enough: l.enough, stop: cancel}
	cmd := exec.Command(l.program, append(slices.Clip(l.args), more...)...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), l.env...)
	if b != planted.None {
		cmd.Env = append(cmd.Env, planted.Environment+"="+b.String())
	}
	cmd.Stdout, cmd.Stderr = out, out
	start := time.Now()
	err := group.Run(limited, cmd, group.Manner{Signal: syscall.SIGKILL, Patience: 10 * time.Second})
	took := time.Since(start)
	if out.matched {
		return &finding{layer: l.name, how: howOf(out.Bytes()), took: took}, nil
	}
	var failed *exec.ExitError
	if errors.Is(err, group.ErrLeft) && !errors.As(err, &failed) {
		err = nil // what it was to do it has done
	}
	switch {
	case err == nil:
		return nil, nil
	case limited.Err() != nil && ctx.Err() == nil:
		return &finding{layer: l.name, how: "does not end", took: took}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !errors.As(err, &failed) || failed.ExitCode() == planted.BadName:
		return nil, fmt.Errorf("%s with %s: %w\n%s", l.name, b, err, out.Bytes())
	}
	how := howOf(out.Bytes())
	if how == "" && l.stops && b != planted.None {
		how = "stops"
	}
	if how == "" {
		return nil, fmt.Errorf("%s with %s ended with %v and said of no failure:\n%s", l.name, b, err, out.Bytes())
	}
	return &finding{layer: l.name, how: how, took: took}, nil
}

// check makes sure that the layer passes without a bug. A test that fails then
// may be noisy, if it passes by itself.
func (l *layer) check(ctx context.Context) error {
	start := time.Now()
	for {
		f, err := l.run(ctx, planted.None, l.without(l.noisy)...)
		if err != nil {
			return err
		}
		if f == nil {
			break
		}
		test, _, _ := strings.Cut(f.how, "/")
		if !strings.HasPrefix(test, "Test") {
			return fmt.Errorf("%s fails without any bug: %s", l.name, f.how)
		}
		if alone, err := l.run(ctx, planted.None, "-test.run", "^"+test+"$"); err != nil || alone != nil {
			return fmt.Errorf("%s fails without any bug: %s (%v)", l.name, f.how, err)
		}
		l.noisy = append(l.noisy, test)
	}
	l.limit = min(l.limit, max(time.Minute, 10*time.Since(start)))
	return nil
}

// output gathers what a layer prints, and stops it once that is enough.
type output struct {
	bytes.Buffer
	enough  *regexp.Regexp
	stop    func()
	matched bool
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.Buffer.Write(p)
	if !o.matched && o.enough != nil && o.enough.Match(o.Bytes()) {
		o.matched = true
		o.stop()
	}
	return n, err
}

var (
	violation  = regexp.MustCompile(`(?m)^VIOLATION\b.*\n`)
	failedSeed = regexp.MustCompile(`(?i)\bseed[ =](\d+)`)
	failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	panicked   = regexp.MustCompile(`(?m)^(?:panic|fatal error): (.*)$`)
	ofTest     = regexp.MustCompile(`(?m)\.(Test\w+)\(`)
)

// howOf finds in the output of a layer what failed.
func howOf(out []byte) string {
	if m := failedSeed.FindSubmatch(out); m != nil && violation.Match(out) {
		return "seed " + string(m[1])
	}
	if m := failedTest.FindSubmatch(out); m != nil {
		test := string(m[1])
		for _, m := range failedTest.FindAllSubmatch(out, -1) {
			if strings.HasPrefix(string(m[1]), test+"/") { // a part of it, which is told after it
				test = string(m[1])
			}
		}
		return test
	}
	if panicked.Match(out) {
		if m := ofTest.FindSubmatch(out); m != nil {
			return string(m[1])
		}
		return "panic"
	}
	return ""
}
