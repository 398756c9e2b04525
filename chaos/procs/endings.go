//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ending is a way in which a node may end.
type ending struct {
	code int      // its exit status, 128+n after signal n
	why  []string // one of them stands in its last words; empty: it need not say why
}

// The ways in which nodes end: in good order when they are asked to, killed, and
// by themselves with a reason when they cannot trust their disk or have no more
// of what they need. Nothing else is ever right.
var (
	inOrder = ending{code: 0}
	byKill  = ending{code: 128 + int(syscall.SIGKILL)}
	noDisk  = ending{1, []string{"input/output error", "read-only file system"}}
	noSync  = ending{1, []string{"input/output error"}}
	noRoom  = ending{1, []string{"no space left on device"}}
	noFiles = ending{1, []string{"too many open files"}}
	noMem   = ending{1, []string{"cannot allocate memory"}}
	refusal = ending{1, []string{"damaged", "gone", "no usable snapshot", "missing"}}
)

// wrongEnd says what is wrong with how a node ended; empty: it is one of the ways
// in which it may.
func wrongEnd(code int, lastWords string, may ...ending) string {
	known := false
	for _, e := range may {
		if e.code != code {
			continue
		}
		if known = true; len(e.why) == 0 || slices.ContainsFunc(e.why, func(w string) bool { return strings.Contains(lastWords, w) }) {
			return ""
		}
	}
	if known {
		return fmt.Sprintf("it ended with exit status %d and another reason than there was: %q", code, lastWords)
	}
	var want []int
	for _, e := range may {
		want = append(want, e.code)
	}
	return fmt.Sprintf("it ended with exit status %d, and not one of %d: %q", code, want, lastWords)
}

// endedAs judges how a node has ended, which it has.
func (r *runner) endedAs(i int, after string, may ...ending) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	code, err := r.node(i).Ended(ctx)
	if err != nil {
		r.history.violation("after %s: %v", after, err)
		return
	}
	last, err := r.node(i).LastWords()
	if err != nil {
		r.history.violation("after %s: %v", after, err)
		return
	}
	if wrong := wrongEnd(code, last, may...); wrong != "" {
		r.history.violation("node %s after %s: %s: see %s", r.node(i).Name, after, wrong, r.node(i).LogFile)
	}
}

// kill kills a node, which runs or has ended in one of the ways in which it may.
func (r *runner) kill(i int, after string, may ...ending) error {
	if err := r.node(i).Kill(); err != nil {
		return err
	}
	r.endedAs(i, after, append(may, byKill)...)
	return nil
}

// ask asks a node to end, which it does soon and in good order.
func (r *runner) ask(i int) error {
	if err := r.node(i).Signal(syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := r.node(i).Ended(ctx); err != nil {
		r.history.violation("node %s has not ended %v after SIGTERM", r.node(i).Name, patience)
		return r.node(i).Kill()
	}
	r.endedAs(i, "SIGTERM", inOrder)
	return nil
}

// crashes looks for panics and races in what nodes have logged.
func (r *runner) crashes() {
	for _, n := range r.cluster.Nodes() {
		found, err := n.Crashes()
		if err != nil {
			r.history.violation("the log cannot be read: %v", err)
		}
		for _, c := range found {
			r.history.violation("node %s has crashed, see %s:\n%s", n.Name, n.LogFile, c)
		}
	}
}

// close asks all nodes at once to end, and looks at how they did.
func (r *runner) closeInOrder() error {
	errs := make(chan error, r.cfg.nodes)
	for i := range r.cfg.nodes {
		r.down[i].Store(true)
		go func() { // ends with the node
			if !r.node(i).Running() {
				errs <- nil
				return
			}
			errs <- r.ask(i)
		}()
	}
	var first error
	for range r.cfg.nodes {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}
