package disk

import "slices"

// SectorBytes is the unit in which a [Mem] loses unsynced bytes: a disk writes
// a sector whole or not at all.
const SectorBytes = 512

// maxSpareUndo is how much of an undo buffer is kept for the next changes.
const maxSpareUndo = 1 << 20

// memNode is the content of a file: the bytes as they read now, and how to
// take back what is not durable.
type memNode struct {
	id      uint64
	data    []byte
	pending []change // since the last sync, in order
	undo    []byte   // the bytes they replaced, in order

	// lost holds the durable content of sectors whose write-back failed: they
	// read as written and count as clean, until a crash shows what is there.
	lost map[int64][]byte
}

// change is one unsynced change of a file.
type change struct {
	cut  bool  // a truncation to off; else a write of n bytes at off
	off  int64 //
	n    int   //
	size int64 // of the file before
	undo int   // where the replaced bytes start in undo
}

// write copies p to off and returns by how many bytes the file grew.
func (f *memNode) write(p []byte, off int64) int64 {
	size, end := int64(len(f.data)), off+int64(len(p))
	f.pending = append(f.pending, change{off: off, n: len(p), size: size, undo: len(f.undo)})
	if off < size {
		f.undo = append(f.undo, f.data[off:min(end, size)]...)
	}
	if end > size {
		f.data = resize(f.data, end)
	}
	copy(f.data[off:], p)
	return max(0, end-size)
}

// truncate cuts or extends the file and returns by how many bytes it grew.
func (f *memNode) truncate(to int64) int64 {
	size := int64(len(f.data))
	f.pending = append(f.pending, change{cut: true, off: to, size: size, undo: len(f.undo)})
	if to < size {
		f.undo = append(f.undo, f.data[to:]...)
	}
	f.data = resize(f.data, to)
	return to - size
}

// sync makes everything durable, save lost sectors that were not written again.
func (f *memNode) sync() {
	if len(f.lost) > 0 {
		for _, c := range f.pending {
			for s := range c.sectors() {
				delete(f.lost, s)
			}
		}
	}
	f.forget()
}

// lose is a sync that failed: what was written reads on as before and counts
// as clean, but is not on the disk. Sizes are taken to be.
func (f *memNode) lose() {
	durable := &memNode{data: slices.Clone(f.data), pending: f.pending, undo: f.undo}
	durable.rollBack()
	if f.lost == nil {
		f.lost = map[int64][]byte{}
	}
	for _, c := range f.pending {
		for s := range c.sectors() {
			if f.lost[s] == nil {
				sector := make([]byte, SectorBytes)
				if at := s * SectorBytes; at < int64(len(durable.data)) {
					copy(sector, durable.data[at:])
				}
				f.lost[s] = sector
			}
		}
	}
	f.forget()
}

// forget drops the way back.
func (f *memNode) forget() {
	f.pending = f.pending[:0]
	f.undo = f.undo[:0]
	if cap(f.undo) > maxSpareUndo {
		f.undo = nil
	}
}

// rollBack takes all pending changes back and returns the bytes that each
// write had put there, so that some can be made again.
func (f *memNode) rollBack() [][]byte {
	wrote := make([][]byte, len(f.pending))
	end := len(f.undo)
	for i, c := range slices.Backward(f.pending) {
		if !c.cut {
			wrote[i] = slices.Clone(f.data[c.off : c.off+int64(c.n)])
		}
		f.data = resize(f.data, c.size)
		if c.off < c.size {
			copy(f.data[c.off:], f.undo[c.undo:end])
		}
		end = c.undo
	}
	return wrote
}

// sectors yields the numbers of the sectors that a write touches.
func (c change) sectors() func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		if c.cut || c.n == 0 {
			return
		}
		for s := c.off / SectorBytes; s*SectorBytes < c.off+int64(c.n); s++ {
			if !yield(s) {
				return
			}
		}
	}
}

// resize returns data with length n, new bytes zero, growing by doubling.
func resize(data []byte, n int64) []byte {
	old := int64(len(data))
	if n <= old {
		return data[:n]
	}
	if n > int64(cap(data)) {
		grown := make([]byte, n, max(n, 2*int64(cap(data))))
		copy(grown, data)
		return grown
	}
	data = data[:n]
	clear(data[old:])
	return data
}
