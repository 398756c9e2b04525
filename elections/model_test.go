package elections

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
	"pgregory.net/rapid"
)

// model is the obvious form of a Table: a list of all candidates in order of
// acceptance, looked through again for everything.
type model struct {
	all   []*modelCandidate
	order int
	token locks.Token
	led   map[locks.Name]*modelElection
}

type modelElection struct {
	term    uint64
	leader  *modelCandidate
	last    locks.Tenure
	tenures []Tenure // over, and the one that is not
}

type modelCandidate struct {
	Request
	order        int
	stood, began sessions.Time
	deadline     sessions.Time
	token        locks.Token
	predecessor  locks.Tenure
}

func (c *modelCandidate) rank() int64 {
	return int64(c.stood) - int64(c.Priority)*int64(c.Aging)
}

func (m *model) election(n locks.Name) *modelElection {
	if m.led[n] == nil {
		m.led[n] = &modelElection{}
	}
	return m.led[n]
}

// waiting lists who waits, whoever is first in the queue first.
func (m *model) waiting(n locks.Name) []*modelCandidate {
	var l []*modelCandidate
	for _, c := range m.all {
		if c.Name == n && c.token == 0 {
			l = append(l, c)
		}
	}
	slices.SortStableFunc(l, func(a, b *modelCandidate) int { return int(a.rank()/1000 - b.rank()/1000) })
	return l
}

// challenger is who would pre-empt a leader of that priority.
func (m *model) challenger(n locks.Name, priority int) (best *modelCandidate) {
	for _, c := range m.waiting(n) {
		if c.Preempt && c.Priority > priority && (best == nil || c.Priority > best.Priority) {
			best = c
		}
	}
	return best
}

func (m *model) begin(c *modelCandidate, now sessions.Time, revision uint64) {
	e := m.election(c.Name)
	m.token++
	e.term++
	c.token, c.began, c.predecessor = m.token, now, e.last
	e.leader = c
	e.tenures = append(e.tenures, Tenure{
		Term: e.term, Token: c.token, Session: c.ID.Session, From: revision, Since: int64(now / sessions.Millisecond), Value: c.Value,
	})
}

// next makes the next candidate lead when nobody does.
func (m *model) next(n locks.Name, now sessions.Time, revision uint64) {
	if m.election(n).leader != nil {
		return
	}
	queue := m.waiting(n)
	if len(queue) == 0 {
		return
	}
	c := queue[0]
	if d := m.challenger(n, c.Priority); d != nil && c.Tenure == 0 {
		c = d
	}
	m.begin(c, now, revision)
}

// remove ends a candidacy.
func (m *model) remove(c *modelCandidate, why locks.Why, now sessions.Time, revision uint64) {
	m.all = slices.DeleteFunc(m.all, func(d *modelCandidate) bool { return d == c })
	if c.token == 0 {
		return
	}
	e := m.election(c.Name)
	e.leader = nil
	e.last = locks.Tenure{Token: c.token, Session: c.ID.Session, Ended: why, Value: c.Value}
	t := &e.tenures[len(e.tenures)-1]
	t.To, t.Until, t.Ended, t.Value = revision, int64(now/sessions.Millisecond), why, c.Value
}

// due is what falls due next: a pre-emption before the end of a wait.
func (m *model) due() (at sessions.Time, preempted, timedOut *modelCandidate) {
	at = 1 << 62
	for _, n := range testNames {
		l := m.election(n).leader
		if l != nil && m.challenger(n, l.Priority) != nil && l.began+l.Tenure < at {
			at, preempted = l.began+l.Tenure, l
		}
	}
	for _, c := range m.all {
		if c.token == 0 && c.deadline != 0 && c.deadline < at {
			at, preempted, timedOut = c.deadline, nil, c
		}
	}
	return at, preempted, timedOut
}

// world runs a table and its model side by side.
type world struct {
	*cell
	t        *rapid.T
	model    model
	sequence sessions.Sequence
	granted  []locks.ClaimID // in this step, after waiting
}

var (
	modelLimits = locks.Limits{Claims: 30, ClaimsOfSession: 9, Waiters: 6}
	testNames   = []locks.Name{"a", "a/b", "b"}
)

