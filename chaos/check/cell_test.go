package check

import (
	"fmt"
	"slices"
	"time"
)

const ms = time.Millisecond

// scene writes down a sound history: an ideal cell in which every operation
// takes a millisecond and nothing runs beside it unless a test says so.
type scene struct {
	h     *History
	now   Time
	rev   uint64
	token uint64
	seq   uint64
	locks map[string]*Lock
	lrec  map[string]Record
	elect map[string]*Election
	erec  map[string]Record
	model *keyModel
	times map[uint64]Time // of revisions
}

func newScene() *scene {
	return &scene{
		h: &History{AuditFrom: 2}, rev: 1, locks: map[string]*Lock{}, lrec: map[string]Record{},
		elect: map[string]*Election{}, erec: map[string]Record{}, model: newKeyModel(func(string, uint64, uint64) bool { return false }),
		times: map[uint64]Time{},
	}
}

// next is a record's next version.
func (s *scene) next(m map[string]Record, name string) Record {
	s.times[s.rev] = s.now
	r, ok := m[name]
	if !ok {
		r = Record{Key: name, Create: s.rev}
	}
	r.Mod, r.Version = s.rev, r.Version+1
	m[name] = r
	return r
}

// op adds an operation that takes a millisecond.
func (s *scene) op(o Operation) *Operation {
	s.seq++
	o.Sequence, o.Invoke, o.Return = s.seq, s.now, s.now+ms
	s.now += 2 * ms
	if o.Outcome == "" {
		o.Outcome = Done
	}
	s.h.Operations = append(s.h.Operations, o)
	return &s.h.Operations[len(s.h.Operations)-1]
}

func client(session uint64) string { return fmt.Sprint("c", session) }

// acquire grants at once.
func (s *scene) acquire(session uint64, items ...Item) uint64 {
	s.rev++
	s.token++
	for _, x := range items {
		l := s.locks[x.Name]
		if l == nil {
			l = &Lock{}
			s.locks[x.Name] = l
		}
		mode := x.Mode
		if mode == "" {
			mode = Exclusive
		}
		l.Mode, l.Capacity, l.Ended = mode, x.Capacity, nil
		l.Holders = append(slices.Clone(l.Holders), Holder{Session: session, Token: s.token, Permits: x.Permits})
		s.changeLock(x.Name)
	}
	o := s.op(Operation{Client: client(session), Kind: Acquire, Session: session, Claim: items, Token: s.token, Revision: s.rev})
	o.Until = o.Return + ms/2
	return s.token
}

func (s *scene) changeLock(name string) {
	l := *s.locks[name]
	s.h.Audit = append(s.h.Audit, Change{Revision: s.rev, Space: OfLocks, Record: s.next(s.lrec, name), Lock: &l})
}

