//go:build linux

package main

import (
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
