package locks

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/conch-lock/conch/sessions"
	"pgregory.net/rapid"
)

// model is the obvious form of a Table: one slice of all claims in order of
// acceptance. After every change it looks through them all, in order, and grants
// what can be granted.
type model struct {
	claims  []*modelClaim
	token   Token
	order   int
	delayed map[Name]sessions.Time
	last    map[Name]Tenure
}

type modelClaim struct {
	Request
	order       int
	deadline    sessions.Time
	token       Token
	predecessor Tenure
}

func (c *modelClaim) item(n Name) (Item, bool) {
	for _, it := range c.Items {
		if it.Name == n {
			return it, true
		}
	}
	return Item{}, false
}

// beside says whether an item is admitted, holders and delays considered.
func (m *model) beside(it Item) bool {
	if m.delayed[it.Name] != 0 {
		return false
	}
	used, holders := it.Permits, 0
	for _, c := range m.claims {
		held, ok := c.item(it.Name)
		if c.token == 0 || !ok {
			continue
		}
		holders++
		if it.Mode == Exclusive || held.Mode != it.Mode || held.Capacity != it.Capacity {
			return false
		}
		used += held.Permits
	}
	return holders < MaxHolders && (it.Mode != Permits || used <= it.Capacity)
}

// first says whether nobody who was accepted earlier waits for any of the
// claim's locks.
func (m *model) first(q *modelClaim) bool {
	for _, c := range m.claims {
		if c == q {
			return true
		}
		for _, it := range q.Items {
			if _, ok := c.item(it.Name); ok && c.token == 0 {
				return false
			}
		}
	}
	return true
}

func (m *model) grantable(q *modelClaim) bool {
	ok := q.token == 0 && m.first(q)
	for _, it := range q.Items {
		ok = ok && m.beside(it)
	}
	return ok
}

// grant grants until nothing more can be; it returns who was.
func (m *model) grant() (granted []ClaimID) {
	for again := true; again; {
		again = false
		for _, c := range m.claims {
			if m.grantable(c) {
				m.token++
				c.token, c.predecessor = m.token, m.last[c.Items[0].Name]
				granted = append(granted, c.ID)
				again = true
			}
		}
	}
	return granted
}

func (m *model) remove(c *modelClaim, now sessions.Time, why Why) {
	m.claims = slices.DeleteFunc(m.claims, func(o *modelClaim) bool { return o == c })
	if c.token == 0 {
		return
	}
	for _, it := range c.Items {
		m.last[it.Name] = Tenure{Token: c.token, Session: c.ID.Session, Ended: why}
		if why != Released && c.Delay > 0 {
			m.delayed[it.Name] = max(m.delayed[it.Name], now+c.Delay)
		}
	}
}

// recorder is a Sink that keeps everything, as the store would.
type recorder struct {
	records map[Name][]byte
	rows    map[uint64][]byte
	granted []ClaimID
}

func (r *recorder) Lock(l *Lock)                   { r.records[l.Name] = l.Append(nil) }
func (r *recorder) Granted(c *Claim)               { r.granted = append(r.granted, c.ID) }
func (r *recorder) Queue(order uint64, row []byte) { r.rows[order] = slices.Clone(row) }
func (r *recorder) Settle(order uint64)            { delete(r.rows, order) }

func (r *recorder) recall(n Name) (Token, Tenure) {
	rec, err := ReadRecord(r.records[n])
	if err != nil {
		return 0, Tenure{}
	}
	return rec.Token, rec.Last
}

// restored is a table made from what the recorder has.
func (r *recorder) restored(limits Limits, order uint64, token *Token) (*Table, error) {
	t := NewTable(limits, token)
	t.Recall = r.recall
	restorer := NewRestorer(t, 0)
	for _, n := range sortedKeys(r.records) {
		if err := restorer.Lock(n, r.records[n]); err != nil {
			return nil, err
		}
	}
	for _, o := range sortedKeys(r.rows) {
		if err := restorer.Claim(o, r.rows[o]); err != nil {
			return nil, err
		}
	}
	return t, restorer.Finish(order)
}