// end ends a grant in the present revision.
func (s *scene) end(token uint64, why string) (session uint64) {
	for _, name := range slices.Sorted(keysOf(s.locks)) {
		l := s.locks[name]
		i := slices.IndexFunc(l.Holders, func(h Holder) bool { return h.Token == token })
		if i >= 0 {
			session = l.Holders[i].Session
			l.Holders = slices.Delete(slices.Clone(l.Holders), i, i+1)
			l.Ended = []Tenure{{Session: session, Token: token, Ended: why}}
			s.changeLock(name)
		}
	}
	return session
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (s *scene) release(token uint64, items ...Item) {
	s.rev++
	session := s.end(token, "released")
	s.op(Operation{Client: client(session), Kind: Release, Session: session, Claim: items, Token: token, Revision: s.rev})
}

// expire ends a session with all that it has.
func (s *scene) expire(session uint64) { s.over(session, "expired") }

// over ends it so.
func (s *scene) over(session uint64, why string) {
	s.rev++
	for _, name := range slices.Sorted(keysOf(s.locks)) {
		for _, x := range s.locks[name].Holders {
			if x.Session == session {
				s.end(x.Token, why)
			}
		}
	}
	for _, name := range slices.Sorted(keysOf(s.elect)) {
		if e := s.elect[name]; e.Leader != nil && e.Leader.Session == session {
			e.Last = &Tenure{Session: session, Token: e.Leader.Token, Ended: why, Value: e.Leader.Value}
			e.Leader = nil
			s.changeElection(name)
		}
	}
	for _, key := range slices.Sorted(keysOf(s.model.versions)) {
		if rec := s.model.at(key, s.rev); rec.Version != 0 && rec.Session == session {
			s.changeKey(Change{Revision: s.rev, Space: OfKeys, Deleted: true, Record: Record{Key: key, Mod: s.rev}})
		}
	}
	s.h.Endings = append(s.h.Endings, Ending{Session: session, Why: why, At: s.now, Revision: s.rev})
	s.now += 2 * ms
}

// intervene adds what an operator asked for and was told at once.
func (s *scene) intervene(x Intervention) {
	x.Invoke, x.Return = s.now, s.now+ms
	s.now += 2 * ms
	if x.Outcome == "" {
		x.Outcome = Done
	}
	s.h.Interventions = append(s.h.Interventions, x)
}

// unseat ends a leadership as an operator does, and has another one begin in the
// same revision if there is an heir.
func (s *scene) unseat(kind Kind, name, why string, heir uint64) {
	s.rev++
	e := s.elect[name]
	l := e.Leader
	e.Leader, e.Last = nil, &Tenure{Session: l.Session, Token: l.Token, Ended: why, Value: l.Value}
	asked := s.now
	if heir != 0 {
		s.token++
		e.Term, e.Token, e.Leader = e.Term+1, s.token, &Leader{Session: heir, Token: s.token, Value: "heir", Since: s.rev}
	}
	s.changeElection(name)
	s.intervene(Intervention{Kind: kind, Name: name, Token: l.Token, Session: heir})
	if heir != 0 {
		o := s.op(Operation{Client: client(heir), Kind: Campaign, Session: heir, Claim: []Item{{Name: name}}, Value: "heir", Token: e.Token, Term: e.Term, Revision: s.rev})
		o.Invoke, o.Until = asked-ms/2, o.Return+ms/2
	}
}

// takeAway adds what operators do, and are refused.
func (s *scene) takeAway() {
	w := Item{Name: "w"}
	first := s.acquire(12, w)
	lost := len(s.h.Operations) - 1
	s.h.Sessions = append(s.h.Sessions, Session{ID: 12, Client: "c12", TTL: 5 * ms, Safe: s.now})
	s.rev++
	s.end(first, "broken")
	s.intervene(Intervention{Kind: BreakLock, Name: "w", Token: first})
	s.acquire(13, w)
	s.h.Operations[lost].Until = s.now // it was told a little later
	s.h.Told = append(s.h.Told, Told{Client: "c12", Session: 12, Name: "w", Token: first, Ended: "broken", At: s.now})
	s.h.Sessions = append(s.h.Sessions, Session{ID: 13, Client: "c13", TTL: 5 * ms, Safe: s.now})
	s.intervene(Intervention{Kind: BreakLock, Name: "w", Token: first, Outcome: Refused, Code: "TOKEN_MISMATCH"})
	asked := s.now
	s.over(13, "ended")
	s.h.Interventions = append(s.h.Interventions, Intervention{Kind: EndSession, Session: 13, Invoke: asked, Return: s.now, Outcome: Done})
	s.h.Told = append(s.h.Told, Told{Client: "c13", Session: 13, Ended: "ended", At: s.now})
	s.lead(14, "crown", "a")
	s.unseat(Resign, "crown", "broken", 0)
	s.lead(15, "crown", "b")
	s.unseat(Transfer, "crown", "transferred", 16)
	s.unseat(ResignAs, "crown", "released", 0)
	s.txn(2, get("k"))
}

// delay has a holder with a delay expire, and the next one granted after it.
func (s *scene) delay() {
	x := Item{Name: "late"}
	s.acquire(17, x)
	s.h.Operations[len(s.h.Operations)-1].Delay = 1000 * ms
	s.txn(2, get("k"))
	s.expire(17)
	s.now += 1000 * ms
	s.release(s.acquire(18, x), x)
}

// inherit ends a session for whose lock another one waits.
func (s *scene) inherit(dead, heir uint64, x Item) uint64 {
	asked := s.now
	s.now += ms
	s.expire(dead)
	s.token++
	s.locks[x.Name].Holders = []Holder{{Session: heir, Token: s.token}}
	for i := len(s.h.Audit) - 1; ; i-- { // in the same revision
		if c := &s.h.Audit[i]; c.Space == OfLocks && c.Record.Key == x.Name {
			l := *s.locks[x.Name]
			c.Lock = &l
			break
		}
	}
	o := s.op(Operation{Client: client(heir), Kind: Acquire, Session: heir, Claim: []Item{x}, Token: s.token, Revision: s.rev})
	o.Invoke, o.Until = asked, o.Return+ms/2
	return s.token
}

func (s *scene) changeKey(c Change) {
	s.times[s.rev] = s.now
	s.model.add(&c)
	s.h.Audit = append(s.h.Audit, c)
}

func (s *scene) lead(session uint64, name, value string) uint64 {
	s.rev++
	s.token++
	e := s.elect[name]
	if e == nil {
		e = &Election{}
		s.elect[name] = e
	}
	e.Term, e.Token = e.Term+1, s.token
	e.Leader = &Leader{Session: session, Token: s.token, Value: value, Since: s.rev}
	s.changeElection(name)
	o := s.op(Operation{Client: client(session), Kind: Campaign, Session: session, Claim: []Item{{Name: name}}, Value: value, Token: s.token, Term: e.Term, Revision: s.rev})
	o.Until = o.Return + ms/2
	return s.token
}

func (s *scene) changeElection(name string) {
	e := *s.elect[name]
	s.h.Audit = append(s.h.Audit, Change{Revision: s.rev, Space: OfElections, Record: s.next(s.erec, name), Election: &e})
}

func (s *scene) proclaim(name, value string) {
	s.rev++
	e := s.elect[name]
	l := *e.Leader
	l.Value = value
	e.Leader = &l
	s.changeElection(name)
	s.op(Operation{Client: client(l.Session), Kind: Proclaim, Session: l.Session, Claim: []Item{{Name: name}}, Token: l.Token, Value: value, Revision: s.rev})
}

func (s *scene) resign(name string) {
	s.rev++
	e := s.elect[name]
	l := e.Leader
	e.Leader, e.Last = nil, &Tenure{Session: l.Session, Token: l.Token, Ended: "released", Value: l.Value}
	s.changeElection(name)
	s.op(Operation{Client: client(l.Session), Kind: Resign, Session: l.Session, Claim: []Item{{Name: name}}, Token: l.Token, Revision: s.rev})
}

// again repeats a request, which gets the same answer.
func (s *scene) again(o *Operation) {
	repeated := *o
	repeated.Invoke, repeated.Return = s.now, s.now+ms
	s.now += 2 * ms
	s.h.Operations = append(s.h.Operations, repeated)
}

// txn carries out a transaction.
func (s *scene) txn(session uint64, t Txn) *Operation {
	result, changes := s.model.run(&t, s.rev)
	if len(changes) > 0 {
		s.rev++
	}
	for _, c := range changes {
		s.changeKey(c)
	}
	return s.op(Operation{Client: client(session), Kind: Keys, Session: session, Txn: &t, Result: &result, Revision: s.rev})
}

func put(key, value string) Txn {
	return Txn{Then: []KeyOp{{Action: Put, Key: key, Value: value}}}
}
func get(key string) Txn { return Txn{Then: []KeyOp{{Action: Get, Key: key}}} }

func swap(key, from, to string) Txn {
	return Txn{If: []Compare{{Target: ValueOf, Is: "=", Key: key, Value: from}}, Then: []KeyOp{{Action: Put, Key: key, Value: to}}, Else: []KeyOp{{Action: Get, Key: key}}}
}

// sound is a history with some of everything, in which nothing is wrong.
func sound() *History {
	s := newScene()
	x, y, many := Item{Name: "x"}, Item{Name: "y"}, Item{Name: "many", Mode: Permits, Permits: 2, Capacity: 5}
	both := Item{Name: "s", Mode: Shared}
	s.release(s.acquire(1, x), x)
	s.h.Queues = append(s.h.Queues, Queue{Name: "x", Invoke: s.now, Return: s.now + ms, Waiting: []uint64{2, 3}})
	a := s.acquire(2, x, y)
	s.op(Operation{Client: "c3", Kind: Acquire, Session: 3, Claim: []Item{y}, Outcome: Refused, Code: "HELD", Token: a})
	s.release(a, x, y)
	s.h.Operations[2].Invoke -= ms // 2 and 3 stood in the queue
	s.release(s.acquire(3, x), x)
	s.h.Operations[5].Invoke = s.h.Operations[2].Invoke
	b, c := s.acquire(1, both), s.acquire(2, both)
	s.h.Operations[len(s.h.Operations)-2].Until = s.now // 1 still believed
	s.release(b, both)
	s.release(c, both)
	d, e := s.acquire(1, many), s.acquire(2, many)
	s.release(d, many)
	s.release(e, many)
	s.lead(1, "boss", "one")
	s.proclaim("boss", "two")
	s.resign("boss")
	s.lead(2, "boss", "three")
	s.txn(1, put("k", "1"))
	s.txn(2, get("k"))
	s.txn(2, swap("k", "1", "2"))
	s.txn(3, swap("k", "1", "3"))
	s.txn(1, Txn{Then: []KeyOp{{Action: Put, Key: "k", Value: "4"}, {Action: Put, Key: "l", Value: "5"}, {Action: Get, Key: "a", End: "z"}}})
	s.txn(1, Txn{Then: []KeyOp{{Action: Delete, Key: "l"}}})
	s.txn(2, Txn{Then: []KeyOp{{Action: Get, Key: "l"}, {Action: Get, Key: "k", At: s.rev - 1}}})
	s.txn(4, Txn{Then: []KeyOp{{Action: Put, Key: "mine", Value: "6", Owner: 4}}})
	s.acquire(4, x)
	s.h.Sessions = append(s.h.Sessions, Session{ID: 4, Client: "c4", TTL: 5 * ms, Safe: s.now - ms})
	s.expire(4)
	s.lead(7, "chief", "first")
	s.h.Sessions = append(s.h.Sessions, Session{ID: 7, Client: "c7", TTL: 5 * ms, Safe: s.now - ms})
	s.expire(7)
	s.lead(8, "chief", "second")
	s.again(s.txn(8, put("again", "8")))
	// Asked for, never answered, and done.
	s.rev++
	s.changeKey(Change{Revision: s.rev, Space: OfKeys, Record: Record{Key: "k", Value: "7", Create: s.model.at("k", s.rev).Create, Mod: s.rev, Version: 4}})
	t := put("k", "7")
	s.op(Operation{Client: "c5", Kind: Keys, Session: 5, Txn: &t, Outcome: Unknown}).Return = Forever
	s.txn(2, get("k"))
	// Asked for, never answered, granted, and lost with its session.
	s.rev++
	s.token++
	s.locks["x"].Holders = []Holder{{Session: 5, Token: s.token}}
	s.locks["x"].Ended = nil
	s.changeLock("x")
	s.op(Operation{Client: "c5", Kind: Acquire, Session: 5, Claim: []Item{x}, Outcome: Unknown}).Return = Forever
	s.expire(5)
	s.release(s.acquire(6, x), x)
	s.takeAway()
	s.delay()
	// Waited for until the time was over.
	v := Item{Name: "v"}
	held := s.acquire(22, v)
	s.op(Operation{Client: "c23", Kind: Acquire, Session: 23, Claim: []Item{v}, Outcome: Refused, Code: "WAIT_TIMED_OUT"})
	s.release(held, v)
	// Left by its client, and waited for; and all that for long enough.
	z := Item{Name: "z"}
	s.acquire(10, z)
	s.h.Sessions = append(s.h.Sessions, Session{ID: 10, Client: "c10", TTL: 5 * ms, Safe: s.now + 4*ms, Died: s.now})
	s.release(s.inherit(10, 11, z), z)
	s.now += 2 * time.Second
	s.txn(2, get("k"))
	s.h.Promptness = &Promptness{Nodes: 3, Election: 10 * ms}
	s.h.AuditTo = s.rev
	s.watch()
	return s.h
}

// watch adds what watchers of all spaces are told.
func (s *scene) watch() {
	for _, space := range []Space{OfKeys, OfLocks, OfElections} {
		w := Watch{Name: string(space), Space: space, End: "\x00", From: 2, Prev: space == OfKeys, Upto: s.rev}
		last := map[string]*Record{}
		for i := 0; i < len(s.h.Audit); {
			var d Delivery
			for rev := s.h.Audit[i].Revision; i < len(s.h.Audit) && s.h.Audit[i].Revision == rev; i++ {
				if c := s.h.Audit[i]; c.Space == space {
					if space == OfKeys {
						c.Prev = last[c.Record.Key]
						if last[c.Record.Key] = &s.h.Audit[i].Record; c.Deleted {
							last[c.Record.Key] = nil
						}
					}
					d.Changes = append(d.Changes, c)
					d.Revision, d.At = rev, s.times[rev]
				}
			}
			if len(d.Changes) > 0 {
				w.Deliveries = append(w.Deliveries, d)
			}
			if len(w.Deliveries) == 3 {
				w.Deliveries = append(w.Deliveries, Delivery{Resumed: d.Revision + 1})
			}
		}
		w.Deliveries = append(w.Deliveries, Delivery{Revision: s.rev})
		s.h.Watches = append(s.h.Watches, w)
	}
}
