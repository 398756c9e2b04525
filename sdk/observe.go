package sdk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Change says what an observer is told of.
type Change string

// The changes.
const (
	// Elected: there is a new leader; or, first of all, the present one.
	Elected Change = "elected"
	// Proclaimed: the leader is the same and proclaims another value.
	Proclaimed Change = "proclaimed"
	// Vacant: nobody leads.
	Vacant Change = "vacant"
)

// LeaderChange is one change of who leads an election, or of what the leader
// proclaims.
type LeaderChange struct {
	Election string `json:"election"`
	Change   Change `json:"change"`
	Revision uint64 `json:"revision"` // in which it happened
	// Time is when it happened, on the clock of the cell's leader; the zero
	// time for what had happened before the observer began.
	Time time.Time `json:"time,omitzero"`
	// Term is the number of leaders that the election has had, Token that of the
	// newest; both 0: nobody is known to have led.
	Term  uint64 `json:"term"`
	Token Token  `json:"token"`
	// Leader is nil while nobody leads.
	Leader *Leader `json:"leader"`
	// Last is the tenure that ended last: the predecessor of the leader, or how
	// the last leader went when nobody leads; nil: none has ended that is known.
	Last *Predecessor `json:"last"`
}

// ObserveOption changes what an observer is told.
type ObserveOption interface{ observe(*observeOptions) }

type observeOptions struct{ from uint64 }

// Observe yields every leader of an election in order, and what it proclaims:
// first the present state (the leader, or that nobody leads), then each change;
// with [FromRevision] every change from that revision on. It goes on across
// reconnects and changes of the cell's leader, without a gap and without a
// repeat, until the context ends or the consumer stops: the number of a leader's
// term shows whether one was missed, and Observe looks at it itself.
//
// What it yields last, unless the consumer stopped, is an error: that of the
// context, ErrCompacted when the history to go on from is gone, or another
// refusal. A consumer that is slow misses nothing as long as the history is
// kept.
func (c *Client) Observe(ctx context.Context, name string, opts ...ObserveOption) iter.Seq2[LeaderChange, error] {
	if err := checkElection("observe", name); err != nil {
		return func(yield func(LeaderChange, error) bool) { yield(LeaderChange{}, err) }
	}
	return c.observe(ctx, One(name), opts)
}

// ObservePrefix is Observe for all elections whose names begin with prefix, in
// the order of their changes; one stream serves them all. First it yields those
// of which a leader, or the last leader, is known, in the order of their names.
func (c *Client) ObservePrefix(ctx context.Context, prefix string, opts ...ObserveOption) iter.Seq2[LeaderChange, error] {
	if prefix != "" {
		if err := checkElection("observe", prefix); err != nil {
			return func(yield func(LeaderChange, error) bool) { yield(LeaderChange{}, err) }
		}
	}
	return c.observe(ctx, Prefix(prefix), opts)
}

func (c *Client) observe(ctx context.Context, names KeyRange, opts []ObserveOption) iter.Seq2[LeaderChange, error] {
	var o observeOptions
	for _, opt := range opts {
		opt.observe(&o)
	}
	return func(yield func(LeaderChange, error) bool) {
		seen := observer{from: o.from, elections: map[string]standing{}}
		var next func() (Batch, error, bool)
		var stop func()
		place := func(from uint64) {
			next, stop = iter.Pull2(c.Watch(ctx, names, WatchSpace(Elections), FromRevision(from), whenInPlace()))
		}
		place(o.from)
		defer func() { stop() }()
		// 1. How things are, read once the watch is in place: however long that
		// takes, and whatever is compacted meanwhile, what comes after it is told.
		if o.from == 0 {
			if _, err, _ := next(); err != nil {
				yield(LeaderChange{}, observeError(err))
				return
			}
			now, err := c.electionsNow(ctx, names)
			if err != nil {
				yield(LeaderChange{}, err)
				return
			}
			seen.from = now.revision + 1
			for _, kv := range now.records {
				change, err := seen.take(kv, time.Time{})
				if !yield(change, err) || err != nil {
					return
				}
			}
			if names.End == "" && len(now.records) == 0 &&
				!yield(LeaderChange{Election: names.Key, Change: Vacant, Revision: now.revision}, nil) {
				return
			}
		}
		// 2. What changes from there on.
		for {
			batch, err, ok := next()
			if !ok {
				return
			}
			if errors.Is(err, ErrLagging) {
				continue // it goes on from where it was
			}
			if errors.Is(err, ErrCompacted) && names.End == "" {
				// The history of the cell is gone; it may have had nothing of this
				// election.
				stop()
				place(0)
				var same bool
				if same, err = c.unchanged(ctx, names, &seen, next, err); same {
					continue
				}
			}
			if err != nil {
				yield(LeaderChange{}, observeError(err))
				return
			}
			for _, e := range batch.Events {
				if e.KV.ModRevision < seen.from {
					continue // it was read
				}
				if e.Deleted {
					seen.forget(e.KV)
					continue
				}
				change, err := seen.take(e.KV, e.Time)
				if !yield(change, err) || err != nil {
					return
				}
			}
		}
	}
}

