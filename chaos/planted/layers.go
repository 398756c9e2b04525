package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What a bug may survive of each layer beside the simulation.
const (
	injections = 1000
	cells      = 12
)

// build builds a command or the tests of a package with the tag.
func build(dir string, args ...string) error {
	cmd := exec.Command("go", append(args[:1:1], append([]string{"-tags", "planted"}, args[1:]...)...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// simulation runs seeds.
func (r *runner) simulation() (*layer, error) {
	l := &layer{
		name: "simulation", program: filepath.Join(r.bin, "simulate"), limit: 20 * time.Minute,
		args:   []string{"-from", "1", "-seeds", fmt.Sprint(r.seeds), "-graveyard=false"},
		enough: violation, // it would go on and make the run smaller
	}
	return l, build("", "build", "-o", l.program, "./chaos/simulate")
}

// wider are the layers beside the simulation that have what a package is about:
// files, or clients and their streams.
func (r *runner) wider(p *pkg) (name string, build func() (*layer, error)) {
	switch path := p.path(); {
	case path == "raftnode/wal" || path == "raftnode/snapshot":
		return "damage", r.damage
	case path == "coordinator" || path == "sdk":
		return "shell", r.shell
	}
	return "", nil
}

// damage damages files.
func (r *runner) damage() (*layer, error) {
	l := &layer{
		name: "damage", program: filepath.Join(r.bin, "damage"), limit: 10 * time.Minute,
		args:   []string{"-injections", fmt.Sprint(injections)},
		enough: violation, stops: true,
	}
	return l, build("", "build", "-o", l.program, "./chaos/damage")
}

// shell runs cells with servers and clients. A seed gives the plan alone, so that
// what it finds has to be found again.
func (r *runner) shell() (*layer, error) {
	l := &layer{
		name: "shell", program: filepath.Join(r.bin, "shell.test"), limit: 10 * time.Minute,
		args: []string{"-test.run", "^TestCell$", "-test.timeout", "9m"},
		env:  []string{"CONCH_SHELL_FROM=1", fmt.Sprint("CONCH_SHELL_SEEDS=", cells)}, stops: true,
	}
	return l, build("", "test", "-c", "-o", l.program, "./chaos/shell")
}

// tests runs the tests of a package. Those with generated inputs get a fixed seed.
func (r *runner) tests(p *pkg) (*layer, error) {
	l := &layer{
		name: p.path(), dir: p.Dir, program: filepath.Join(r.bin, strings.ReplaceAll(p.path(), "/", "-")+".test"), limit: 10 * time.Minute,
		args: []string{"-test.failfast", "-test.timeout", "5m"},
	}
	if p.path() == "raftnode/wal" {
		l.args = append(l.args, "-test.short") // all damage there is takes too long
	}
	if p.tests("pgregory.net/rapid") {
		l.args = append(l.args, "-rapid.seed", "1", "-rapid.nofailfile", "-rapid.shrinktime", "1s")
	}
	return l, build("", "test", "-c", "-o", l.program, p.ImportPath)
}
