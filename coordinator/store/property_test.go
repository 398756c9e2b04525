package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// free is how the tests' disposable records begin.
func free(space Space, r Record) bool { return strings.HasPrefix(r.Value, "free") }

var testOptions = Options{QuotaBytes: 40_000, KeepRevisions: 150, KeepMillis: 2000, Disposable: free}

// held is the locks that the tests' transactions find held.
func held(lock string, token uint64) bool { return lock == "a" && token == 1 }

// machine gives one random history to two stores, one that commits after every
// step and one that commits now and then, and to the model.
type machine struct {
	t       *rapid.T
	each    *Store
	grouped *Store
	tx      *Tx // of grouped, nil between batches
	model   *model
	millis  int64
	asked   uint64 // the newest revision that Compact was asked for
	rows    map[string]string
	dropped map[droppedRecord]bool

	walk   *Snapshot // under way on each
	walked []byte
	pinned []byte // what it must give

	refused, done int // transactions
}

var (
	drawKey   = rapid.StringMatching(`[abc][ab]?`)
	drawSpace = rapid.SampledFrom([]Space{Keys, Keys, Keys, Locks, Elections})
	drawEnd   = rapid.OneOf(rapid.SampledFrom([]string{"", Everything, "b", "c", "a"}), drawKey)
)

func (m *machine) value(t *rapid.T) string {
	s := rapid.SampledFrom([]string{"", "x", "y", "free", "free2"}).Draw(t, "value")
	if rapid.IntRange(0, 30).Draw(t, "large") == 0 {
		s += strings.Repeat("L", 5000)
	}
	return s
}

// both runs a step on both stores.
func (m *machine) both(step func(*Tx)) {
	if m.tx == nil {
		m.tx = m.grouped.Begin()
	}
	step(m.tx)
	tx := m.each.Begin()
	step(tx)
	tx.Commit()
	m.compacted()
}

// compacted checks how far history may have been dropped, and lets the model
// forget the records that the store has.
func (m *machine) compacted() {
	s := m.each
	allowed := m.asked
	if rev := s.Revision(); rev > testOptions.KeepRevisions {
		allowed = max(allowed, rev-testOptions.KeepRevisions+1)
	}
	for rev := uint64(2); rev <= m.model.revision(); rev++ {
		if m.model.events[rev][0].Millis <= m.millis-testOptions.KeepMillis {
			allowed = max(allowed, rev+1)
		}
	}
	size := int64(0) // reckoned generously
	for rev := m.model.revision(); rev >= 2; rev-- {
		for _, e := range m.model.events[rev] {
			size += int64(len(e.Record.Key)+len(e.Record.Value)+len(e.Prev.Value)) + 64
		}
		if size > testOptions.QuotaBytes/historyPart { // a chunk has 64 revisions at most
			allowed = max(allowed, min(rev+chunkEvents, s.Revision()))
			break
		}
	}
	if s.Compacted() > allowed || s.Compacted() < m.asked {
		m.t.Fatalf("compacted to %d, allowed is %d, asked for %d", s.Compacted(), allowed, m.asked)
	}
	for name, r := range m.model.current {
		_, ok := s.Get(name.space, name.key)
		if !ok && name.space != Keys && free(name.space, r) && r.Mod <= s.Compacted() {
			m.dropped[droppedRecord{name, r.Mod}] = true
			delete(m.model.current, name)
		}
	}
}

// droppedRecord is a record that the store has removed without an event.
type droppedRecord struct {
	name recordName
	mod  uint64
}

// gone says that the store has dropped a record, which counts for the past too.
func (m *machine) gone(space Space, r Record) bool {
	return m.dropped[droppedRecord{recordName{space, r.Key}, r.Mod}]
}

func (m *machine) revisions(t *rapid.T) {
	n := rapid.IntRange(1, 30).Draw(t, "revisions")
	for range n {
		m.millis += int64(rapid.IntRange(0, 20).Draw(t, "millis"))
		type change struct {
			del        bool
			space      Space
			key, value string
			session    uint64
		}
		changes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) change {
			return change{
				rapid.IntRange(0, 3).Draw(t, "delete") == 0, drawSpace.Draw(t, "space"), drawKey.Draw(t, "key"),
				m.value(t), rapid.Uint64Range(0, 3).Draw(t, "session"),
			}
		}), 0, 3).Draw(t, "changes")
		m.both(func(tx *Tx) {
			tx.BeginRevision(m.millis)
			for _, c := range changes {
				if c.del {
					tx.Delete(c.space, c.key)
				} else if _, err := tx.Put(c.space, c.key, []byte(c.value), c.session); err != nil {
					t.Fatal(err)
				}
			}
			rev, wrote := tx.EndRevision()
			if tx == m.tx {
				return
			}
			for _, c := range changes {
				if c.del {
					m.model.delete(c.space, c.key, m.millis)
				} else {
					m.model.put(c.space, c.key, c.value, c.session, m.millis)
				}
			}
			if wrote != (len(m.model.pending) > 0) {
				t.Fatalf("wrote %v", wrote)
			}
			m.model.end()
			if rev != m.model.revision() {
				t.Fatalf("revision %d, want %d", rev, m.model.revision())
			}
		})
	}
}

