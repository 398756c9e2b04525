package sdk

// sequences numbers the commands of a session from 1 and knows up to where
// all of their replies have been taken in, so that the cell may forget them.
type sequences struct {
	last  uint64
	acked uint64 // all up to here are resolved
	open  []bool // resolved or not, of acked+1, acked+2, … last
}

// next returns a new number, which is unresolved.
func (q *sequences) next() uint64 {
	q.last++
	q.open = append(q.open, false)
	return q.last
}

// resolve notes that the reply of a number has been taken in for good.
func (q *sequences) resolve(seq uint64) {
	if seq <= q.acked || seq > q.last {
		return
	}
	q.open[seq-q.acked-1] = true
	n := 0
	for n < len(q.open) && q.open[n] {
		n++
	}
	q.acked += uint64(n)
	q.open = q.open[n:]
}
