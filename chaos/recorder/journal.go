package recorder

import (
	"slices"
	"sync"

	"github.com/conch-lock/conch/chaos/check"
)

// Sink takes what a client does.
type Sink interface {
	// Begin writes down that an operation was asked for and names it.
	Begin(o check.Operation) int
	// End replaces it by what is known after it has returned.
	End(id int, o check.Operation)
	// Until says until when the client believed in what the operation granted.
	Until(id int, t check.Time)
	// Session tells what is known of a session when it is over for its client.
	Session(s check.Session)
	// Queue tells of a look at a queue.
	Queue(q check.Queue)
	// Told tells that a client was told of something that somebody took away.
	Told(t check.Told)
}

// Journal is a history in the making. It is safe for concurrent use.
type Journal struct {
	mu sync.Mutex
	h  check.History
}

// Begin implements Sink.
func (j *Journal) Begin(o check.Operation) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	o.Outcome, o.Return = check.Unknown, check.Forever
	j.h.Operations = append(j.h.Operations, o)
	return len(j.h.Operations) - 1
}

// End implements Sink.
func (j *Journal) End(id int, o check.Operation) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.h.Operations[id] = o
}

// Until implements Sink.
func (j *Journal) Until(id int, t check.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.h.Operations[id].Until = t
}

// Session implements Sink.
func (j *Journal) Session(s check.Session) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.h.Sessions = append(j.h.Sessions, s)
}

// Queue implements Sink.
func (j *Journal) Queue(q check.Queue) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.h.Queues = append(j.h.Queues, q)
}

// Told implements Sink.
func (j *Journal) Told(t check.Told) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.h.Told = append(j.h.Told, t)
}

// Watched adds what a consumer received.
func (j *Journal) Watched(w check.Watch) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.h.Watches = append(j.h.Watches, w)
}

// Sofar is a copy of the operations until now.
func (j *Journal) Sofar() []check.Operation {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.h.Operations)
}

// Len is how many operations there are.
func (j *Journal) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.h.Operations)
}

// History is what has gathered; nothing may be recorded any more.
func (j *Journal) History() *check.History {
	j.mu.Lock()
	defer j.mu.Unlock()
	return &j.h
}
