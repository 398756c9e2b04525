package check

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSound: nothing is found where nothing is wrong.
func TestSound(t *testing.T) {
	h := sound()
	for _, v := range Judge(h).Violations {
		t.Error(v)
	}
	o := Sceptic{}.Check(h)
	for _, v := range o.Violations {
		t.Error(v)
	}
	if o.Operations < 30 || o.Parts < 6 {
		t.Errorf("the sceptic looked at %+v: the history has more", o)
	}
}

// find gives the operation of a kind for which is says so.
func find(h *History, kind Kind, is func(o *Operation) bool) *Operation {
	for i := range h.Operations {
		if o := &h.Operations[i]; o.Kind == kind && (is == nil || is(o)) {
			return o
		}
	}
	panic("the sound history has no such operation")
}

func token(n uint64) func(o *Operation) bool {
	return func(o *Operation) bool { return o.Token == n && o.Outcome == Done }
}

func audited(h *History, is func(c *Change) bool) *Change {
	i := slices.IndexFunc(h.Audit, func(c Change) bool { return is(&c) })
	if i < 0 {
		panic("the sound history has no such change")
	}
	return &h.Audit[i]
}

func held(h *History, name string, n uint64) *Change {
	return audited(h, func(c *Change) bool {
		return c.Space == OfLocks && c.Record.Key == name && slices.ContainsFunc(c.Lock.Holders, func(x Holder) bool { return x.Token == n })
	})
}

func leads(h *History, term uint64) *Change {
	return audited(h, func(c *Change) bool { return c.Space == OfElections && c.Election.Term == term })
}

func keyed(h *History, value string) *Change {
	return audited(h, func(c *Change) bool { return c.Space == OfKeys && c.Record.Value == value })
}

func writes1(value string) func(o *Operation) bool {
	return func(o *Operation) bool {
		return slices.ContainsFunc(o.Txn.Then, func(x KeyOp) bool { return x.Value == value })
	}
}

func reads1(value string) func(o *Operation) bool {
	return func(o *Operation) bool {
		return o.Result != nil && len(o.Result.Results) == 1 && len(o.Result.Results[0].Records) == 1 && o.Result.Results[0].Records[0].Value == value
	}
}

func drop[T any](list []T, i int) []T { return slices.Delete(list, i, i+1) }

