package etcdmodel

import (
	"strings"
	"testing"
)

// difference is where Conch does on purpose what etcd does not.
type difference struct {
	name   string
	op     op
	etcd   string // the refusal; empty: accepted
	ours   string
	reason string
}

func puts(n int) []op {
	var out []op
	for i := range n {
		out = append(out, op{kind: put, key: strings.Repeat("k", i+1), value: "v"})
	}
	return out
}

// deep is a put within so many transactions.
func deep(levels int) op {
	o := op{kind: put, key: "deep", value: "v"}
	for range levels {
		o = op{kind: nested, txn: &txn{then: []op{o}}}
	}
	return o
}

var differences = []difference{
	{
		name: "a delete of all keys from one on, and a put of one of them, in a transaction",
		op: op{kind: nested, txn: &txn{then: []op{
			{kind: del, key: "b", end: "\x00"},
			{kind: put, key: "c", value: "v"},
		}}},
		etcd: "", ours: duplicate,
		reason: "etcd refuses to change a key twice in a transaction, but takes the end of such a range for a key and so misses it; Conch refuses it as it refuses every other range that has the key in it",
	},
	{
		name: "128 operations for either outcome of a transaction",
		op:   op{kind: nested, txn: &txn{then: puts(128), orElse: puts(128)}},
		etcd: "", ours: tooMany,
		reason: "etcd allows 128 in each list; Conch 128 compares and operations in the whole transaction, those of nested ones too, which bounds what one entry can cost",
	},
	{
		name: "a transaction of five levels",
		op:   deep(5),
		etcd: "", ours: tooDeep,
		reason: "etcd has no bound of the depth; Conch allows four levels, so that what walks a transaction needs no more",
	},
	{
		name:   "a key of 5,000 bytes",
		op:     op{kind: put, key: strings.Repeat("k", 5000), value: "v"},
		etcd:   "",
		ours:   emptyKey, // the same refusal: a key out of its bounds
		reason: "etcd bounds the request (1.5 MiB); Conch a key to 4 KiB and a value to 1 MiB, each by itself",
	},
	{
		name:   "the first compaction is of revision 0",
		op:     op{kind: compact, rev: 0},
		etcd:   "",
		ours:   compacted,
		reason: "nothing is before revision 1 in either; Conch says so, etcd accepts it once",
	},
}

// TestDifferences holds each difference, so that the list is neither too long nor
// too short for what the random sequences leave out.
func TestDifferences(t *testing.T) {
	for _, d := range differences {
		t.Run(d.name, func(t *testing.T) {
			model, s := startEtcd(t), newStore(t)
			if got := model.do(d.op); got.refused != d.etcd {
				t.Errorf("etcd: %q, not %q: the difference is gone or another one", got.refused, d.etcd)
			}
			if got := s.do(d.op); got.refused != d.ours {
				t.Errorf("conch: %q, not %q: the difference is gone or another one", got.refused, d.ours)
			}
			if d.reason == "" {
				t.Error("it has no reason")
			}
		})
	}
}
