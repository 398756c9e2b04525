package etcdmodel

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 1, "the first sequence; the same one gives the same operations")
	runs  = flag.Int("runs", 3, "how many sequences, each with an etcd of its own")
	steps = flag.Int("steps", 400, "operations of a sequence")
)

func TestRandomStore(t *testing.T) {
	for n := range *runs {
		random(t, *seed+uint64(n), func(t *testing.T) system { return newStore(t) })
	}
}

func TestRandomCell(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts real servers")
	}
	random(t, *seed, func(t *testing.T) system { return newCell(t) })
}

// binaryDir is where the program is built.
var binaryDir string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "etcdmodel-")
	if err != nil {
		panic(err)
	}
	binaryDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// coarse is a refusal as the wire tells it.
func coarse(s system, r result) result {
	if _, ok := s.(*cell); ok && (r.refused == duplicate || r.refused == emptyKey) {
		r.refused = invalid
	}
	return r
}

// random gives one sequence to etcd and to another, which began afresh too.
func random(t *testing.T, seed uint64, other func(*testing.T) system) {
	t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
		model, other := startEtcd(t), other(t)
		g := &generator{rng: rand.New(rand.NewPCG(seed, 0)), revision: 1}
		_, g.pointed = other.(*cell) // the client library compares no ranges
		refusals := make(map[string]int)
		for n := range *steps {
			o := g.next()
			want, got := settled(o, model.do(o)), settled(o, other.do(o))
			if !reflect.DeepEqual(coarse(other, want), got) {
				t.Fatalf("seed %d, step %d: %v\netcd:  %+v\nconch: %+v", seed, n, o, want, got)
			}
			refusals[want.refused]++
			if want.refused == "" {
				g.revision = want.revision
				if o.kind == compact {
					g.compacted = o.rev
				}
			}
		}
		t.Logf("at revision %d, compacted up to %d; by refusal: %v", g.revision, g.compacted, refusals)
		for _, word := range []string{"", compacted, future, duplicate, absent} {
			if *steps >= 400 && refusals[word] == 0 {
				t.Errorf("the sequence had nothing that is %q: it tests too little", word)
			}
		}
	})
}

// settled puts records that an order takes for equal in the order of their keys:
// etcd promises none.
func settled(o op, r result) result {
	if o.kind == nested {
		branch := o.txn.orElse
		if r.succeeded {
			branch = o.txn.then
		}
		for i := range r.results {
			r.results[i] = settled(branch[i], r.results[i])
		}
		return r
	}
	if o.kind != get || o.order == 0 {
		return r
	}
	rank := func(a, b kv) int {
		switch o.order {
		case 1:
			return int(a.version) - int(b.version)
		case 2:
			return int(a.create) - int(b.create)
		case 3:
			return int(a.mod) - int(b.mod)
		}
		return strings.Compare(a.value, b.value)
	}
	inOrder := slices.IsSortedFunc(r.kvs, func(a, b kv) int {
		if o.descending {
			a, b = b, a
		}
		return rank(a, b)
	})
	if !inOrder && !(o.keysOnly && o.order == 4) { // the values that it was sorted by are not told
		panic(fmt.Sprintf("%v is not in order: %+v", o, r))
	}
	slices.SortFunc(r.kvs, func(a, b kv) int { return strings.Compare(a.key, b.key) })
	return r
}