func sortedKeys[K interface{ ~string | ~uint64 }, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// world runs a table and its model side by side.
type world struct {
	t        *rapid.T
	table    *Table
	token    Token
	model    model
	sink     recorder
	now      sessions.Time
	sequence sessions.Sequence
	revision uint64
}

var (
	testLimits = Limits{Claims: 60, ClaimsOfSession: 20, Waiters: 12}
	testNames  = []Name{"a", "a/b", "b", "c"}
)

func (w *world) step() Step {
	w.revision++
	return Step{Now: w.now, Revision: w.revision, Millis: int64(w.now)}
}

func (w *world) items() []Item {
	var items []Item
	for _, n := range testNames {
		if rapid.IntRange(0, 2).Draw(w.t, "take") > 0 {
			continue
		}
		it := Item{Name: n}
		switch rapid.IntRange(0, 3).Draw(w.t, "mode") {
		case 1:
			it.Mode = Shared
		case 2:
			it.Mode, it.Capacity = Permits, 3
			it.Permits = rapid.Uint32Range(1, 3).Draw(w.t, "permits")
		case 3:
			if rapid.IntRange(0, 4).Draw(w.t, "odd") == 0 {
				it.Mode, it.Capacity, it.Permits = Permits, 5, 2
			}
		}
		items = append(items, it)
	}
	if items == nil {
		items = []Item{{Name: "a"}}
	}
	return items
}

func (w *world) claim() {
	w.sequence++
	q := Request{
		ID:    ClaimID{sessions.ID(rapid.IntRange(1, 4).Draw(w.t, "session")), w.sequence},
		Items: w.items(), Try: rapid.IntRange(0, 3).Draw(w.t, "try") == 0,
		Wait:  sessions.Duration(rapid.IntRange(0, 4).Draw(w.t, "wait") * 10),
		Delay: sessions.Duration(rapid.IntRange(0, 2).Draw(w.t, "delay") * 15),
	}
	c := &modelClaim{Request: q, order: w.model.order + 1}
	want := w.refusal(c)
	got, err := w.table.Claim(w.step(), q)
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		w.t.Fatalf("claim %+v: %v, the model says %v", q, err, want)
	}
	if err != nil {
		return
	}
	w.model.order++
	if q.Wait > 0 {
		c.deadline = w.now + q.Wait
	}
	w.model.claims = append(w.model.claims, c)
	if granted := w.model.grant(); len(granted) > 1 || len(granted) == 1 != got.Granted() {
		w.t.Fatalf("claim %+v granted: %v, the model says %v", q, got.Granted(), granted)
	}
}

// refusal is how the model would refuse a claim.
func (w *world) refusal(c *modelClaim) error {
	m := &w.model
	of := 0
	for _, o := range m.claims {
		if o.ID.Session == c.ID.Session {
			of++
		}
	}
	if of >= testLimits.ClaimsOfSession || len(m.claims) >= testLimits.Claims {
		return ErrTooMany
	}
	for _, it := range c.Items {
		waiting := 0
		for _, o := range m.claims {
			other, ok := o.item(it.Name)
			if !ok {
				continue
			}
			if it.Mode == Permits && other.Mode == Permits && other.Capacity != it.Capacity {
				return ErrCapacity
			}
			if o.token == 0 {
				waiting++
			}
		}
		if c.Try && (waiting > 0 || !m.beside(it)) {
			return ErrHeld
		}
		if waiting >= testLimits.Waiters {
			return ErrTooMany
		}
	}
	return nil
}

// some draws one of the claims that keep is true for, nil when there is none.
func (w *world) some(keep func(*modelClaim) bool) *modelClaim {
	var l []*modelClaim
	for _, c := range w.model.claims {
		if keep(c) {
			l = append(l, c)
		}
	}
	if len(l) == 0 {
		return nil
	}
	return l[rapid.IntRange(0, len(l)-1).Draw(w.t, "claim")]
}

func (w *world) release() {
	c := w.some(func(c *modelClaim) bool { return c.token != 0 })
	if c == nil {
		return
	}
	it := c.Items[rapid.IntRange(0, len(c.Items)-1).Draw(w.t, "item")]
	if _, err := w.table.Release(w.step(), c.ID.Session+1, it.Name, c.token); !errors.Is(err, ErrNotHolder) {
		w.t.Fatalf("another session released %v: %v", c.ID, err)
	}
	if _, err := w.table.Release(w.step(), c.ID.Session, it.Name, c.token+1000); !errors.Is(err, ErrNotHolder) {
		w.t.Fatalf("%v was released with another token: %v", c.ID, err)
	}
	if _, err := w.table.Release(w.step(), c.ID.Session, it.Name, c.token); err != nil {
		w.t.Fatal(err)
	}
	w.model.remove(c, w.now, Released)
	w.settle()
}