// TestBroken: every checker finds what it is for.
func TestBroken(t *testing.T) {
	for _, c := range []struct {
		checker, what string
		break_        func(h *History)
	}{
		{"audit", "a revision is missing", func(h *History) {
			h.Audit = slices.DeleteFunc(h.Audit, func(c Change) bool { return c.Record.Value == "2" })
		}},
		{"audit", "the end is missing", func(h *History) { h.Audit = h.Audit[:len(h.Audit)-1] }},
		{"audit", "a version is skipped", func(h *History) { keyed(h, "2").Record.Version++ }},
		{"audit", "another create revision", func(h *History) { keyed(h, "2").Record.Create++ }},
		{"audit", "what is not there is deleted", func(h *History) { keyed(h, "5").Deleted = true }},

		{"mutual exclusion", "two exclusive holders", func(h *History) {
			l := held(h, "x", 3).Lock
			l.Holders = append(l.Holders, Holder{Session: 9, Token: 99})
		}},
		{"mutual exclusion", "more permits than there are", func(h *History) {
			c := audited(h, func(c *Change) bool { return c.Space == OfLocks && len(c.Lock.Holders) == 2 && c.Lock.Mode == Permits })
			c.Lock.Capacity = 3
		}},
		{"mutual exclusion", "one of two locks is lost early", func(h *History) {
			i := slices.IndexFunc(h.Audit, func(c Change) bool {
				return c.Space == OfLocks && c.Record.Key == "x" && len(c.Lock.Ended) == 1 && c.Lock.Ended[0].Token == 2
			})
			h.Audit = drop(h.Audit, i)
		}},
		{"mutual exclusion", "a hold changes hands", func(h *History) {
			c := audited(h, func(c *Change) bool { return c.Space == OfLocks && len(c.Lock.Holders) == 2 && c.Lock.Mode == Shared })
			c.Lock.Holders = slices.Clone(c.Lock.Holders)
			c.Lock.Holders[0].Session = 7
		}},
		{"mutual exclusion", "a token comes back", func(h *History) {
			c := held(h, "x", 3)
			c.Lock.Holders = []Holder{{Session: 1, Token: 1}}
		}},

		{"tokens", "a smaller one later", func(h *History) { held(h, "x", 1).Lock.Holders[0].Token = 50 }},
		{"tokens", "told twice", func(h *History) { find(h, Acquire, token(3)).Token = 2 }},
		{"tokens", "told in another order than that of revisions", func(h *History) {
			a, b := find(h, Acquire, token(4)), find(h, Acquire, token(5))
			a.Token, b.Token = 5, 4
		}},
		{"tokens", "smaller though asked for later, with no revisions", func(h *History) {
			a, b := find(h, Acquire, token(1)), find(h, Acquire, token(4))
			a.Token, b.Token = 4, 1
			a.Revision, b.Revision = 0, 0
		}},

		{"dead sessions", "granted after its end", func(h *History) { h.Endings[0].Session = 6; h.Endings[0].Revision = 2 }},
		{"dead sessions", "granted after a tenure that ended with the session", func(h *History) {
			c := audited(h, func(c *Change) bool {
				return c.Space == OfLocks && len(c.Lock.Ended) == 1 && c.Lock.Ended[0].Token == 1
			})
			c.Lock.Ended = []Tenure{{Session: 1, Token: 1, Ended: "expired"}}
		}},
		{"dead sessions", "its key stays", func(h *History) {
			i := slices.IndexFunc(h.Audit, func(c Change) bool { return c.Deleted && c.Record.Key == "mine" })
			h.Audit = drop(h.Audit, i)
		}},
		{"dead sessions", "a key is given to it", func(h *History) { keyed(h, "7").Record.Session = 4 }},
		{"dead sessions", "its hold stays", func(h *History) {
			i := slices.IndexFunc(h.Audit, func(c Change) bool {
				return c.Space == OfLocks && len(c.Lock.Ended) == 1 && c.Lock.Ended[0].Ended == "expired"
			})
			h.Audit = slices.Delete(h.Audit, i, i+1)
		}},

		{"first come", "by a queue", func(h *History) { slices.Reverse(h.Queues[0].Waiting) }},
		{"first come", "one who came later", func(h *History) {
			h.Queues[0].Waiting = []uint64{3}
			find(h, Acquire, token(2)).Invoke = h.Queues[0].Return + 1
		}},

		{"exactly once", "two answers to one request", func(h *History) {
			o := *find(h, Acquire, token(3))
			o.Token = 77
			h.Operations = append(h.Operations, o)
		}},
		{"exactly once", "done and refused", func(h *History) {
			o := *find(h, Keys, writes1("4"))
			o.Outcome = Refused
			h.Operations = append(h.Operations, o)
		}},
		{"exactly once", "written twice", func(h *History) { keyed(h, "4").Record.Value = "2"; keyed(h, "2").Record.Key = "k" }},
		{"exactly once", "written though it was refused", func(h *History) { find(h, Keys, writes1("4")).Outcome = Refused }},

		{"elections", "a term is skipped", func(h *History) { leads(h, 2).Election.Term = 3 }},
		{"elections", "a smaller token", func(h *History) { e := leads(h, 2).Election; e.Token, e.Leader.Token = 1, 1 }},
		{"elections", "the predecessor is another", func(h *History) {
			c := audited(h, func(c *Change) bool { return c.Space == OfElections && c.Election.Leader == nil })
			c.Election.Last = &Tenure{Session: 1, Token: 8, Ended: "released", Value: "one"}
		}},
		{"elections", "another leader in one term", func(h *History) {
			c := audited(h, func(c *Change) bool {
				return c.Space == OfElections && c.Election.Leader != nil && c.Election.Leader.Value == "two"
			})
			c.Election.Leader.Session = 9
		}},

		{"grants", "it stands nowhere", func(h *History) { find(h, Acquire, token(3)).Token = 88 }},
		{"grants", "at another revision", func(h *History) { find(h, Acquire, token(3)).Revision++ }},
		{"grants", "to another session", func(h *History) { find(h, Acquire, token(3)).Session = 2 }},
		{"grants", "one of two locks", func(h *History) { o := find(h, Acquire, token(2)); o.Claim = o.Claim[:1] }},
		{"grants", "in another mode", func(h *History) { find(h, Acquire, token(4)).Claim = []Item{{Name: "s"}} }},
		{"grants", "nobody asked", func(h *History) {
			i := slices.IndexFunc(h.Operations, func(o Operation) bool { return o.Kind == Acquire && o.Token == 3 })
			h.Operations = drop(h.Operations, i)
		}},
		{"grants", "one claim, two grants", func(h *History) {
			find(h, Acquire, token(3)).Outcome = Refused
			i := slices.IndexFunc(h.Operations, func(o Operation) bool { return o.Kind == Acquire && o.Outcome == Unknown })
			h.Operations[i].Claim = []Item{{Name: "x"}, {Name: "y"}}
		}},
		{"grants", "the release did not happen", func(h *History) {
			c := audited(h, func(c *Change) bool { return c.Space == OfLocks && c.Record.Key == "x" && len(c.Lock.Holders) == 0 })
			c.Lock.Ended = []Tenure{{Session: 1, Token: 1, Ended: "expired"}}
		}},
		{"grants", "the last release did not happen", func(h *History) {
			c := &h.Audit[len(h.Audit)-1]
			c.Lock.Holders = []Holder{{Session: 6, Token: c.Lock.Ended[0].Token}}
		}},
		{"grants", "a release at another revision", func(h *History) { find(h, Release, token(3)).Revision++ }},
		{"grants", "a proclamation is lost", func(h *History) { find(h, Proclaim, nil).Value = "nothing" }},
		{"grants", "another term", func(h *History) { find(h, Campaign, nil).Term++ }},
		{"grants", "refused for nobody", func(h *History) {
			find(h, Acquire, func(o *Operation) bool { return o.Code == "HELD" }).Token = 66
		}},

		{"grants", "refused for one that had ended before", func(h *History) {
			o := find(h, Acquire, func(o *Operation) bool { return o.Code == "HELD" })
			end := find(h, Release, token(2)) // of the holder that it was told of
			o.Invoke, o.Return = end.Return+ms/4, end.Return+ms/2
		}},
		{"grants", "a release is refused to the holder", func(h *History) {
			o := *find(h, Release, token(3))
			got := find(h, Acquire, token(3))
			o.Outcome, o.Code, o.Revision = Refused, "NOT_HOLDER", 0
			o.Invoke, o.Return = got.Return+ms/4, got.Return+ms/2
			seen := Operation{Kind: Keys, Outcome: Done, Session: o.Session, Revision: got.Revision, Invoke: got.Return + ms*5/8, Return: got.Return + ms*3/4}
			h.Operations = append(h.Operations, o, seen)
		}},
		{"grants", "a proclamation is refused to the leader", func(h *History) {
			o := *find(h, Proclaim, nil)
			seen := Operation{Kind: Keys, Outcome: Done, Session: o.Session, Revision: o.Revision, Invoke: o.Return + ms/16, Return: o.Return + ms/8}
			o.Outcome, o.Code, o.Revision, o.Invoke = Refused, "NOT_HOLDER", 0, o.Return
			h.Operations = append(h.Operations, o, seen)
		}},
		{"grants", "refused for one that came after", func(h *History) {
			o := find(h, Acquire, func(o *Operation) bool { return o.Code == "HELD" })
			first := find(h, Acquire, token(1))
			o.Invoke, o.Return = first.Invoke-ms/2, first.Invoke-ms/4
		}},

		{"keys", "a stale read", func(h *History) { find(h, Keys, reads1("1")).Revision += 2 }},
		{"keys", "another value", func(h *History) { find(h, Keys, reads1("7")).Result.Results[0].Records[0].Value = "4" }},
		{"keys", "a compare is answered wrong", func(h *History) {
			o := find(h, Keys, writes1("3"))
			o.Result = &Result{Succeeded: true, Results: []KeyResult{{}}}
		}},
		{"keys", "half a transaction", func(h *History) { keyed(h, "5").Record.Key = "m" }},
		{"keys", "nobody wrote it", func(h *History) { keyed(h, "7").Record.Value = "8" }},
		{"keys", "an acknowledged write is lost", func(h *History) {
			o := *find(h, Keys, writes1("4"))
			o.Revision, o.Sequence = 3, 0
			h.Operations = append(h.Operations, o)
		}},
		{"keys", "two of one revision", func(h *History) { find(h, Keys, writes1("2")).Revision = find(h, Keys, writes1("1")).Revision }},
		{"keys", "an unknown one before it was asked for", func(h *History) {
			o := find(h, Keys, func(o *Operation) bool { return o.Outcome == Unknown })
			o.Invoke = h.Operations[len(h.Operations)-1].Return + ms
			for i := range h.Operations {
				h.Operations[i].Sequence = 0
			}
		}},
		{"keys", "the end of a session leaves one", func(h *History) {
			c := audited(h, func(c *Change) bool { return c.Deleted && c.Record.Key == "mine" })
			c.Record.Key = "k"
		}},

		{"real time", "an older read after a newer one", func(h *History) {
			h.Operations[len(h.Operations)-1].Revision = 2
		}},
		{"real time", "a write at no new revision", func(h *History) {
			find(h, Keys, writes1("4")).Revision = find(h, Keys, writes1("2")).Revision
		}},

		{"watches", "a change is missing", func(h *History) { h.Watches[0].Deliveries = drop(h.Watches[0].Deliveries, 1) }},
		{"watches", "the last is missing", func(h *History) {
			d := h.Watches[1].Deliveries
			h.Watches[1].Deliveries = d[:len(d)-2]
		}},
		{"watches", "twice", func(h *History) {
			h.Watches[0].Deliveries = slices.Insert(h.Watches[0].Deliveries, 1, h.Watches[0].Deliveries[0])
		}},
		{"watches", "out of order", func(h *History) {
			d := h.Watches[1].Deliveries
			d[0], d[1] = d[1], d[0]
		}},
		{"watches", "a revision in parts", func(h *History) {
			for i, d := range h.Watches[0].Deliveries {
				if len(d.Changes) == 2 {
					rest := Delivery{Changes: d.Changes[1:], Revision: d.Revision}
					h.Watches[0].Deliveries[i].Changes = d.Changes[:1]
					h.Watches[0].Deliveries[i].Revision = 0
					h.Watches[0].Deliveries = slices.Insert(h.Watches[0].Deliveries, i+1, rest)
					return
				}
			}
		}},
		{"watches", "not in its range", func(h *History) { h.Watches[0].Key, h.Watches[0].End = "l", "m" }},
		{"watches", "another previous version", func(h *History) {
			h.Watches[0].Deliveries[1].Changes[0].Prev = nil
		}},
		{"watches", "another value", func(h *History) { h.Watches[0].Deliveries[0].Changes[0].Record.Value = "9" }},
		{"watches", "resumed too late", func(h *History) { h.Watches[1].Deliveries[3].Resumed += 4 }},
		{"watches", "a bookmark that is not true", func(h *History) { h.Watches[1].Deliveries[0].Revision += 4 }},
		{"watches", "a leader is missing", func(h *History) { h.Watches[2].Deliveries = drop(h.Watches[2].Deliveries, 1) }},
		{"watches", "another leader", func(h *History) {
			c := &h.Watches[2].Deliveries[0].Changes[0]
			e := *c.Election
			e.Token++
			c.Election = &e
		}},

		{"never early", "it expired before", func(h *History) { h.Sessions[0].Safe = h.Endings[0].At + 6*ms }},
		{"never early", "its lock went before", func(h *History) { h.Endings = nil; h.Sessions[0].Safe = endTold(h, 4) + 6*ms }},
		{"never early", "its lock went before, as another watcher was told", func(h *History) {
			h.Endings = nil
			h.Sessions[0].Safe = endTold(h, 4)
			w := h.Watches[1]
			w.Deliveries = slices.Clone(w.Deliveries)
			for i := range w.Deliveries {
				w.Deliveries[i].At -= 6 * ms
			}
			h.Watches = append(h.Watches, w)
		}},
		{"never early", "its lead went before", func(h *History) { h.Endings = nil; h.Sessions[1].Safe = endTold(h, 7) + 6*ms }},
		{"never early", "its key went before", func(h *History) {
			h.Endings = nil
			h.Watches = h.Watches[:1] // of keys
			h.Sessions[0].Safe = endTold(h, 4) + 6*ms
		}},
		{"never early", "its key went before it was closed", func(h *History) {
			h.Endings = nil
			h.Watches = h.Watches[:1] // of keys
			h.Sessions[0].Safe, h.Sessions[0].Closed = endTold(h, 4)+9*ms, endTold(h, 4)+6*ms
		}},

		{"not for ever", "it ended too late", func(h *History) {
			h.Operations = append(h.Operations, looks(h, 10))
			died(h, 10).Died -= 1100 * ms
		}},
		{"not for ever", "its lock never ended", func(h *History) {
			i := slices.IndexFunc(h.Audit, func(c Change) bool { return c.Space == OfLocks && c.Record.Key == "z" && len(c.Lock.Ended) == 1 })
			h.Audit = h.Audit[:i]
			h.Endings = slices.DeleteFunc(h.Endings, func(e Ending) bool { return e.Session == 10 })
		}},
		{"not for ever", "too late even with a node down, and up again", func(h *History) {
			at := died(h, 10).Died
			h.Promptness.Faults = []Fault{{From: at - 3900*ms, To: at - 3800*ms, Nodes: []string{"n1"}}}
			h.Operations = append(h.Operations, looks(h, 10))
			died(h, 10).Died -= 4000 * ms
		}},
		{"not for ever", "too late although the cell could work again", func(h *History) {
			at := died(h, 10).Died
			h.Promptness.Faults = []Fault{{From: at - 5000*ms, To: at - 4500*ms, Nodes: []string{"n1", "n2"}}}
			h.Operations = append(h.Operations, looks(h, 10))
			died(h, 10).Died -= 5000 * ms
		}},
		{"granted after death", "too late", func(h *History) {
			h.Operations = append(h.Operations, looks(h, 10))
			died(h, 10).Died -= 1100 * ms
			find(h, Acquire, func(o *Operation) bool { return o.Session == 11 }).Invoke -= 1100 * ms
		}},
		{"granted after death", "told too late", func(h *History) {
			o := find(h, Acquire, func(o *Operation) bool { return o.Session == 11 })
			o.Return += 1100 * ms
		}},
		{"granted after death", "nobody is granted it", func(h *History) {
			i := slices.IndexFunc(h.Audit, func(c Change) bool { return c.Space == OfLocks && c.Record.Key == "z" && len(c.Lock.Ended) == 1 })
			h.Audit[i].Lock.Holders = nil
			h.Audit = h.Audit[:i+1]
			o := find(h, Acquire, func(o *Operation) bool { return o.Session == 11 })
			o.Outcome, o.Token, o.Revision, o.Return, o.Left = Unknown, 0, 0, Forever, o.Return+1500*ms
		}},

		{"grants", "a release is refused and took effect", func(h *History) {
			o := find(h, Release, token(3))
			o.Outcome, o.Code, o.Revision = Refused, "NOT_HOLDER", 0
		}},
		{"grants", "a release is refused, repeated without an answer, and took effect", func(h *History) {
			o := find(h, Release, token(3))
			o.Outcome, o.Code, o.Revision = Refused, "NOT_HOLDER", 0
			again := *o
			again.Outcome, again.Code, again.Return = Unknown, "", Forever
			h.Operations = append(h.Operations, again)
		}},
		{"grants", "resigning is refused and took effect", func(h *History) {
			o := find(h, Resign, nil)
			o.Outcome, o.Code, o.Revision = Refused, "NOT_HOLDER", 0
		}},
		{"grants", "handing over is refused and took effect", func(h *History) {
			o := find(h, Resign, nil)
			audited(h, func(c *Change) bool { return c.Space == OfElections && c.Election.Leader == nil }).Election.Last.Ended = "transferred"
			o.Kind, o.Outcome, o.Code, o.Revision = Transfer, Refused, "NOT_HOLDER", 0
		}},
		{"grants", "a proclamation is refused and took effect", func(h *History) {
			o := find(h, Proclaim, nil)
			o.Outcome, o.Code, o.Revision = Refused, "NOT_HOLDER", 0
		}},

		{"kept out", "refused, and nobody held it any more", func(h *History) {
			o := find(h, Acquire, func(o *Operation) bool { return o.Code == "HELD" })
			end := find(h, Release, token(2)) // of the holder
			o.Token, o.Invoke, o.Return = 0, end.Return+ms/4, end.Return+ms/2
		}},
		{"kept out", "refused for a holder of another lock", func(h *History) {
			find(h, Acquire, func(o *Operation) bool { return o.Code == "HELD" }).Claim = []Item{{Name: "free"}}
		}},
		{"kept out", "the lead of nobody", func(h *History) {
			o := find(h, Acquire, func(o *Operation) bool { return o.Code == "HELD" })
			o.Kind, o.Token = Campaign, 0 // of an election that is called as the lock
		}},
		{"kept out", "waited in vain for what nobody held", func(h *History) { inVain(h).Claim = []Item{{Name: "free"}, {Name: "x"}} }},
		{"kept out", "waited in vain until it was free, and after", func(h *History) {
			o := inVain(h)
			free := find(h, Release, func(e *Operation) bool { return e.Claim[0].Name == "v" })
			o.Invoke, o.Return = free.Return+ms/4, free.Return+ms/2
		}},
		{"kept out", "waited in vain behind a claim of several that was granted", func(h *History) {
			inVain(h).Claim = []Item{{Name: "y"}}
		}},

		{"beliefs", "two at a time", func(h *History) { find(h, Acquire, token(1)).Until = find(h, Acquire, token(3)).Return + 1 }},
		{"beliefs", "exclusive beside shared", func(h *History) {
			find(h, Acquire, token(4)).Until = find(h, Acquire, token(5)).Return + 1
			find(h, Acquire, token(5)).Claim = []Item{{Name: "s"}}
		}},
		{"beliefs", "more permits than there are", func(h *History) {
			find(h, Acquire, token(6)).Until = find(h, Acquire, token(7)).Return + 1
			find(h, Acquire, token(7)).Claim = []Item{{Name: "many", Mode: Permits, Permits: 4, Capacity: 5}}
		}},
		{"beliefs", "two leaders", func(h *History) {
			find(h, Campaign, nil).Until = find(h, Campaign, func(o *Operation) bool { return o.Term == 2 }).Return + 1
		}},
		{"beliefs", "in what is taken away a moment later", func(h *History) {
			x := &h.Interventions[0]
			x.Invoke = find(h, Acquire, func(o *Operation) bool { return o.Session == 13 }).Return + 1
		}},

		{"delays", "granted as soon as the holder has expired", func(h *History) {
			o := find(h, Acquire, func(o *Operation) bool { return o.Session == 18 })
			o.Invoke, o.Return = o.Invoke-1000*ms, o.Return-1000*ms
		}},
		{"delays", "granted in the very revision", func(h *History) {
			first, next := find(h, Acquire, func(o *Operation) bool { return o.Session == 17 }), find(h, Acquire, func(o *Operation) bool { return o.Session == 18 })
			at := slices.IndexFunc(h.Audit, func(c Change) bool { return c.Revision == next.Revision })
			end := audited(h, func(c *Change) bool {
				return c.Lock != nil && len(c.Lock.Ended) == 1 && c.Lock.Ended[0].Token == first.Token
			})
			lock := *end.Lock
			lock.Holders = h.Audit[at].Lock.Holders
			end.Lock, next.Revision = &lock, end.Revision
			next.Invoke, next.Return = next.Invoke-1000*ms, next.Return-1000*ms
			h.Audit = drop(h.Audit, at)
		}},
		{"delays", "a longer one was asked for", func(h *History) {
			find(h, Acquire, func(o *Operation) bool { return o.Session == 17 }).Delay = 2000 * ms
		}},

		{"interventions", "a break did not happen", func(h *History) { h.Interventions[0].Token++ }},
		{"interventions", "of another lock", func(h *History) { h.Interventions[0].Name = "x" }},
		{"interventions", "it ended otherwise", func(h *History) {
			audited(h, func(c *Change) bool { return c.Space == OfLocks && c.Record.Key == "w" && len(c.Lock.Ended) == 1 }).Lock.Ended[0].Ended = "released"
		}},
		{"interventions", "it ended later than it was acknowledged", func(h *History) {
			x := &h.Interventions[0]
			x.Invoke, x.Return = find(h, Acquire, func(o *Operation) bool { return o.Session == 12 }).Invoke-ms/2, 0
		}},
		{"interventions", "nobody asked for it", func(h *History) { h.Interventions = drop(h.Interventions, 0) }},
		{"interventions", "it was refused, and happened", func(h *History) {
			h.Interventions[0].Outcome, h.Interventions[0].Code = Refused, "TOKEN_MISMATCH"
		}},
		{"interventions", "a session that was ended goes on", func(h *History) {
			i := slices.IndexFunc(h.Interventions, func(x Intervention) bool { return x.Kind == EndSession })
			h.Interventions[i].Session, h.Interventions[i].Return = 16, h.Interventions[i].Invoke
		}},
		{"interventions", "a session that was ended keeps its lock", func(h *History) {
			i := slices.IndexFunc(h.Audit, func(c Change) bool {
				return c.Space == OfLocks && c.Record.Key == "w" && len(c.Lock.Ended) == 1 && c.Lock.Ended[0].Ended == "ended"
			})
			h.Audit = drop(h.Audit, i)
		}},
		{"interventions", "a current token is refused", func(h *History) {
			got := find(h, Acquire, func(o *Operation) bool { return o.Session == 13 })
			x := &h.Interventions[1]
			x.Token = got.Token
			x.Invoke, x.Return = got.Return+ms/8, got.Return+ms/4
			h.Operations = append(h.Operations, Operation{Kind: Keys, Outcome: Done, Session: 2, Revision: got.Revision, Invoke: got.Return + ms*3/8, Return: got.Return + ms/2})
		}},
		{"interventions", "it is told to another one", func(h *History) { h.Told[0].Token++ }},
		{"interventions", "it is told of another lock to who does not hold it yet", func(h *History) {
			h.Told[0].Name, h.Told[0].Token = "x", 0
		}},
		{"interventions", "it is told as something else", func(h *History) { h.Told[0].Ended = "transferred" }},
		{"interventions", "it is told before anybody asks for it", func(h *History) { h.Told[0].At = h.Interventions[0].Invoke - 1 }},
		{"interventions", "another session is told that it was ended", func(h *History) { h.Told[1].Session++ }},
		{"interventions", "it is told, and there are no operators", func(h *History) { h.Interventions, h.Told = nil, h.Told[1:] }},
		{"interventions", "nobody tells who had it", func(h *History) {
			find(h, Acquire, func(o *Operation) bool { return o.Session == 12 }).Until = h.Interventions[0].Return + 11*ms
		}},
		{"interventions", "nobody tells who had it after a fault", func(h *History) {
			x := h.Interventions[0]
			h.Promptness.Faults = []Fault{{From: x.Invoke - ms, To: x.Return + ms, Client: "c12"}}
			find(h, Acquire, func(o *Operation) bool { return o.Session == 12 }).Until = x.Return + 2050*ms
		}},
	} {
		t.Run(c.checker+"/"+c.what, func(t *testing.T) {
			h := sound()
			c.break_(h)
			for _, k := range Checkers() {
				if k.Name == c.checker {
					if len(k.Check(h)) == 0 {
						t.Error("nothing was found")
					}
					return
				}
			}
			t.Fatal("there is no such checker")
		})
	}
}