func (m *machine) drawTxn(t *rapid.T, depth int) *Txn {
	txn := &Txn{}
	for range rapid.IntRange(0, 2).Draw(t, "compares") {
		c := Compare{
			Target:   Target(rapid.IntRange(0, int(targets)-1).Draw(t, "target")),
			Relation: Relation(rapid.IntRange(0, int(relations)-1).Draw(t, "relation")),
			Key:      drawKey.Draw(t, "key"), End: drawEnd.Draw(t, "end"),
			Value:  rapid.SampledFrom([]string{"", "x", "free"}).Draw(t, "value"),
			Number: rapid.Uint64Range(0, 3).Draw(t, "number"),
		}
		if c.Target == TargetHeldLock {
			c.End, c.Relation = "", rapid.SampledFrom([]Relation{Equal, NotEqual}).Draw(t, "held")
		}
		txn.Compares = append(txn.Compares, c)
	}
	for _, branch := range []*[]Op{&txn.Success, &txn.Failure} {
		for range rapid.IntRange(0, 3).Draw(t, "ops") {
			var op Op
			switch rapid.IntRange(0, 5).Draw(t, "op") {
			case 0, 1:
				op.Put = &PutOp{Key: drawKey.Draw(t, "key"), Prev: rapid.Bool().Draw(t, "prev")}
				if op.Put.KeepValue = rapid.IntRange(0, 4).Draw(t, "keep value") == 0; !op.Put.KeepValue {
					op.Put.Value = []byte(m.value(t))
				}
				if op.Put.KeepSession = rapid.IntRange(0, 4).Draw(t, "keep session") == 0; !op.Put.KeepSession {
					op.Put.Session = rapid.Uint64Range(0, 3).Draw(t, "session")
				}
			case 2:
				op.Delete = &DeleteOp{Key: drawKey.Draw(t, "key"), End: drawEnd.Draw(t, "end"), Prev: rapid.Bool().Draw(t, "prev")}
			case 3, 4:
				q := m.drawQuery(t)
				op.Range = &q
			case 5:
				if depth < 3 {
					op.Txn = m.drawTxn(t, depth+1)
				} else {
					q := m.drawQuery(t)
					op.Range = &q
				}
			}
			*branch = append(*branch, op)
		}
	}
	return txn
}

func (m *machine) txn(t *rapid.T) {
	txn := m.drawTxn(t, 1)
	txn.Held = held
	m.millis++
	m.both(func(tx *Tx) {
		tx.BeginRevision(m.millis)
		b := budget{t: tx}
		w, err := tx.choose(&b, txn, txn)
		if err == nil && tx != m.tx {
			err = b.weigh(txn, w)
		}
		foreseen := err == nil
		got, err := tx.Txn(*txn)
		if err == nil && tx != m.tx && (!foreseen || b.returned != returned(&got)) {
			t.Fatalf("txn %+v: it was reckoned to return %d bytes, and returns %d", txn, b.returned, returned(&got))
		}
		_, wrote := tx.EndRevision()
		switch {
		case tx == m.tx:
			return
		case err != nil:
			m.refused++
			if wrote {
				t.Fatalf("refused and yet written: %v", err)
			}
			if !errors.Is(err, ErrDuplicateKey) && !errors.Is(err, ErrKeyNotFound) && !errors.Is(err, ErrCompacted) && !errors.Is(err, ErrFuture) {
				t.Fatal(err)
			}
			return
		}
		m.done++
		before := &model{current: maps.Clone(m.model.current)}
		want := m.model.txn(before, txn, held, m.gone, m.millis)
		m.model.end()
		if m.model.revision() != tx.s.Revision() || !reflect.DeepEqual(tidy(want), tidy(got)) {
			t.Fatalf("txn %+v\n got %+v\nwant %+v", txn, got, want)
		}
	})
}