func (w *world) cancel() {
	c := w.some(func(*modelClaim) bool { return true })
	if c == nil {
		return
	}
	if was := w.table.Cancel(w.step(), w.table.Find(c.ID)); was != (c.token != 0) {
		w.t.Fatalf("cancelled %v: granted %v, the model says token %d", c.ID, was, c.token)
	}
	w.model.remove(c, w.now, Released)
	w.settle()
}

func (w *world) breakOne() {
	c := w.some(func(c *modelClaim) bool { return c.token != 0 })
	if c == nil {
		return
	}
	if _, err := w.table.Break(w.step(), c.Items[0].Name, c.token+1000); !errors.Is(err, ErrMismatch) {
		w.t.Fatalf("%v was broken with another token: %v", c.ID, err)
	}
	if _, err := w.table.Break(w.step(), c.Items[0].Name, c.token); err != nil {
		w.t.Fatal(err)
	}
	w.model.remove(c, w.now, Broken)
	w.settle()
}

func (w *world) endSession() {
	id := sessions.ID(rapid.IntRange(1, 4).Draw(w.t, "session"))
	w.table.EndSession(w.step(), id, Expired)
	for _, c := range slices.Clone(w.model.claims) {
		if c.ID.Session == id {
			w.model.remove(c, w.now, Expired)
		}
	}
	w.settle()
}

// pass lets time pass, and what falls due happen.
func (w *world) pass() {
	w.now += sessions.Duration(rapid.IntRange(1, 25).Draw(w.t, "time"))
	for {
		due, ok := w.table.Due()
		want, some := w.model.due()
		if ok != some || due != want {
			w.t.Fatalf("due at %d (%v), the model says %d (%v)", due, ok, want, some)
		}
		if !ok || due > w.now {
			return
		}
		c := w.table.Expire(w.step())
		if n, delay := w.model.nextDelay(); delay && w.model.delayed[n] == due {
			if c != nil {
				w.t.Fatalf("claim %v timed out before the delay of %q ended", c.ID, n)
			}
			delete(w.model.delayed, n)
		} else {
			q := w.model.nextWait()
			if c == nil || c.ID != q.ID {
				w.t.Fatalf("claim %v timed out, the model says %v", c, q.ID)
			}
			w.model.remove(q, w.now, NotEnded)
		}
		w.settle()
	}
}

func (m *model) nextWait() (first *modelClaim) {
	for _, c := range m.claims {
		if c.token == 0 && c.deadline != 0 && (first == nil || c.deadline < first.deadline) {
			first = c
		}
	}
	return first
}

func (m *model) nextDelay() (first Name, ok bool) {
	for _, n := range sortedKeys(m.delayed) {
		if !ok || m.delayed[n] < m.delayed[first] {
			first, ok = n, true
		}
	}
	return first, ok
}

func (m *model) due() (due sessions.Time, ok bool) {
	if c := m.nextWait(); c != nil {
		due, ok = c.deadline, true
	}
	if n, some := m.nextDelay(); some && (!ok || m.delayed[n] < due) {
		due, ok = m.delayed[n], true
	}
	return due, ok
}

// settle compares whom both granted.
func (w *world) settle() {
	w.sink.granted = nil
	w.table.Flush(&w.sink)
	want := w.model.grant()
	got := slices.Clone(w.sink.granted)
	less := func(a, b ClaimID) int { return int(a.Sequence) - int(b.Sequence) }
	slices.SortFunc(got, less)
	slices.SortFunc(want, less)
	if !slices.Equal(got, want) {
		w.t.Fatalf("granted %v, the model says %v", got, want)
	}
	// Within one step the order of grants may differ, their tokens with it.
	for _, c := range w.model.claims {
		if q := w.table.Find(c.ID); q != nil && q.Granted() {
			c.token = q.Token
		}
	}
}