// TestEveryCheckerIsTested: a checker without a history that breaks it may be
// one that finds nothing.
func TestEveryCheckerIsTested(t *testing.T) {
	source, err := testSource()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checkers() {
		if !strings.Contains(source, "{\""+c.Name+"\", ") {
			t.Errorf("no history breaks %q", c.Name)
		}
	}
}

// inVain is a claim whose wait was over.
func inVain(h *History) *Operation {
	return find(h, Acquire, func(o *Operation) bool { return o.Code == "WAIT_TIMED_OUT" })
}

// died is a session that its client left.
func died(h *History, id uint64) *Session {
	i := slices.IndexFunc(h.Sessions, func(s Session) bool { return s.ID == id })
	return &h.Sessions[i]
}

// looks is a look at the state just before a session ends, when it should have
// done so long ago.
func looks(h *History, id uint64) Operation {
	i := slices.IndexFunc(h.Endings, func(e Ending) bool { return e.Session == id })
	o := *find(h, Keys, reads1("7"))
	o.Client, o.Invoke, o.Return = "c12", h.Endings[i].At-ms/4, h.Endings[i].At-ms/8
	o.Sequence, o.Revision = 0, h.Endings[i].Revision-1
	return o
}

// endTold is when somebody was told first of the end of a session.
func endTold(h *History, session uint64) Time {
	first := Forever
	for _, e := range endings(h) {
		if e.Session == session {
			first = min(first, e.At)
		}
	}
	return first
}