// tidy makes empty lists the same as none.
func tidy(r TxnResult) string {
	var b strings.Builder
	fmt.Fprint(&b, r.Succeeded, r.Revision)
	for _, o := range r.Results {
		switch {
		case o.Range != nil:
			fmt.Fprintf(&b, " range %v", *o.Range)
		case o.Put != nil:
			fmt.Fprintf(&b, " put %v", *o.Put)
		case o.Delete != nil:
			fmt.Fprintf(&b, " delete %v", *o.Delete)
		case o.Txn != nil:
			fmt.Fprintf(&b, " txn (%s)", tidy(*o.Txn))
		}
	}
	return b.String()
}

func (m *machine) drawQuery(t *rapid.T) Query {
	q := Query{
		Space: drawSpace.Draw(t, "space"), Key: drawKey.Draw(t, "key"), End: drawEnd.Draw(t, "end"),
		Limit: rapid.Uint64Range(0, 4).Draw(t, "limit"), Order: Order(rapid.IntRange(0, int(orders)-1).Draw(t, "order")),
		Descending: rapid.Bool().Draw(t, "descending"), KeysOnly: rapid.Bool().Draw(t, "keys only"),
		CountOnly: rapid.IntRange(0, 4).Draw(t, "count only") == 0,
	}
	if rapid.Bool().Draw(t, "past") {
		q.Revision = rapid.Uint64Range(m.each.Compacted(), m.model.revision()).Draw(t, "revision")
	}
	if rapid.IntRange(0, 3).Draw(t, "bounds") == 0 {
		bound := rapid.Uint64Range(0, m.model.revision()+1)
		q.MinMod, q.MaxMod = bound.Draw(t, "min mod"), bound.Draw(t, "max mod")
		q.MinCreate, q.MaxCreate = bound.Draw(t, "min create"), bound.Draw(t, "max create")
	}
	return q
}

func (m *machine) query(t *rapid.T) {
	q := m.drawQuery(t)
	got, err := m.each.Range(q)
	if err != nil {
		t.Fatal(err)
	}
	want := m.model.query(q, m.gone)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%+v\n got %+v\nwant %+v", q, got, want)
	}
	if q.CountOnly || q.Order != ByKey || q.Descending || q.Revision != 0 || q.MinMod+q.MinCreate+q.MaxMod+q.MaxCreate != 0 {
		return
	}
	q.NoCount = true
	if page, err := m.each.Range(q); err != nil || fmt.Sprint(page.Records) != fmt.Sprint(want.Records) || page.More != want.More {
		t.Fatalf("%+v\n got %+v, %v\nwant %+v", q, page, err, want)
	}
}

func (m *machine) since(t *rapid.T) {
	from := rapid.Uint64Range(0, m.model.revision()+2).Draw(t, "from")
	maxEvents := rapid.IntRange(1, 100).Draw(t, "max events")
	maxBytes := rapid.SampledFrom([]int{1, 100, 10_000, 1 << 20}).Draw(t, "max bytes")
	if from < m.each.WatchableFrom() {
		if _, _, err := m.each.Since(from, maxEvents, maxBytes); !errors.Is(err, ErrCompacted) {
			t.Fatalf("since %d, kept from %d: %v", from, m.each.WatchableFrom(), err)
		}
		from = m.each.WatchableFrom()
	}
	var want []Event
	for rev := from; rev <= m.model.revision(); rev++ {
		want = append(want, m.model.events[rev]...)
	}
	next := from
	for next <= m.each.Revision() {
		events, after, err := m.each.Since(next, maxEvents, maxBytes)
		if err != nil || after <= next || len(events) == 0 && next > 1 {
			t.Fatalf("since %d: %d events, next is %d: %v", next, len(events), after, err)
		}
		if len(events) > len(want) || !slices.Equal(events, want[:len(events)]) {
			t.Fatalf("since %d:\n got %+v\nwant %+v", next, events, want)
		}
		one := len(events) > 0 && events[0].Revision() == events[len(events)-1].Revision()
		if !one && len(events) > maxEvents {
			t.Fatalf("%d events, at most %d", len(events), maxEvents)
		}
		want, next = want[len(events):], after
	}
	if len(want) > 0 || next != max(from, m.each.Revision()+1) {
		t.Fatalf("since %d: %d events missing, next is %d", from, len(want), next)
	}
}

