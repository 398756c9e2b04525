package sessions

import "fmt"

// Deadlines is a binary heap of things that fall due, the next one first. Each
// thing knows its place, so that it can be moved or taken out.
type Deadlines[T any] struct {
	heap  []T
	less  func(a, b T) bool
	place func(T) *int32 // where the thing keeps its index, -1 when it is not in the heap
}

// NewDeadlines makes an empty heap. less must be a total order, so that the
// same things fall due in the same order on every replica.
func NewDeadlines[T any](less func(a, b T) bool, place func(T) *int32) *Deadlines[T] {
	return &Deadlines[T]{less: less, place: place}
}

// Len is how many things there are.
func (d *Deadlines[T]) Len() int { return len(d.heap) }

// First is the thing that falls due next.
func (d *Deadlines[T]) First() (first T, ok bool) {
	if len(d.heap) == 0 {
		return first, false
	}
	return d.heap[0], true
}

// Push puts a thing in.
func (d *Deadlines[T]) Push(x T) {
	d.heap = append(d.heap, x)
	*d.place(x) = int32(len(d.heap) - 1)
	d.up(len(d.heap) - 1)
}

// Fix moves a thing whose deadline changed.
func (d *Deadlines[T]) Fix(x T) {
	if i := int(*d.place(x)); !d.down(i) {
		d.up(i)
	}
}

// Remove takes a thing out.
func (d *Deadlines[T]) Remove(x T) {
	i, last := int(*d.place(x)), len(d.heap)-1
	d.swap(i, last)
	var none T
	d.heap[last] = none
	d.heap = d.heap[:last]
	*d.place(x) = -1
	if i < last && !d.down(i) {
		d.up(i)
	}
}

// Check holds the heap against its invariants.
func (d *Deadlines[T]) Check() error {
	for i, x := range d.heap {
		if int(*d.place(x)) != i {
			return fmt.Errorf("deadline %d believes to be deadline %d", i, *d.place(x))
		}
		if i > 0 && d.less(x, d.heap[(i-1)/2]) {
			return fmt.Errorf("deadline %d is out of order", i)
		}
	}
	return nil
}

func (d *Deadlines[T]) swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	*d.place(d.heap[i]), *d.place(d.heap[j]) = int32(i), int32(j)
}

func (d *Deadlines[T]) up(i int) {
	for i > 0 && d.less(d.heap[i], d.heap[(i-1)/2]) {
		d.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (d *Deadlines[T]) down(i int) (moved bool) {
	for {
		child := 2*i + 1
		if child >= len(d.heap) {
			return moved
		}
		if child+1 < len(d.heap) && d.less(d.heap[child+1], d.heap[child]) {
			child++
		}
		if !d.less(d.heap[child], d.heap[i]) {
			return moved
		}
		d.swap(i, child)
		i, moved = child, true
	}
}