// TestEveryKindIsJudged: the sound history has something of every kind that is
// counted, an empty one has nothing, and a checker counts only what it says.
func TestEveryKindIsJudged(t *testing.T) {
	for _, c := range Judge(sound()).Idle() {
		t.Errorf("the sound history has nothing of it: %v", c)
	}
	j := Judge(&History{AuditFrom: 2, AuditTo: 1})
	if idle := j.Idle(); len(idle) != len(j.Counts) {
		t.Errorf("of nothing something was judged: %v", j.Counts)
	}
	for _, c := range Checkers() {
		for what := range c.run(sound()).judged {
			if !slices.Contains(c.Judges, what) {
				t.Errorf("%s counts %q and does not say so", c.Name, what)
			}
		}
	}
}

// TestExcused: what may be so is not reported.
func TestExcused(t *testing.T) {
	for what, change := range map[string]func(h *History){
		"a watch that was told that history is gone": func(h *History) {
			d := h.Watches[0].Deliveries
			h.Watches[0].Deliveries = append([]Delivery{{Resumed: d[1].Changes[0].Revision, Compacted: true}}, d[1:]...)
		},
		"a transaction of unknown outcome that did not happen": func(h *History) {
			x := put("k", "never")
			h.Operations = append(h.Operations, Operation{Client: "c9", Kind: Keys, Session: 9, Txn: &x, Outcome: Unknown, Return: Forever})
		},
		"a request that was repeated much later": func(h *History) {
			o := *find(h, Keys, writes1("1"))
			o.Invoke, o.Return = h.Operations[len(h.Operations)-1].Return+ms, h.Operations[len(h.Operations)-1].Return+2*ms
			h.Operations = append(h.Operations, o)
		},
		"a claim that was repeated much later": func(h *History) {
			o := *find(h, Acquire, token(3))
			o.Invoke, o.Return = h.Operations[len(h.Operations)-1].Return+ms, h.Operations[len(h.Operations)-1].Return+2*ms
			o.Until = 0
			h.Operations = append(h.Operations, o)
		},
		"a read that may be stale": func(h *History) {
			o := *find(h, Keys, reads1("1"))
			o.Sequence, o.Stale = 0, true
			o.Invoke, o.Return = h.Operations[len(h.Operations)-1].Return+ms, h.Operations[len(h.Operations)-1].Return+2*ms
			h.Operations = append(h.Operations, o)
		},
		"strangers whose claims are not known": func(h *History) {
			i := slices.IndexFunc(h.Operations, func(o Operation) bool { return o.Kind == Acquire && o.Outcome == Unknown })
			h.Operations = drop(h.Operations, i)
			h.Strangers = true
		},
		"a key that went because its session was closed": func(h *History) {
			h.Endings = nil
			h.Watches = h.Watches[:1] // of keys
			h.Sessions[0].Safe, h.Sessions[0].Closed = endTold(h, 4)+9*ms, endTold(h, 4)-ms
		},
		"a key of a session that somebody deleted": func(h *History) {
			told := endTold(h, 4)
			h.Endings = nil
			h.Watches = h.Watches[:1] // of keys
			x := Txn{Then: []KeyOp{{Action: Delete, Key: "mi", End: "mj"}}}
			h.Operations = append(h.Operations, Operation{Client: "c9", Kind: Keys, Session: 9, Txn: &x, Outcome: Unknown, Return: Forever})
			h.Sessions[0].Safe = told + 9*ms
		},
		"a lead that is told of as the last one long after": func(h *History) { h.Sessions[1].Safe = endTold(h, 7) },
		"a session that ends late with the leader changing twice": func(h *History) {
			at := died(h, 10).Died
			h.Promptness.Faults = []Fault{{From: at - 1000*ms, To: at - 500*ms, Nodes: []string{"n1"}}}
			h.Operations = append(h.Operations, looks(h, 10))
			died(h, 10).Died -= 1100 * ms
		},
		"a session that ends late after there was no majority": func(h *History) {
			at := died(h, 10).Died
			h.Promptness.Faults = []Fault{{From: at - 3000*ms, To: at - 1000*ms, Nodes: []string{"n1"}}, {From: at - 2500*ms, To: at - 900*ms, Nodes: []string{"n3"}}}
			h.Operations = append(h.Operations, looks(h, 10))
			died(h, 10).Died -= 4000 * ms
		},
		"a session that ends late as the machine stood still": func(h *History) {
			at := died(h, 10).Died
			h.Promptness.Faults = []Fault{{From: at - 800*ms, To: at - 500*ms, Stall: true}}
			h.Operations = append(h.Operations, looks(h, 10))
			died(h, 10).Died -= 1100 * ms
		},
		"a session that ends late, whose client was cut off meanwhile": func(h *History) {
			at := died(h, 10).Died
			h.Promptness.Faults = []Fault{{From: at - 1500*ms, To: at, Client: "c10"}}
			h.Operations = append(h.Operations, looks(h, 10))
			died(h, 10).Died -= 1500 * ms
		},
		"a session that ends late, as something lasts": func(h *History) {
			h.Promptness.Faults = []Fault{{From: died(h, 10).Died - 9500*ms, To: Forever, Cell: true}}
			h.Operations = append(h.Operations, looks(h, 10))
			died(h, 10).Died -= 9000 * ms
		},
		"a holder that was cut off when its lock was broken": func(h *History) {
			x := h.Interventions[0]
			h.Promptness.Faults = []Fault{{From: x.Invoke - ms, To: x.Return + 20*ms, Client: "c12"}}
			find(h, Acquire, func(o *Operation) bool { return o.Session == 12 }).Until = x.Return + 25*ms
		},
		"a break of which nobody knows whether it happened": func(h *History) {
			h.Interventions[0].Outcome, h.Interventions[0].Return = Unknown, Forever
		},
		"a delay that a fast clock and a jump have made shorter": func(h *History) {
			find(h, Acquire, func(o *Operation) bool { return o.Session == 17 }).Delay = 1600 * ms
		},
		"a release with a delay": func(h *History) {
			find(h, Acquire, func(o *Operation) bool { return o.Session == 18 }).Delay = time.Hour
		},
		"a claim that was broken before its client heard of the grant": func(h *History) { h.Told[0].Token = 0 },
		"a leader that is told that it has handed over": func(h *History) {
			o := find(h, Campaign, nil)
			h.Operations = append(h.Operations, Operation{Client: o.Client, Kind: Transfer, Session: o.Session, Claim: o.Claim, Token: o.Token, Invoke: o.Return, Return: Forever, Outcome: Unknown})
			h.Told = append(h.Told, Told{Client: o.Client, Session: o.Session, Name: o.Claim[0].Name, Token: o.Token, Ended: "transferred", At: o.Until})
		},
		"a claim refused behind one of several of which nothing is known": func(h *History) {
			o := inVain(h)
			h.Operations = append(h.Operations, Operation{Client: "c9", Kind: Acquire, Session: 9, Claim: []Item{{Name: "free"}, {Name: "v"}}, Invoke: o.Invoke - ms, Outcome: Unknown, Return: Forever})
			o.Claim = []Item{{Name: "free"}}
		},
		"a claim refused behind one of several that was refused, too": func(h *History) {
			o := inVain(h)
			beside := *o
			beside.Client, beside.Session, beside.Sequence, beside.Return, beside.Claim = "c9", 9, 0, o.Return+ms/8, []Item{{Name: "free"}, {Name: "v"}}
			o.Claim = []Item{{Name: "free"}}
			h.Operations = append(h.Operations, beside)
		},
		"a claim refused behind one of several that was granted only then": func(h *History) {
			o, both := inVain(h), find(h, Acquire, token(2))
			o.Invoke, o.Return = both.Invoke+ms/4, both.Invoke+ms/2
			o.Claim = []Item{{Name: "y"}}
		},
		"a claim refused in a delay": func(h *History) {
			o := inVain(h)
			h.Operations = append(h.Operations, Operation{Client: "c9", Kind: Acquire, Session: 9, Claim: []Item{{Name: "free"}}, Invoke: o.Invoke - ms, Outcome: Unknown, Return: Forever, Delay: time.Hour})
			o.Claim = []Item{{Name: "free"}}
		},
		"a claim refused by who held it for a moment of it": func(h *History) {
			o := inVain(h)
			o.Invoke, o.Return = find(h, Acquire, token(1)).Invoke, h.Operations[len(h.Operations)-1].Invoke-ms
		},
		"a claim refused after which nobody looked": func(h *History) {
			o := inVain(h)
			o.Claim = []Item{{Name: "free"}}
			o.Return = h.Operations[len(h.Operations)-1].Return + ms
		},
		"a claim refused beside strangers": func(h *History) {
			inVain(h).Claim, h.Strangers = []Item{{Name: "free"}}, true
		},
		"resigning refused, as an operator did it for the leader": func(h *History) {
			i := slices.IndexFunc(h.Interventions, func(x Intervention) bool { return x.Kind == ResignAs })
			x := h.Interventions[i]
			h.Operations = append(h.Operations, Operation{Client: "c9", Kind: Resign, Session: x.Session, Claim: []Item{{Name: x.Name}}, Token: x.Token,
				Invoke: x.Return, Return: x.Return + ms/4, Outcome: Refused, Code: "NOT_HOLDER"})
		},
		"a release refused after another one of unknown outcome": func(h *History) {
			o := find(h, Release, token(3))
			again := *o
			again.Sequence = 0
			again.Outcome, again.Revision, again.Return = Unknown, 0, Forever
			o.Outcome, o.Code, o.Revision = Refused, "NOT_HOLDER", 0
			h.Operations = append(h.Operations, again)
		},
		"beliefs that touch": func(h *History) { find(h, Acquire, token(1)).Until = find(h, Acquire, token(2)).Return },
	} {
		h := sound()
		change(h)
		for _, v := range Judge(h).Violations {
			t.Errorf("%s: %v", what, v)
		}
		for _, v := range (Sceptic{}).Check(h).Violations {
			t.Errorf("%s: %v", what, v)
		}
	}
}

// TestWriteRead: a history survives being written down.
func TestWriteRead(t *testing.T) {
	h := sound()
	var b bytes.Buffer
	if err := h.Write(&b); err != nil {
		t.Fatal(err)
	}
	back, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(h, back) {
		t.Error("what was read is not what was written")
	}
	if _, err := Read(strings.NewReader("{")); err == nil {
		t.Error("half a history was read")
	}
}
