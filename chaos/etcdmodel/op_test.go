package etcdmodel

import (
	"fmt"
	"strings"
)

// kind is what an operation does.
type kind int

const (
	get kind = iota
	put
	del
	nested
	compact // never within a transaction
)

// op is one operation, in nobody's types.
type op struct {
	kind     kind
	key, end string // end: "" the key alone, "\x00" all from key on

	value     string // put
	keepValue bool   // put
	prev      bool   // put, del

	rev                  uint64 // get: 0 for now; compact
	limit                uint64
	order                int // by key, version, create, mod, value
	descending           bool
	keysOnly, countOnly  bool
	minMod, maxMod       uint64
	minCreate, maxCreate uint64

	txn *txn // nested
}

type txn struct {
	compares     []compare
	then, orElse []op
}

// compare: target value, version, create, mod; relation equal, greater, less,
// not equal.
type compare struct {
	target, relation int
	key, end         string
	value            string
	number           uint64
}

// The targets of a compare.
const (
	targetValue = iota
	targetVersion
	targetCreate
	targetMod
)

// kv is one record.
type kv struct {
	key, value           string
	create, mod, version uint64
}

// result is what an operation answered. Of a refusal there is refused alone.
type result struct {
	refused   string // a word for the kind of refusal
	revision  uint64 // of the whole; not within a transaction
	kvs       []kv
	count     uint64
	more      bool
	succeeded bool
	results   []result
}

// The refusals.
const (
	compacted = "compacted"
	future    = "future revision"
	duplicate = "key written twice"
	absent    = "no such key"
	emptyKey  = "empty key"
	tooMany   = "too many operations"
	tooDeep   = "nested too deep"
	invalid   = "malformed"
)

// system is what a sequence can be given to.
type system interface {
	do(o op) result
}

func (o op) String() string {
	switch o.kind {
	case get:
		return fmt.Sprintf("get %q..%q rev %d limit %d order %d desc %v keys %v count %v mod %d..%d create %d..%d", o.key, o.end, o.rev,
			o.limit, o.order, o.descending, o.keysOnly, o.countOnly, o.minMod, o.maxMod, o.minCreate, o.maxCreate)
	case put:
		return fmt.Sprintf("put %q %q keep %v prev %v", o.key, o.value, o.keepValue, o.prev)
	case del:
		return fmt.Sprintf("del %q..%q prev %v", o.key, o.end, o.prev)
	case compact:
		return fmt.Sprintf("compact %d", o.rev)
	}
	return "txn " + o.txn.String()
}

func (t *txn) String() string {
	var b strings.Builder
	for _, c := range t.compares {
		fmt.Fprintf(&b, "if %+v; ", c)
	}
	fmt.Fprintf(&b, "then %v else %v", t.then, t.orElse)
	return b.String()
}