// observeError names the operation in what a watch says.
func observeError(err error) error {
	var refused *Error
	if errors.As(err, &refused) && refused == err {
		named := *refused
		named.Op = "observe"
		return &named
	}
	if gaveUp, ok := err.(*waitError); ok {
		named := *gaveUp
		named.op = "observe"
		return &named
	}
	return err
}

// records is the records of elections as of one revision.
type records struct {
	records  []KeyValue
	revision uint64
}

// electionsNow reads the records of a range as of one revision, page by page. It
// begins again when that revision is compacted between two pages.
func (c *Client) electionsNow(ctx context.Context, names KeyRange) (records, error) {
	var out records
	first := names.Key
	for {
		opts := []RangeOption{InSpace(Elections), Limit(pageSize)}
		if out.revision != 0 {
			opts = append(opts, AtRevision(out.revision))
		}
		page, err := c.Range(ctx, names, opts...)
		if out.revision != 0 && errors.Is(err, ErrCompacted) {
			out, names.Key = records{}, first
			continue
		}
		if err != nil {
			return records{}, observeError(err)
		}
		if out.revision == 0 {
			out.revision = page.Revision
		}
		out.records = append(out.records, page.KVs...)
		if !page.More || len(page.KVs) == 0 {
			return out, nil
		}
		names.Key = page.KVs[len(page.KVs)-1].Key + "\x00"
	}
}

// unchanged says whether an election is as it was seen last, once a new watch is
// in place; then nothing was missed, and the observer goes on from there. If not,
// it gives what there is to say, or what was to be said before.
func (c *Client) unchanged(ctx context.Context, names KeyRange, seen *observer, next func() (Batch, error, bool), before error) (bool, error) {
	if len(seen.elections) == 0 {
		return false, before
	}
	if _, err, _ := next(); err != nil {
		return false, err
	}
	now, err := c.electionsNow(ctx, names)
	if err != nil {
		return false, err
	}
	if len(now.records) == 0 || now.records[0].ModRevision != seen.elections[names.Key].revision {
		return false, before
	}
	seen.from = now.revision + 1
	return true, nil
}

// observer holds what comes against what it has seen, so that a gap or a repeat
// is found here and not by its user.
type observer struct {
	from      uint64 // everything from this revision on is told
	elections map[string]standing
	forgotten uint64 // revision in which an election was forgotten last
}

// forget takes in that the cell has forgotten an election, which it does when
// nobody has led it for long.
func (o *observer) forget(kv KeyValue) {
	delete(o.elections, kv.Key)
	o.forgotten = max(o.forgotten, kv.ModRevision)
}

// standing is how an election was seen last.
type standing struct {
	create, term, revision uint64
	token                  Token
	led                    bool
}

// take turns a record into a change.
func (o *observer) take(kv KeyValue, at time.Time) (LeaderChange, error) {
	info, err := ElectionOf(kv)
	if err != nil {
		return LeaderChange{}, &Error{Op: "observe", Name: shorten(kv.Key), Code: CodeInternal, Message: err.Error()}
	}
	before, known := o.elections[kv.Key]
	now := standing{create: kv.CreateRevision, term: info.Term, revision: kv.ModRevision, token: info.Token, led: info.Leader != nil}
	why := now.after(before, known, o.from)
	if why == "" && !known && now.revision < o.forgotten {
		why = "it is a repeat" // of what is forgotten: revisions come in order
	}
	if why != "" {
		return LeaderChange{}, &Error{Op: "observe", Name: shorten(kv.Key), Code: CodeInternal, Revision: kv.ModRevision,
			Message: fmt.Sprintf("revision %d, term %d does not follow revision %d, term %d: %s", now.revision, now.term, before.revision, before.term, why)}
	}
	o.elections[kv.Key] = now
	out := LeaderChange{
		Election: kv.Key, Change: Elected, Revision: now.revision, Time: at,
		Term: info.Term, Token: info.Token, Leader: info.Leader, Last: info.Last,
	}
	switch {
	case info.Leader == nil:
		out.Change = Vacant
	case now.revision >= o.from && info.Leader.SinceRevision != now.revision:
		out.Change = Proclaimed
	}
	return out, nil
}

// after says what speaks against a record having come next after another one,
// given that all from a revision on are told; empty: nothing does.
func (s standing) after(before standing, known bool, from uint64) string {
	begins := !known || s.create != before.create
	switch {
	case known && s.revision <= before.revision:
		return "it is a repeat"
	case begins && s.create >= from && (s.term != 1 || s.revision != s.create):
		return "its beginning is missing"
	case begins && known && s.create <= before.revision:
		return "it was forgotten and created before it was seen last"
	case begins:
	case s.term == before.term+1 && s.led, s.term == before.term && !s.led && before.led:
	case s.term == before.term && s.led && before.led && s.token == before.token:
	default:
		return "a change is missing"
	}
	return ""
}
