package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/conch-lock/conch/bench/load"
	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// comparison is one run.
type comparison struct {
	options
	self   string // this program
	dir    string // for data, removed at the end
	set    *table.Set
	header table.Header
	round  int

	failures int // workloads, and starts of servers, that failed
	stop     context.CancelCauseFunc
}

// compare runs everything and writes the table, also when it was cut short or
// something failed; that it is then an error says so to who reads no table.
func compare(ctx context.Context, o options) (err error) {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	release, err := exclusively(o.cache, o.out)
	if err != nil {
		return err
	}
	defer release()
	dir, err := os.MkdirTemp(o.data, "conch-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c := &comparison{options: o, self: self, dir: dir, stop: stop}
	systems, err := c.prepare(ctx)
	if err != nil {
		return err
	}
	for c.round = 1; c.round <= o.rounds && ctx.Err() == nil; c.round++ {
		c.header.Options = append(c.header.Options, fmt.Sprintf("load average at the beginning of round %d: %s", c.round, loadAverage()))
		c.set.Round(c.round)
		// There and back again: who comes early in one round comes late in the next.
		parts := []func(){func() { c.floor(ctx) }}
		for _, sys := range systems {
			parts = append(parts, func() { c.system(ctx, sys) })
		}
		if c.round%2 == 0 {
			slices.Reverse(parts)
		}
		for _, part := range parts {
			part()
		}
	}
	if ctx.Err() != nil {
		c.set.Note("the run was cut short: %v", context.Cause(ctx))
	}
	err = errors.Join(c.write(), context.Cause(ctx))
	if c.failures > 0 {
		err = errors.Join(err, fmt.Errorf("%d failed: the notes below the table say what", c.failures))
	}
	return err
}

// prepare builds or finds the systems, and heads the table.
func (c *comparison) prepare(ctx context.Context) ([]system.System, error) {
	c.header = table.Header{
		Machine: machine(c.data),
		Options: []string{
			fmt.Sprintf("%s, %d rounds, each workload %v after a warm-up of %v", time.Now().UTC().Format("2006-01-02"), c.rounds, c.timing.Length, c.timing.Warmup),
			"servers, one system at a time, and clients share the machine",
		},
		Recipes: make(map[string]string),
	}
	var found []system.System
	var columns, notes []string
	like := make(map[string]string)
	for _, name := range c.systems {
		sys := c.find(name)
		c.say("prepare %s", name)
		var missing *system.MissingError
		if err := sys.Prepare(ctx, c.cache); errors.As(err, &missing) {
			c.say("%v", err)
			notes = append(notes, err.Error())
			continue
		} else if err != nil {
			return nil, err
		}
		found = append(found, sys)
		c.header.Settings = append(c.header.Settings, table.SettingsOf{System: name, Lines: sys.Settings()})
		for _, r := range sys.Recipes() {
			columns = append(columns, r.Name)
			c.header.Recipes[r.Name] = r.How
			if r.Like != "" {
				like[r.Name] = r.Like
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no system is here to be measured: %s", strings.Join(notes, "; "))
	}
	c.set = table.New(kinds, columns)
	for column, with := range like {
		c.set.Like(column, with)
	}
	for _, n := range notes {
		c.set.Note("%s", n)
	}
	c.set.Note("Consul is left out: Debian has no package of it, and there is no recipe for it here.")
	return found, nil
}

// system runs every workload at one system.
func (c *comparison) system(ctx context.Context, sys system.System) {
	if others := slices.DeleteFunc(slices.Clone(c.work), func(k string) bool { return k == "idle" || k == "scale" || k == "floor" }); len(others) > 0 {
		c.at(ctx, sys, func(cluster system.Cluster) {
			for i := range sys.Recipes() {
				column{c, sys, cluster, i}.runIn(ctx)
			}
			for i := range sys.Recipes() {
				column{c, sys, cluster, i}.run(ctx)
			}
		})
	}
	for i, r := range sys.Recipes() {
		if r.Many && c.does("scale") {
			c.at(ctx, sys, func(cluster system.Cluster) { column{c, sys, cluster, i}.scale(ctx) })
		}
	}
	if !c.does("idle") {
		return
	}
	for i, r := range sys.Recipes() {
		c.at(ctx, sys, func(cluster system.Cluster) {
			c.workload(ctx, "idle", r.Name, func(ctx context.Context) ([]table.Sample, error) {
				return load.Idle(ctx, c.timing.Length, cluster, sys, i, c.sessions, c.sessionTTL)
			})
		})
	}
}

// at starts a system in a folder of its own and stops it afterwards.
func (c *comparison) at(ctx context.Context, sys system.System, do func(system.Cluster)) {
	if ctx.Err() != nil {
		return
	}
	dir, err := os.MkdirTemp(c.dir, sys.Name()+"-")
	if err != nil {
		c.failed(sys.Name(), "start", err)
		return
	}
	defer os.RemoveAll(dir) // again with the folder that it is in
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cluster, err := sys.Start(starting, dir)
	if err != nil {
		c.failed(sys.Name(), "start", err)
		return
	}
	defer cluster.Close()
	do(cluster)
}

// workload runs one workload, if it is wanted, and keeps what it measured.
func (c *comparison) workload(ctx context.Context, kind, column string, do func(context.Context) ([]table.Sample, error)) {
	if kind != runIn && !c.does(kind) || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.timing.Warmup+2*c.timing.Length+5*time.Minute)
	defer cancel()
	samples, err := do(ctx)
	if errors.Is(err, system.ErrNotOffered) {
		return
	}
	if err != nil {
		c.failed(column, kind, err)
		return
	}
	c.set.Add(column, samples)
	for _, s := range samples {
		c.say("%s: %s: %s: %s %s", column, s.Row.Work, s.Row.Measure, table.Number(s.Value), s.Row.Unit)
	}
}

// failed counts and notes what failed. Of a system of which a lock had several
// holders nothing else is worth measuring, nor of what it is compared with: that
// ends the run.
func (c *comparison) failed(column, what string, err error) {
	c.failures++
	if errors.Is(err, load.ErrHolders) {
		c.stop(fmt.Errorf("%s: %s: %w", column, what, err))
	}
	c.say("%s: %s: failed: %v", column, what, err)
	const most = 300 // the rest, such as the end of a log, was said
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	c.set.Note("%s: %s failed in round %d: %s", column, what, c.round, text)
}

func (c *comparison) does(kind string) bool { return slices.Contains(c.work, kind) }

// say tells of progress.
func (c *comparison) say(format string, args ...any) {
	if c.round > 0 {
		format = fmt.Sprintf("round %d: %s", c.round, format)
	}
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// write writes the table.
func (c *comparison) write() error {
	page := c.set.Markdown(c.header)
	data, err := c.set.JSON(c.header)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.out, "results.md"), page, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.out, "results.json"), append(data, '\n'), 0o644); err != nil {
		return err
	}
	_, err = os.Stdout.Write(page)
	return err
}
