package store

import (
	"slices"
	"strings"
)

// owned finds the keys of a session. It follows from the records and is
// rebuilt at Restore.
type owned map[uint64]map[string]struct{}

// Owned returns, sorted, the keys of the Keys space that belong to a session.
func (s *Store) Owned(session uint64) []string {
	keys := make([]string, 0, len(s.owned[session]))
	for key := range s.owned[session] {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// move notes that a key has passed from one session to another; 0 is nobody.
func (o owned) move(key string, from, to uint64) {
	if from == to {
		return
	}
	if from != 0 {
		delete(o[from], key)
		if len(o[from]) == 0 {
			delete(o, from)
		}
	}
	if to != 0 {
		if o[to] == nil {
			o[to] = map[string]struct{}{}
		}
		o[to][strings.Clone(key)] = struct{}{} // not to keep alive the row that key is part of
	}
}
