package wal

import "fmt"

// span is what the log covers: all that a batch is checked against, and what a
// new segment repeats.
type span struct {
	state       []byte // nil: none yet
	base        Mark
	first, last uint64 // indexes of the entries on disk; first is last+1 when there are none
	terms       []run  // of these entries, rising
}

// run says that the entries from index on have a term, up to the next run.
type run struct {
	index, term uint64
}

// check says whether b may be logged now, and whether its mark drops all
// entries: it does when it lies past them, or when the entry at its index is
// another one.
func (s *span) check(b *Batch) (reset bool, err error) {
	if len(b.State) > MaxStateBytes {
		return false, fmt.Errorf("%w: state of %d bytes, at most %d are allowed; nothing was written", ErrInvalid, len(b.State), MaxStateBytes)
	}
	if n := b.size(); n > MaxFrameBytes {
		return false, fmt.Errorf("%w: more than %d bytes in one batch; nothing was written", ErrInvalid, MaxFrameBytes)
	}
	base, last := s.base, s.last
	if m := b.Mark; m != (Mark{}) {
		if m.Index < base.Index || m.Index == 0 || (m.Index == base.Index && m.Term != base.Term) {
			return false, fmt.Errorf("%w: mark %d of term %d, the log is marked at %d of term %d already; nothing was written",
				ErrInvalid, m.Index, m.Term, base.Index, base.Term)
		}
		if m.Index > base.Index {
			reset = m.Index > last || s.term(m.Index) != m.Term
		}
		if base = m; reset {
			last = m.Index
		}
	}
	if len(b.Entries) == 0 {
		return reset, nil
	}
	if first := b.Entries[0].Index; first <= base.Index || first > last+1 {
		return false, fmt.Errorf("%w: entries from index %d, allowed are %d to %d; nothing was written", ErrInvalid, first, base.Index+1, last+1)
	}
	for i := range b.Entries {
		if want := b.Entries[0].Index + uint64(i); b.Entries[i].Index != want {
			return false, fmt.Errorf("%w: entry of index %d where %d should be; nothing was written", ErrInvalid, b.Entries[i].Index, want)
		}
	}
	return reset, nil
}

// apply notes a batch that was logged, or read back.
func (s *span) apply(b *Batch, reset bool) {
	if b.State != nil {
		s.state = append(s.state[:0], b.State...)
		if s.state == nil {
			s.state = []byte{}
		}
	}
	if b.Mark != (Mark{}) {
		s.base = b.Mark
	}
	if reset {
		s.first, s.last, s.terms = s.base.Index+1, s.base.Index, s.terms[:0]
	}
	if len(b.Entries) == 0 {
		return
	}
	from := b.Entries[0].Index
	for len(s.terms) > 0 && s.terms[len(s.terms)-1].index >= from {
		s.terms = s.terms[:len(s.terms)-1]
	}
	s.first = min(s.first, from)
	for i := range b.Entries {
		e := &b.Entries[i]
		if n := len(s.terms); n == 0 || s.terms[n-1].term != e.Term {
			s.terms = append(s.terms, run{e.Index, e.Term})
		}
		s.last = e.Index
	}
}

// term is the term of the entry at index; 0 when it is not held.
func (s *span) term(index uint64) uint64 {
	if index < s.first || index > s.last {
		return 0
	}
	for i := len(s.terms) - 1; i >= 0; i-- {
		if s.terms[i].index <= index {
			return s.terms[i].term
		}
	}
	return 0
}

// release forgets entries below first, whose files are gone.
func (s *span) release(first uint64) {
	s.first = max(s.first, min(first, s.last+1))
	n := 0
	for n+1 < len(s.terms) && s.terms[n+1].index <= s.first {
		n++
	}
	s.terms = append(s.terms[:0], s.terms[n:]...)
}
