package etcdmodel

import (
	"fmt"
	"math/rand/v2"
)

// generator makes operations that have something to say to each other: few keys,
// revisions around those that exist.
type generator struct {
	rng       *rand.Rand
	revision  uint64 // of the model
	compacted uint64
	pointed   bool // compares are of one key, never of a range
}

var keys = []string{"a", "a/b", "ab", "b", "b\x00", "b\x00c", "c", "\x01", "\xff", "é"}

func (g *generator) key() string             { return keys[g.rng.IntN(len(keys))] }
func (g *generator) chance(percent int) bool { return g.rng.IntN(100) < percent }

// end is that of a range from a key on: also empty ones and ends before it.
func (g *generator) end(key string) string {
	switch g.rng.IntN(6) {
	case 0:
		return "\x00"
	case 1, 2:
		return g.key()
	case 3:
		return key + "\x00"
	default:
		return ""
	}
}

func (g *generator) value() string {
	if g.chance(10) {
		return ""
	}
	return fmt.Sprintf("v%d", g.rng.IntN(5))
}

// past is a revision, mostly one that can be read.
func (g *generator) past() uint64 {
	switch {
	case g.chance(5):
		return g.revision + 1 + g.rng.Uint64N(3)
	case g.chance(10) && g.compacted > 1:
		return 1 + g.rng.Uint64N(g.compacted)
	default:
		least := max(1, g.compacted)
		return least + g.rng.Uint64N(g.revision-least+1)
	}
}

// around is a number to compare a revision with.
func (g *generator) around() uint64 {
	if g.chance(30) {
		return 0
	}
	return g.rng.Uint64N(g.revision + 3)
}

// next is an operation of the outermost level.
func (g *generator) next() op {
	switch n := g.rng.IntN(100); {
	case n < 2:
		return op{kind: compact, rev: 1 + g.rng.Uint64N(g.revision+2)}
	case n < 40:
		return g.transaction(1)
	default:
		return g.op(1)
	}
}

// op is a get, put or delete, or a transaction where another level has room.
func (g *generator) op(level int) op {
	switch n := g.rng.IntN(100); {
	case n < 40:
		return g.put()
	case n < 55:
		key := g.key()
		end := g.end(key)
		if level > 1 && end == "\x00" { // see TestDifferences
			end = "\xff\xff"
		}
		return op{kind: del, key: key, end: end, prev: g.chance(50)}
	case n < 65 && level > 1 && level < 4:
		return g.transaction(level)
	default:
		return g.get()
	}
}

func (g *generator) put() op {
	o := op{kind: put, key: g.key(), value: g.value(), prev: g.chance(40)}
	if g.chance(15) {
		o.keepValue, o.value = true, ""
		if g.chance(5) {
			o.value = "v" // refused
		}
	}
	return o
}

func (g *generator) get() op {
	key := g.key()
	o := op{kind: get, key: key, end: g.end(key), keysOnly: g.chance(10), countOnly: g.chance(10), descending: g.chance(30)}
	if g.chance(40) {
		o.rev = g.past()
	}
	if g.chance(30) {
		o.order = g.rng.IntN(5)
	}
	if o.order == 0 && g.chance(40) { // which of equal ones are cut off is nobody's promise
		o.limit = 1 + g.rng.Uint64N(4)
	}
	for _, bound := range []*uint64{&o.minMod, &o.maxMod, &o.minCreate, &o.maxCreate} {
		if g.chance(8) {
			*bound = g.around()
		}
	}
	return o
}

func (g *generator) transaction(level int) op {
	t := &txn{}
	for range g.rng.IntN(4) {
		t.compares = append(t.compares, g.compare())
	}
	for range g.rng.IntN(4) {
		t.then = append(t.then, g.op(level+1))
	}
	for range g.rng.IntN(3) {
		t.orElse = append(t.orElse, g.op(level+1))
	}
	return op{kind: nested, txn: t}
}

func (g *generator) compare() compare {
	c := compare{target: g.rng.IntN(4), relation: g.rng.IntN(4), key: g.key()}
	if !g.pointed && g.chance(25) {
		c.end = g.end(c.key)
	}
	switch c.target {
	case targetValue:
		c.value = g.value()
	case targetVersion:
		c.number = g.rng.Uint64N(4)
	default:
		c.number = g.around()
	}
	return c
}
