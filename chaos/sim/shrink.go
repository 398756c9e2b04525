package sim

import (
	"errors"
	"time"
)

// Shrinker makes a run that fails smaller, as long as it breaks the same
// property.
type Shrinker struct {
	Runs int          // at most; default 400
	Tell func(Config) // of every step that was a success; nil: nobody
	run  func(Config) error
	left int
	best *Violation
}

// Shrink looks for a smaller run than that of a violation: shorter, with fewer
// faults, clients, nodes and kinds of work. The result fails too.
func (s Shrinker) Shrink(v *Violation) *Violation {
	if s.run == nil {
		s.run = func(c Config) error { _, err := Run(c); return err }
	}
	if s.left = s.Runs; s.left == 0 {
		s.left = 400
	}
	s.best = v
	s.shorten()
	s.faults()
	s.clients()
	s.nodes()
	s.work()
	s.faults()
	s.shorten()
	return s.best
}

// try runs a config and keeps it if it fails in the same way.
func (s *Shrinker) try(c Config) bool {
	if s.left <= 0 {
		return false
	}
	s.left--
	c.Log = nil
	var v *Violation
	if !errors.As(s.run(c), &v) || v.Property != s.best.Property {
		return false
	}
	v.Config = c
	s.best = v
	if s.Tell != nil {
		s.Tell(c)
	}
	return true
}

// shorten ends the run right after it fails: nothing before that changes. A run
// that fails after everything healed is tried with less time before.
func (s *Shrinker) shorten() {
	c := s.best.Config.withDefaults()
	c.Nodes, c.Clients = s.best.Config.Nodes, s.best.Config.Clients
	if s.best.At < c.Length {
		c.Length = s.best.At.Truncate(time.Millisecond) + time.Millisecond
		s.try(c)
		return
	}
	for part := c.Length / 2; part > 100*time.Millisecond; part /= 2 {
		for c.Length > part && s.left > 0 {
			shorter := c
			shorter.Length -= part
			if !s.try(shorter) {
				break
			}
			c = shorter
		}
	}
}

// faults leaves out as many of the planned faults as it can: halves first, then
// smaller and smaller parts.
func (s *Shrinker) faults() {
	only := s.best.Config.Only
	if only == nil {
		w := &world{cfg: s.best.Config.withDefaults()}
		only = []int{}
		for i, p := range w.planned() {
			if p.at <= s.best.At {
				only = append(only, i)
			}
		}
	}
	for size := len(only); size >= 1; size /= 2 {
		for at := 0; at < len(only) && s.left > 0; {
			c := s.best.Config
			c.Only = append(append([]int{}, only[:at]...), only[min(at+size, len(only)):]...)
			if s.try(c) {
				only = c.Only
			} else {
				at += size
			}
		}
	}
}

func (s *Shrinker) clients() {
	for n := 1; n < s.best.Config.withDefaults().Clients; n++ {
		c := s.best.Config
		c.Clients = n
		if s.try(c) {
			return
		}
	}
}

func (s *Shrinker) nodes() {
	for n := 1; n < s.best.Config.withDefaults().Nodes; n += 2 {
		c := s.best.Config
		c.Nodes = n
		if s.try(c) {
			return
		}
	}
}

// work leaves out kinds of work.
func (s *Shrinker) work() {
	c := s.best.Config
	w := &world{cfg: c.withDefaults()}
	left := newSetting(w.stream(streamSetting, 0), w.cfg).work
	for k := Work(1); k < works; k <<= 1 {
		if left&k != 0 && left != k {
			c := s.best.Config
			c.Work = left &^ k
			if s.try(c) {
				left = c.Work
			}
		}
	}
}
