//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

// TestCommand: what is printed to run a plan again runs that plan.
func TestCommand(t *testing.T) {
	t.Setenv("CONCH_BINARY", "")
	for _, line := range []string{
		"-for 30s -seed 7 -power",
		"-for 1h2m0s -seed 9 -nodes 5 -arrival 400ms -most 2 -calm 10s -keys 40 -clock -crowd -loopback",
		"-seed 3 -cuts 250 -loopback -power",
		"-seed 1 -binary bin/conch-race",
	} {
		var want, got config
		parse := func(c *config, line string) {
			f := flag.NewFlagSet("", flag.PanicOnError)
			c.flags(f)
			_ = f.Parse(strings.Fields(line))
		}
		parse(&want, line)
		want.dir = "somewhere"
		command, ok := strings.CutPrefix(want.command(), "go run ./chaos/procs ")
		if !ok {
			t.Fatalf("%q", want.command())
		}
		parse(&got, command)
		want.dir = "" // a run has a folder of its own
		if got != want {
			t.Errorf("%q became %q: %+v and not %+v", line, command, got, want)
		}
	}
	c := config{binary: "a folder/it's"}
	if got := c.command(); !strings.Contains(got, `-binary 'a folder/it'\''s'`) {
		t.Errorf("a path with a blank: %s", got)
	}
	t.Setenv("CONCH_BINARY", "bin/x")
	if got := (config{length: time.Minute}).command(); !strings.HasPrefix(got, "CONCH_BINARY=bin/x go run") {
		t.Errorf("with a program from the environment: %s", got)
	}
}

// TestWorthless: the folder of a run stays when it may say what went wrong, and
// only then.
func TestWorthless(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	some := errors.New("some error")
	for _, c := range []struct {
		what  string
		ctx   context.Context
		nodes bool
		wrong bool
		r     report
		err   error
		want  bool
	}{
		{what: "all went well", ctx: t.Context(), nodes: true, want: true},
		{what: "a violation", ctx: t.Context(), nodes: true, r: report{violations: []string{"x"}}},
		{what: "it could not go on", ctx: t.Context(), nodes: true, r: report{broken: some}},
		{what: "broken off", ctx: ended, nodes: true, err: some, want: true},
		{what: "broken off after something was seen", ctx: ended, nodes: true, wrong: true, err: some},
		{what: "a node does not start", ctx: t.Context(), nodes: true, err: some},
		{what: "nothing could be built, or no disk be made", ctx: t.Context(), err: some, want: true},
	} {
		r := newRunner(c.ctx, config{nodes: 3})
		r.started = c.nodes
		if c.wrong {
			r.history.violation("something")
		}
		if got := r.worthless(&c.r, c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
