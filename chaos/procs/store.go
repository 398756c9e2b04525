//go:build linux

package main

import (
	"fmt"
	"sync"

	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// store is the resource that the locks protect: one value a lock, which is the
// token that wrote it last.
type store struct {
	guard *fence.Guard // nil: it takes every write

	mu       sync.Mutex
	last     map[string]sdk.Token
	writes   int
	stale    int // taken although a later holder had written: lost updates
	refused  int
	complain []string
}

func newStore(fenced bool) *store {
	s := &store{last: map[string]sdk.Token{}}
	if fenced {
		s.guard = fence.NewGuard(0)
	}
	return s
}

// write writes with a token, as its holder.
func (s *store) write(name string, token sdk.Token) error {
	put := func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writes++
		if token < s.last[name] {
			s.stale++
			if s.guard != nil {
				s.complain = append(s.complain, fmt.Sprintf("fence: token %d wrote to %q after token %d", token, name, s.last[name]))
			}
		}
		s.last[name] = token
		return nil
	}
	if s.guard == nil {
		return put()
	}
	err := s.guard.Do(name, token, put)
	if err != nil {
		s.mu.Lock()
		s.refused++
		s.mu.Unlock()
	}
	return err
}

// figures are how many writes were taken, taken though stale, and refused.
func (s *store) figures() (writes, stale, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes, s.stale, s.refused
}
