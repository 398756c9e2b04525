package sdk

import (
	"container/heap"
	"time"
)

// agenda is a heap of the sessions by when the keeper has to look at them
// again, so that a client of a hundred thousand sessions need not look at all of
// them to find those that have a keep-alive to send.
type agenda []*Session

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].dueAt < a[j].dueAt || a[i].dueAt == a[j].dueAt && a[i].id < a[j].id
}
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}
func (a *agenda) Push(x any) {
	s := x.(*Session)
	s.place = len(*a)
	*a = append(*a, s)
}
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	return last
}

// move makes a session due at another time.
func (a *agenda) move(s *Session, at time.Duration) {
	s.dueAt = at
	heap.Fix(a, s.place)
}

// tend looks at all sessions that are due.
func (a *agenda) tend(now time.Duration) {
	for len(*a) > 0 && (*a)[0].dueAt <= now {
		s := (*a)[0]
		if next := s.tend(now); s.err == nil {
			a.move(s, max(next, now+1))
		}
	}
}

// wakeBy makes sure that the keeper looks at the session at that time, if not
// before. Needs mu.
func (s *Session) wakeBy(at time.Duration) {
	if s.err == nil && at < s.dueAt {
		s.c.agenda.move(s, at)
	}
	s.c.wakeBy(at)
}
