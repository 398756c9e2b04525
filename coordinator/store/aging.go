package store

// Aging says that there is history which AutoCompact will drop by and by, if
// only because time passes.
func (s *Store) Aging() bool {
	h := &s.history
	return len(h.closed) > 0 && h.following(0) <= s.revision
}