func (m *machine) compact(t *rapid.T) {
	rev := rapid.Uint64Range(m.each.Compacted()/2, m.model.revision()+1).Draw(t, "revision")
	compacted := m.each.Compacted()
	m.both(func(tx *Tx) {
		err := tx.Compact(rev)
		switch {
		case rev <= compacted:
			if !errors.Is(err, ErrCompacted) {
				t.Fatal(err)
			}
		case rev > m.model.revision():
			if !errors.Is(err, ErrFuture) {
				t.Fatal(err)
			}
		case err != nil:
			t.Fatal(err)
		default:
			m.asked = rev
		}
	})
}

func (m *machine) autoCompact(t *rapid.T) {
	m.millis += int64(rapid.IntRange(0, 1000).Draw(t, "millis"))
	m.both(func(tx *Tx) { tx.AutoCompact(m.millis) })
}

func (m *machine) row(t *rapid.T) {
	key, value := drawKey.Draw(t, "key"), m.value(t)
	unset := rapid.Bool().Draw(t, "unset")
	m.both(func(tx *Tx) {
		if unset {
			if _, had := m.rows[key]; tx.Unset('t', []byte(key)) != had && tx != m.tx {
				t.Fatalf("unset of row %q, there was one: %v", key, had)
			}
			return
		}
		tx.Set('t', []byte(key), []byte(value))
	})
	delete(m.rows, key)
	if !unset {
		m.rows[key] = value
	}
	got := map[string]string{}
	m.each.Rows('t', nil, func(key, value string) bool { got[key] = value; return true })
	if !maps.Equal(got, m.rows) {
		t.Fatalf("rows %q, want %q", got, m.rows)
	}
}

func (m *machine) snapshot(t *rapid.T) {
	if m.walk == nil {
		m.pinned, m.walked = everything(m.each), nil
		m.walk = m.each.Snapshot()
	}
	for range rapid.IntRange(0, 3).Draw(t, "pieces") {
		piece, done := m.walk.Next(nil)
		m.walked = append(m.walked, piece...)
		if !done {
			continue
		}
		m.walk.Close()
		m.walk = nil
		if !bytes.Equal(m.walked, m.pinned) {
			t.Fatalf("snapshot taken while writes went on differs")
		}
		m.restore(t, m.walked)
		return
	}
}

func (m *machine) restore(t *rapid.T, b []byte) {
	s, err := Restore(testOptions, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(everything(s), b) {
		t.Fatal("a restored store gives another snapshot")
	}
}

// restart goes on with a store restored from a snapshot of the old one.
func (m *machine) restart(t *rapid.T) {
	if m.walk != nil {
		return
	}
	s, err := Restore(testOptions, bytes.NewReader(everything(m.each)))
	if err != nil {
		t.Fatal(err)
	}
	m.each.Close()
	m.each = s
}

// commit closes the batch of the one store: now they are equal.
func (m *machine) commit(t *rapid.T) {
	if m.tx != nil {
		m.tx.Commit()
		m.tx = nil
	}
	if m.each.Hash() != m.grouped.Hash() {
		t.Fatal("the grouping of calls into batches has left a trace")
	}
}

func (m *machine) check(t *rapid.T) {
	if err := m.each.Check(); err != nil {
		t.Fatal(err)
	}
	if full := m.each.Bytes() >= testOptions.QuotaBytes; full && !m.each.Full() {
		t.Fatal("at the quota and not full")
	}
	for session := range uint64(4) {
		var want []string
		for name, r := range m.model.current {
			if name.space == Keys && r.Session == session && session != 0 {
				want = append(want, name.key)
			}
		}
		slices.Sort(want)
		if got := m.each.Owned(session); !slices.Equal(got, want) {
			t.Fatalf("session %d owns %q, want %q", session, got, want)
		}
	}
}

func TestStoreAgainstModel(t *testing.T) {
	refused, done := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{t: t, each: New(testOptions), grouped: New(testOptions), model: newModel(), rows: map[string]string{}, dropped: map[droppedRecord]bool{}}
		defer func() {
			refused, done = refused+m.refused, done+m.done
			m.grouped.Close()
			m.each.Close()
		}()
		t.Repeat(map[string]func(*rapid.T){
			"revisions":   m.revisions,
			"txn":         m.txn,
			"txn2":        m.txn,
			"query":       m.query,
			"query2":      m.query,
			"since":       m.since,
			"compact":     m.compact,
			"autoCompact": m.autoCompact,
			"row":         m.row,
			"snapshot":    m.snapshot,
			"restart":     m.restart,
			"commit":      m.commit,
			"":            m.check,
		})
	})
	if !t.Failed() && (done < 20 || refused < 5) {
		t.Errorf("%d transactions done and %d refused: the test has lost its point", done, refused)
	}
}