func (w *world) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(w.t, what) }

func (w *world) one(what string) *modelCandidate {
	if len(w.model.all) == 0 {
		return nil
	}
	return w.model.all[w.draw(len(w.model.all), what)]
}

// leader draws an election that somebody leads.
func (w *world) leader() *modelCandidate {
	var l []*modelCandidate
	for _, c := range w.model.all {
		if c.token != 0 {
			l = append(l, c)
		}
	}
	if len(l) == 0 {
		return nil
	}
	return l[w.draw(len(l), "leader")]
}

// apply runs a step of the table and notes who it granted.
func (w *world) apply(do func(at locks.Step)) {
	w.step(do)
	w.granted = nil
	for _, c := range w.store.granted {
		w.granted = append(w.granted, c.ID)
	}
}

func (w *world) campaign() {
	w.sequence++
	q := Request{
		ID:   locks.ClaimID{Session: sessions.ID(1 + w.draw(4, "session")), Sequence: w.sequence},
		Name: testNames[w.draw(len(testNames), "name")], Value: []byte(fmt.Sprint("v", w.sequence)),
		Terms: Terms{Priority: w.draw(5, "priority") - 1, Preempt: w.draw(3, "preempt") == 0, Aging: 2 * sessions.Second},
		Try:   w.draw(5, "try") == 0, Wait: sessions.Duration(max(0, w.draw(9, "wait")-4)) * sessions.Second,
	}
	if w.draw(2, "tenure") == 0 {
		q.Tenure = sessions.Duration(w.draw(4, "tenures")) * 4 * sessions.Second
	}
	switch w.draw(12, "odd") {
	case 0:
		q.Aging = 3 * sessions.Second
	case 1:
		q.Aging = 0
	}
	want := w.refusal(q)
	var c, preempted *Candidate
	var err error
	revision := w.revision + 1
	w.apply(func(at locks.Step) { c, preempted, err = w.table.Campaign(at, q) })
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		w.t.Fatalf("campaign %+v: %v, the model says %v", q, err, want)
	}
	if err != nil {
		return
	}
	m := &w.model
	m.order++
	d := &modelCandidate{Request: q, order: m.order, stood: w.now}
	if l := m.election(q.Name).leader; d.Aging == 0 && l != nil {
		d.Aging = l.Aging
	} else if d.Aging == 0 {
		d.Aging = DefaultAging
	}
	if q.Wait > 0 {
		d.deadline = w.now + q.Wait
	}
	m.all = append(m.all, d)
	m.next(q.Name, w.now, revision)
	l := m.election(q.Name).leader
	var ended *modelCandidate
	if x := m.challenger(q.Name, l.Priority); x != nil && l.began+l.Tenure <= w.now {
		ended = l
		m.remove(l, locks.Transferred, w.now, revision)
		m.begin(x, w.now, revision)
	}
	if (preempted != nil) != (ended != nil) || ended != nil && preempted.ID != ended.ID {
		w.t.Fatalf("campaign %+v pre-empted %v, the model says %v", q, preempted, ended)
	}
	if c.Granted() != (d.token != 0) {
		w.t.Fatalf("campaign %+v leads: %v, the model says %v", q, c.Granted(), d.token != 0)
	}
	if len(w.granted) > 0 && w.granted[0] == c.ID {
		w.t.Fatalf("candidate %v was told twice", c.ID)
	}
}

// refusal is how the model would refuse a candidacy.
func (w *world) refusal(q Request) error {
	m := &w.model
	l := m.election(q.Name).leader
	queue := m.waiting(q.Name)
	if l != nil && q.Aging != 0 && l.Aging != q.Aging {
		return ErrAging
	}
	of := 0
	for _, c := range m.all {
		if c.ID.Session == q.ID.Session {
			of++
		}
	}
	if of >= modelLimits.ClaimsOfSession || len(m.all) >= modelLimits.Claims {
		return locks.ErrTooMany
	}
	if l != nil && q.Try {
		now := q.Preempt && q.Priority > l.Priority && l.began+l.Tenure <= w.now
		if d := m.challenger(q.Name, l.Priority); !now || d != nil && d.Priority >= q.Priority {
			return locks.ErrHeld
		}
	}
	if len(queue) >= modelLimits.Waiters {
		return locks.ErrTooMany
	}
	return nil
}

