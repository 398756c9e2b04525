package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/conch-lock/conch/internal/planted"
)

// runner goes through the bugs.
type runner struct {
	bin   string // where programs are built
	seeds int    // of the simulation, for each bug
	first bool   // the first finding is enough
	alone bool   // the simulation runs alone
	out   io.Writer

	packages []*pkg
	places   map[planted.Bug]*pkg
	layers   map[string]*layer
}

// result is what became of a bug.
type result struct {
	bug        planted.Bug
	simulation *finding
	met        bool     // another layer ran that has whole cells
	wider      *finding // by that
	tests      *finding
}

func (r *result) survived() bool { return r.simulation == nil && r.wider == nil && r.tests == nil }

// inWider is how what became of it in that layer stands in the table.
func (r *result) inWider() string {
	if !r.met {
		return ""
	}
	return r.wider.String()
}

// layer builds a layer once and makes sure that it passes without a bug.
func (r *runner) layer(ctx context.Context, name string, build func() (*layer, error)) (*layer, error) {
	if l := r.layers[name]; l != nil {
		return l, nil
	}
	l, err := build()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := l.check(ctx); err != nil {
		return nil, err
	}
	fmt.Fprintf(r.out, "%-28s passes without a bug in %.1f s\n", l.name, time.Since(start).Seconds())
	r.layers[name] = l
	return l, nil
}

// hunt runs what may find a bug.
func (r *runner) hunt(ctx context.Context, b planted.Bug) (*result, error) {
	res := &result{bug: b}
	l, err := r.layer(ctx, "simulation", r.simulation)
	if err != nil {
		return nil, err
	}
	if res.simulation, err = l.find(ctx, b); err != nil {
		return nil, err
	}
	if r.alone || res.simulation != nil && r.first {
		return res, nil
	}
	home := r.places[b]
	if name, build := r.wider(home); build != nil {
		l, err := r.layer(ctx, name, build)
		if err != nil {
			return nil, err
		}
		if res.wider, err = l.find(ctx, b); err != nil {
			return nil, err
		}
		res.met = true
		if res.wider != nil && r.first {
			return res, nil
		}
	}
	for i, p := range append([]*pkg{home}, leaning(r.packages, home)...) {
		if i > 0 && !res.survived() {
			break
		}
		if !p.hasTests() {
			continue
		}
		l, err := r.layer(ctx, p.path(), func() (*layer, error) { return r.tests(p) })
		if err != nil {
			return nil, err
		}
		if res.tests, err = l.find(ctx, b); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// all hunts bugs and returns what became of each.
func (r *runner) all(ctx context.Context, bugs []planted.Bug) ([]*result, error) {
	var results []*result
	for _, b := range bugs {
		res, err := r.hunt(ctx, b)
		if err != nil {
			return results, err
		}
		results = append(results, res)
		fmt.Fprintf(r.out, "%-28s %-32s %-32s %s\n", b, res.simulation, res.inWider(), res.tests)
	}
	for name, l := range r.layers {
		if len(l.noisy) > 0 {
			fmt.Fprintf(r.out, "%s: %v failed without a bug, too, and did not count\n", name, l.noisy)
		}
	}
	return results, nil
}

// String is how the finding stands in the table.
func (f *finding) String() string {
	switch {
	case f == nil:
		return "–"
	case f.layer == "simulation":
		return fmt.Sprintf("%s, %.1f s", f.how, f.took.Seconds())
	}
	return fmt.Sprintf("`%s` %s, %.1f s", f.layer, f.how, f.took.Seconds())
}
