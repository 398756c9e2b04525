package locks

import (
	"cmp"
	"fmt"
	"slices"
)

// A queue of up to longWalk claims is walked. A longer one has places, from when
// they are first needed until it has less than half as many.
const longWalk = 64

// maxBlock is how many claims a block of places has at most.
const maxBlock = 512

// places tells where everybody stands in a long queue without a walk over it:
// the same parts in the same order, in blocks. Most queues have none, so that
// they cost nothing, and what is told does not depend on whether there are.
//
// No block is empty, and two neighbours have more than half a block together.
type places struct {
	blocks [][]*part
}

// standing is the order of a queue.
func standing(p, q *part) int {
	return cmp.Or(cmp.Compare(p.claim.Rank, q.claim.Rank), cmp.Compare(p.claim.Order, q.claim.Order))
}

// find gives the block and the index in it that a part has or would get.
func (s *places) find(p *part) (b, i int) {
	b, _ = slices.BinarySearchFunc(s.blocks, p, func(block []*part, p *part) int {
		return standing(block[len(block)-1], p)
	})
	if b == len(s.blocks) { // behind everybody
		b--
	}
	i, _ = slices.BinarySearchFunc(s.blocks[b], p, standing)
	return b, i
}

// of is the place of a part, 1 for the first.
func (s *places) of(p *part) int {
	b, i := s.find(p)
	for _, block := range s.blocks[:b] {
		i += len(block)
	}
	return i + 1
}

// ahead is the part just before the place that a newcomer gets, nil for none.
func (s *places) ahead(p *part) *part {
	b, i := s.find(p)
	switch {
	case i > 0:
		return s.blocks[b][i-1]
	case b > 0:
		return s.blocks[b-1][len(s.blocks[b-1])-1]
	}
	return nil
}

func (s *places) add(p *part) {
	if s.blocks == nil {
		s.blocks = [][]*part{{p}}
		return
	}
	b, i := s.find(p)
	block := slices.Insert(s.blocks[b], i, p)
	s.blocks[b] = block
	if len(block) > maxBlock {
		half := len(block) / 2
		s.blocks = slices.Insert(s.blocks, b+1, slices.Clone(block[half:]))
		clear(block[half:])
		s.blocks[b] = block[:half]
	}
}

func (s *places) remove(p *part) {
	b, i := s.find(p)
	s.blocks[b] = slices.Delete(s.blocks[b], i, i+1)
	s.join(b)
	s.join(b - 1)
}

// join makes one block of two neighbours of which one is empty, or that are
// small together.
func (s *places) join(b int) {
	if b < 0 || b+1 == len(s.blocks) {
		return
	}
	one, two := s.blocks[b], s.blocks[b+1]
	if len(one) == 0 || len(two) == 0 || len(one)+len(two) <= maxBlock/2 {
		s.blocks[b] = append(one, two...)
		s.blocks = slices.Delete(s.blocks, b+1, b+2)
	}
}

// long gives the places of a queue that is too long to be walked; nil: walk.
func (l *Lock) long() *places {
	if l.places == nil && l.waiting > longWalk {
		l.places = &places{}
		for p := l.head; p != nil; p = p.next {
			l.places.add(p)
		}
	}
	return l.places
}

// place is where a part stands in the queue, 1 for the first.
func (l *Lock) place(p *part) int {
	if p.next == nil { // as a new claim is
		return int(l.waiting)
	}
	if s := l.long(); s != nil {
		return s.of(p)
	}
	n := 1
	for q := p.prev; q != nil; q = q.prev {
		n++
	}
	return n
}

// checkPlaces holds the places against the queue.
func (l *Lock) checkPlaces() error {
	if l.places == nil {
		return nil
	}
	if l.waiting < longWalk/2 {
		return fmt.Errorf("places for a queue of %d", l.waiting)
	}
	n, p, blocks := int32(0), l.head, l.places.blocks
	for b, block := range blocks {
		if len(block) == 0 || len(block) > maxBlock || b > 0 && len(blocks[b-1])+len(block) <= maxBlock/2 {
			return fmt.Errorf("block %d of %d has %d places", b, len(blocks), len(block))
		}
		for _, q := range block {
			if n++; p != q {
				return fmt.Errorf("place %d is that of %v, and another one stands there", n, q.claim.ID)
			}
			p = p.next
		}
	}
	if n != l.waiting {
		return fmt.Errorf("%d places for %d waiters", n, l.waiting)
	}
	return nil
}