func (w *world) proclaim() {
	c := w.leader()
	if c == nil {
		return
	}
	value := []byte(fmt.Sprint("p", w.draw(100, "value")))
	w.apply(func(at locks.Step) {
		if err := w.table.Proclaim(at, c.ID.Session+1, c.Name, c.token, []byte("no")); !errors.Is(err, ErrNotLeader) {
			w.t.Fatalf("another session proclaimed: %v", err)
		}
		if err := w.table.Proclaim(at, c.ID.Session, c.Name, c.token+100, []byte("no")); !errors.Is(err, ErrNotLeader) {
			w.t.Fatalf("another token proclaimed: %v", err)
		}
		if err := w.table.Proclaim(at, c.ID.Session, c.Name, c.token, value); err != nil {
			w.t.Fatal(err)
		}
	})
	c.Value = value
	tenures := w.model.election(c.Name).tenures
	tenures[len(tenures)-1].Value = value
}

// end ends a candidacy in one of the ways in which that is asked for.
func (w *world) end() {
	c := w.one("candidate")
	if c == nil {
		return
	}
	why := locks.Released
	revision := w.revision + 1
	w.apply(func(at locks.Step) {
		var err error
		switch k := w.draw(3, "how"); {
		case k == 0 || c.token == 0:
			if led := w.table.Cancel(at, w.table.Find(c.ID)); led != (c.token != 0) {
				w.t.Fatalf("%v had led: %v", c.ID, led)
			}
		case k == 1:
			_, err = w.table.Resign(at, c.ID.Session, c.Name, c.token)
		default:
			why = locks.Broken
			if _, err := w.table.Break(at, c.Name, c.token+100); !errors.Is(err, ErrMismatch) {
				w.t.Fatalf("broken with another token: %v", err)
			}
			_, err = w.table.Break(at, c.Name, c.token)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	})
	w.model.remove(c, why, w.now, revision)
	w.model.next(c.Name, w.now, revision)
}

func (w *world) transfer() {
	c, revision := w.leader(), w.revision+1
	if c == nil {
		return
	}
	to := sessions.ID(1 + w.draw(5, "to"))
	id := c.ID.Session
	if w.draw(3, "operator") == 0 {
		id = 0
	}
	var heir *modelCandidate
	for _, d := range w.model.waiting(c.Name) {
		if d.ID.Session == to && heir == nil {
			heir = d
		}
	}
	var err error
	w.apply(func(at locks.Step) { _, err = w.table.Transfer(at, id, c.Name, c.token, to) })
	if (heir == nil) != errors.Is(err, ErrNotCandidate) || heir != nil && err != nil {
		w.t.Fatalf("transfer to session %d: %v, the model says %v", to, err, heir)
	}
	if heir == nil {
		return
	}
	w.model.remove(c, locks.Transferred, w.now, revision)
	w.model.begin(heir, w.now, revision)
}

func (w *world) endSession() {
	id, revision := sessions.ID(1+w.draw(4, "session")), w.revision+1
	w.apply(func(at locks.Step) { w.table.EndSession(at, id, locks.Expired) })
	var names []locks.Name
	for _, c := range slices.Clone(w.model.all) {
		if c.ID.Session == id {
			names = append(names, c.Name)
			w.model.remove(c, locks.Expired, w.now, revision)
		}
	}
	for _, n := range names {
		w.model.next(n, w.now, revision)
	}
}

// pass lets time pass, and what falls due happen.
func (w *world) pass() {
	until := w.now + sessions.Duration(w.draw(40, "time"))*200*sessions.Millisecond
	for {
		at, preempted, timedOut := w.model.due()
		due, ok := w.table.Due()
		if ok != (at < 1<<62) || ok && due != at {
			w.t.Fatalf("due at %d (%v), the model says %d", due, ok, at)
		}
		if !ok || due > until {
			break
		}
		w.now = max(w.now, due)
		revision := w.revision + 1
		var p, o *Candidate
		w.apply(func(at locks.Step) { p, o = w.table.Expire(at) })
		if !same(p, preempted) || !same(o, timedOut) {
			w.t.Fatalf("at %d pre-empted %v and timed out %v, the model says %v and %v", due, p, o, preempted, timedOut)
		}
		if timedOut != nil {
			w.model.remove(timedOut, locks.NotEnded, w.now, revision)
			continue
		}
		heir := w.model.challenger(preempted.Name, preempted.Priority)
		w.model.remove(preempted, locks.Transferred, w.now, revision)
		w.model.begin(heir, w.now, revision)
	}
	w.now = until
}

func same(c *Candidate, m *modelCandidate) bool {
	return c == nil && m == nil || c != nil && m != nil && c.ID == m.ID
}

func (w *world) restore() {
	t, err := w.restored(modelLimits)
	if err != nil {
		w.t.Fatal(err)
	}
	w.table = t
}

// dispose forgets free records, as compaction does.
func (w *world) dispose() {
	for n, data := range w.store.records {
		if r, _ := ReadRecord(data); r.Disposable() {
			delete(w.store.records, n)
			w.model.led[n] = nil
			w.store.past = slices.DeleteFunc(w.store.past, func(c change) bool { return c.name == n })
		}
	}
}

func (w *world) check() {
	if err := w.table.Check(w.now, func(sessions.ID) bool { return true }); err != nil {
		w.t.Fatal(err)
	}
	if w.token != w.model.token {
		w.t.Fatalf("token %d, the model says %d", w.token, w.model.token)
	}
	for _, n := range testNames {
		m := w.model.election(n)
		e := w.table.Get(n)
		if m.leader == nil {
			if e != nil {
				w.t.Fatalf("election %q is led by %v, the model says nobody", n, e.leader.ID)
			}
			continue
		}
		got := fmt.Sprint(e.Term(), e.Leader().ID, e.Leader().Token, e.Leader().Began, w.table.Predecessor(e.Leader()), string(e.Leader().Value))
		want := fmt.Sprint(m.term, m.leader.ID, m.leader.token, m.leader.began, m.leader.predecessor, string(m.leader.Value))
		if got != want {
			w.t.Fatalf("election %q: %s, the model says %s", n, got, want)
		}
		var queue, expected []string
		w.table.Candidates(e, func(c *Candidate) bool {
			queue = append(queue, fmt.Sprint(c.ID, w.table.Position(c), c.Deadline, c.Stood, c.Terms))
			return true
		})
		for i, c := range w.model.waiting(n) {
			expected = append(expected, fmt.Sprint(c.ID, i+1, c.deadline, c.stood, c.Terms))
		}
		if !slices.Equal(queue, expected) {
			w.t.Fatalf("election %q: candidates\n%q, the model says\n%q", n, queue, expected)
		}
	}
}

// observe holds what an observer is promised against all records: every leader
// in order, one a revision, its end and its successor in one record.
func (w *world) observe() {
	for _, n := range testNames {
		var before change
		h := NewHistory(1 << 20)
		for _, x := range w.store.past {
			if x.name != n {
				continue
			}
			r, b := &x.record, &before.record
			h.Add(r, x.revision, x.millis)
			switch {
			case x.revision <= before.revision:
				w.t.Fatalf("election %q has two records at revision %d", n, x.revision)
			case r.Term == b.Term+1 && r.Token > b.Token && r.Leader != nil && r.Leader.Revision == x.revision:
				if r.Ended != (b.Leader != nil) || b.Leader != nil && r.Last.Token != b.Token {
					w.t.Fatalf("election %q: term %d follows the leader %v, and its record says %v of %+v", n, r.Term, b.Leader, r.Ended, r.Last)
				}
			case r.Term == b.Term && r.Leader != nil:
				if b.Leader == nil || r.Ended || r.Leader.Claim != b.Leader.Claim || r.Leader.Revision != b.Leader.Revision {
					w.t.Fatalf("election %q: %+v follows %+v in one term", n, r.Leader, b.Leader)
				}
			case r.Term == b.Term && r.Leader == nil && b.Leader != nil && r.Ended && r.Last.Token == b.Token:
			default:
				w.t.Fatalf("election %q: record %+v follows %+v", n, r, b)
			}
			before = x
		}
		got, want := fmt.Sprintf("%+v", h.Tenures()), fmt.Sprintf("%+v", w.model.election(n).tenures)
		if got != want && len(h.Tenures())+len(w.model.election(n).tenures) > 0 {
			w.t.Fatalf("election %q: tenures\n%s, the model says\n%s", n, got, want)
		}
	}
}

func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{cell: newCell(modelLimits), t: rt, model: model{led: map[locks.Name]*modelElection{}}}
		for range rapid.IntRange(1, 120).Draw(rt, "steps") {
			switch w.draw(16, "step") {
			default:
				w.campaign()
			case 0, 1:
				w.proclaim()
			case 2, 3:
				w.end()
			case 4, 5:
				w.transfer()
			case 6:
				w.endSession()
			case 7, 8, 9:
				w.pass()
			case 10:
				w.restore()
			case 11:
				w.dispose()
			}
			w.check()
		}
		w.observe()
	})
}