// check compares everything, and a table restored from what was written.
func (w *world) check() {
	w.table.Flush(&w.sink)
	open := func(sessions.ID) bool { return true }
	if err := w.table.Check(w.now, open); err != nil {
		w.t.Fatal(err)
	}
	w.compare(w.table)
	if w.token != w.model.token {
		w.t.Fatalf("token %d, the model says %d", w.token, w.model.token)
	}
}

func (w *world) compare(t *Table) {
	var got, want []string
	for s := sessions.ID(1); s <= 4; s++ {
		t.Claims(s, func(c *Claim) {
			got = append(got, fmt.Sprint(c.ID, c.Items(), c.Token, t.Predecessor(c), c.Granted() || c.Deadline != 0))
		})
		for _, c := range w.model.claims {
			if c.ID.Session == s {
				want = append(want, fmt.Sprint(c.ID, c.Items, c.token, c.predecessor, c.token != 0 || c.deadline != 0))
			}
		}
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("claims\n%q, the model says\n%q", got, want)
	}
}

func (w *world) restore() {
	w.table.Flush(&w.sink)
	t, err := w.sink.restored(testLimits, w.table.Order(), &w.token)
	if err != nil {
		w.t.Fatal(err)
	}
	w.table = t
}

// dispose forgets free records, as compaction does.
func (w *world) dispose() {
	for n, row := range w.sink.records {
		if rec, _ := ReadRecord(row); rec.Free() && rec.Delayed == 0 {
			delete(w.sink.records, n)
			delete(w.model.last, n)
		}
	}
}

func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{
			t: rt, model: model{delayed: map[Name]sessions.Time{}, last: map[Name]Tenure{}},
			sink: recorder{records: map[Name][]byte{}, rows: map[uint64][]byte{}},
		}
		w.table = NewTable(testLimits, &w.token)
		w.table.Recall = w.sink.recall
		for range rapid.IntRange(1, 120).Draw(rt, "steps") {
			switch rapid.IntRange(0, 12).Draw(rt, "step") {
			default:
				w.claim()
			case 0, 1:
				w.release()
			case 2:
				w.cancel()
			case 3:
				w.breakOne()
			case 4:
				w.endSession()
			case 5:
				w.pass()
			case 6:
				w.restore()
			case 7:
				w.dispose()
			}
			w.check()
		}
	})
}

// TestHoldersFitARecord: as many holders as there may be, with the largest
// labels, leave a record of less than 1 MiB.
func TestHoldersFitARecord(t *testing.T) {
	for _, labels := range []int{0, 1, sessions.MaxLabels} {
		var token Token
		table := NewTable(Limits{Claims: 10_000, ClaimsOfSession: 10_000, Waiters: 10_000}, &token)
		sink := recorder{records: map[Name][]byte{}, rows: map[uint64][]byte{}}
		var l sessions.Labels
		for i := range labels {
			l = append(l, sessions.Label{Key: fmt.Sprintf("%02d%014d", i, 0), Value: fmt.Sprintf("%048d", i)})
		}
		if err := l.Check(); err != nil {
			t.Fatal(err)
		}
		const many = 2 * MaxHolders
		for i := range many {
			q := Request{ID: ClaimID{1<<62 + 1, sessions.Sequence(1<<62 + i)}, Items: []Item{{Name: "a", Mode: Shared}}, Delay: MaxDelay, Labels: l}
			if _, err := table.Claim(Step{Revision: 1 << 62, Millis: 1 << 50}, q); err != nil {
				t.Fatal(err)
			}
			table.Flush(&sink)
		}
		l0 := table.Get("a")
		if l0.Holders() > MaxHolders || l0.Holders()+l0.Waiting() != many || labels == 0 && l0.Holders() != MaxHolders {
			t.Fatalf("%d hold, %d wait", l0.Holders(), l0.Waiting())
		}
		if n := len(sink.records["a"]); n > 900<<10 {
			t.Fatalf("a record of %d bytes", n)
		}
		table.EndSession(Step{Now: 5, Revision: 1 << 62}, 1<<62+1, Expired)
		table.Flush(&sink)
		if n := len(sink.records["a"]); n > 900<<10 {
			t.Fatalf("a record of %d bytes", n)
		}
		if err := table.Check(5, func(sessions.ID) bool { return false }); err != nil {
			t.Fatal(err)
		}
	}
}
