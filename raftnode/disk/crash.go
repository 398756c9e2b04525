package disk

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Survival decides what of the unsynced changes outlives a crash. Names and
// sizes survive in the order in which they changed; sectors independently of
// each other.
type Survival struct {
	// Keep is asked once for each thing that has n unsynced changes (a
	// sector, the size of a file, the names of a directory), in an order that
	// depends on nothing but the operations before, and returns how many of
	// them survive, counted from the oldest: 0 to n.
	Keep func(n int) int

	// Tear, if set, is asked for the last write of all, when it is unsynced:
	// of its n bytes, which may end within a sector, how many survive.
	Tear func(n int) int
}

// DropUnsynced is the crash after which nothing unsynced is left.
func DropUnsynced() Survival {
	return Survival{Keep: func(int) int { return 0 }}
}

// KeepUnsynced is the crash that loses nothing: everything was written back
// just in time, or only the process died.
func KeepUnsynced() Survival {
	return Survival{Keep: func(n int) int { return n }}
}

// KeepSome is the crash after which any part of what was unsynced is left.
func KeepSome(rng *rand.Rand) Survival {
	return Survival{Keep: func(n int) int { return rng.IntN(n + 1) }}
}

// TearLast is the crash in the middle of the last write: a part of its bytes
// is left, and everything before it.
func TearLast(rng *rand.Rand) Survival {
	return Survival{
		Keep: func(n int) int { return n },
		Tear: func(n int) int { return rng.IntN(n) },
	}
}

// Crash cuts the power: what is not durable is lost, save what s lets survive,
// which is durable from then on. Open handles and locks are dead; hook, faults
// and room stay.
func (m *Mem) Crash(s Survival) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gen++
	clear(m.locks)

	before := m.size()
	nodes := map[uint64]*memNode{}
	for _, path := range slices.Sorted(maps.Keys(m.dirs)) {
		m.dirs[path].crash(s.Keep)
		for _, node := range m.dirs[path].files {
			nodes[node.id] = node
		}
	}
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		tear := s.Tear
		if nodes[id] != m.last {
			tear = nil
		}
		nodes[id].crash(s.Keep, tear)
	}
	m.last = nil
	m.grow(m.size() - before)
}

// crash keeps a prefix of the unsynced changes of names.
func (d *memDir) crash(keep func(int) int) {
	if len(d.pending) == 0 {
		return
	}
	for _, c := range slices.Backward(d.pending) {
		d.undo(c)
	}
	for _, c := range d.pending[:keep(len(d.pending))] {
		d.redo(c)
	}
	d.pending = nil
}

// crash rolls the file back to what is durable and makes again what survives.
func (f *memNode) crash(keep, tear func(int) int) {
	if len(f.pending) == 0 && len(f.lost) == 0 {
		return
	}

	// 1. How many changes there are of each sector and of the size.
	writes := map[int64]int{}
	sizes := 0
	for _, c := range f.pending {
		for s := range c.sectors() {
			writes[s]++
		}
		if c.resizes() {
			sizes++
		}
	}

	// 2. How many of them survive.
	kept := map[int64]int{}
	for _, s := range slices.Sorted(maps.Keys(writes)) {
		kept[s] = keep(writes[s])
	}
	if sizes > 0 {
		sizes = keep(sizes)
	}

	// 3. Back to what is durable.
	wrote := f.rollBack()
	size := int64(len(f.data))
	for _, s := range slices.Sorted(maps.Keys(f.lost)) {
		if at := s * SectorBytes; kept[s] == 0 && keep(1) == 0 && at < size {
			copy(f.data[at:min(at+SectorBytes, size)], f.lost[s])
		}
	}
	f.lost = nil

	// 4. What survives is made again. The bytes reach the disk whether or not
	// the size that covers them does.
	for i, c := range f.pending {
		n := len(wrote[i])
		if tear != nil && !c.cut && i == len(f.pending)-1 {
			n = tear(n)
		}
		if c.resizes() && sizes > 0 {
			sizes--
			if c.cut {
				size = c.off
				f.data = resize(f.data, size)
			} else {
				size = c.off + int64(n)
			}
		}
		for at := 0; at < n; {
			off := c.off + int64(at)
			piece := min(n-at, int(SectorBytes-off%SectorBytes))
			if s := off / SectorBytes; kept[s] > 0 {
				kept[s]--
				f.data = resize(f.data, max(int64(len(f.data)), off+int64(piece)))
				copy(f.data[off:], wrote[i][at:at+piece])
			}
			at += piece
		}
	}
	f.data = resize(f.data, size)
	f.pending, f.undo = nil, nil
}

// resizes reports whether the change changed the size of the file.
func (c change) resizes() bool {
	if c.cut {
		return c.off != c.size
	}
	return c.off+int64(c.n) > c.size
}

// Clone returns a copy of the file system with what is unsynced in it, without
// hook, faults, handles and locks: to crash the copy and look at what is left.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.ops, c.nodes, c.room = m.ops, m.nodes, m.room
	copies := map[*memNode]*memNode{nil: nil}
	clone := func(f *memNode) *memNode {
		if _, done := copies[f]; !done {
			copies[f] = &memNode{
				id: f.id, data: slices.Clone(f.data), pending: slices.Clone(f.pending),
				undo: slices.Clone(f.undo), lost: maps.Clone(f.lost),
			}
		}
		return copies[f]
	}
	for path, dir := range m.dirs {
		d := newMemDir()
		for name, f := range dir.files {
			d.files[name] = clone(f)
		}
		for _, p := range dir.pending {
			p.node, p.replaced = clone(p.node), clone(p.replaced)
			d.pending = append(d.pending, p)
		}
		c.dirs[path] = d
	}
	c.last = copies[m.last]
	return c
}