// TestNobodyStarves: whoever stands is overtaken by no more than those who stand
// within so many intervals as their priority is higher.
func TestNobodyStarves(t *testing.T) {
	c := newCell(locks.Limits{Claims: 1 << 20, ClaimsOfSession: 1 << 20, Waiters: 1 << 20})
	stand := func(id uint64, priority int) {
		c.step(func(at locks.Step) {
			_, _, err := c.table.Campaign(at, Request{
				ID: locks.ClaimID{Session: 1, Sequence: sessions.Sequence(id)}, Name: "a",
				Terms: Terms{Priority: priority, Aging: MinAging},
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	stand(1, 0)
	stand(2, MinPriority)
	// A newcomer of the highest priority each second, and one leader each second.
	for i := range uint64(MaxPriority - MinPriority + 10) {
		c.now += MinAging
		stand(3+i, MaxPriority)
		e := c.table.Get("a")
		c.step(func(at locks.Step) { c.table.Cancel(at, e.Leader()) })
		if e.Leader().ID.Sequence == 2 {
			if i < MaxPriority-MinPriority-2 {
				t.Fatalf("it led after %d intervals already", i)
			}
			return
		}
	}
	t.Fatal("it never led")
}

// TestRecordFits: the largest record is far below what the store takes.
func TestRecordFits(t *testing.T) {
	c := newCell(locks.Limits{Claims: 9, ClaimsOfSession: 9, Waiters: 9})
	value := bytes.Repeat([]byte("v"), MaxValue)
	for s := range sessions.Sequence(2) {
		c.step(func(at locks.Step) {
			q := Request{ID: locks.ClaimID{Session: 1 << 62, Sequence: s + 1<<62}, Name: "a", Value: value}
			for i := range 15 {
				q.Labels = append(q.Labels, sessions.Label{Key: fmt.Sprintf("%02d", i), Value: fmt.Sprintf("%060d", i)})
			}
			if err := q.Labels.Check(); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.table.Campaign(at, q); err != nil {
				t.Fatal(err)
			}
		})
	}
	c.step(func(at locks.Step) { c.table.Cancel(at, c.table.Get("a").Leader()) })
	if n := len(c.store.records["a"]); n < 2*MaxValue || n > 160<<10 {
		t.Fatalf("a record of %d bytes", n)
	}
}

// TestHistoryIsBounded: a limit keeps memory in bounds whatever the history.
func TestHistoryIsBounded(t *testing.T) {
	h := NewHistory(3)
	for i := range uint64(1000) {
		r := Record{Term: i + 1, Token: locks.Token(i + 1), Leader: &Leader{Revision: i + 2}}
		if i > 0 {
			r.Ended, r.Last = true, locks.Tenure{Token: locks.Token(i), Ended: locks.Released}
		}
		h.Add(&r, i+2, 0)
		if len(h.tenures) > 6 {
			t.Fatalf("%d tenures are kept", len(h.tenures))
		}
	}
	if l := h.Tenures(); len(l) != 3 || l[0].Term != 998 || l[2].Term != 1000 || l[1].To != l[2].From || l[2].To != 0 {
		t.Fatalf("%+v", l)
	}
}
