package sim

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"

	"github.com/conch-lock/conch/coordinator/store"
)

var crc = crc64.MakeTable(crc64.ISO)

// changeCheck knows what every revision changed, so that whoever watches can be
// held against it.
type changeCheck struct {
	first uint64   // revision of the first sum
	sums  []uint64 // of all changes of a revision
	last  uint64
}

// newRevisions takes all changes of the revisions that an entry made.
func (c *changeCheck) newRevisions(events []store.Event) error {
	for i := range events {
		e := &events[i]
		r := e.Revision()
		if len(c.sums) == 0 {
			c.first, c.last = r, r-1
			if r != 2 {
				return fmt.Errorf("the first revision that changed something is %d, not 2", r)
			}
		}
		switch r {
		case c.last:
		case c.last + 1:
			c.sums = append(c.sums, 0)
			c.last = r
		default:
			return fmt.Errorf("revision %d follows revision %d", r, c.last)
		}
		c.sums[r-c.first] = eventSum(c.sums[r-c.first], e)
	}
	return nil
}

// watched judges what a watch delivered from a revision on, up to before next.
func (c *changeCheck) watched(from, next uint64, events []store.Event) error {
	i := 0
	for r := from; r < next; r++ {
		if r < c.first || r > c.last {
			return fmt.Errorf("revision %d was delivered, the newest is %d", r, c.last)
		}
		sum := uint64(0)
		for ; i < len(events) && events[i].Revision() == r; i++ {
			sum = eventSum(sum, &events[i])
		}
		if sum != c.sums[r-c.first] {
			return fmt.Errorf("revision %d was delivered with other changes than it made", r)
		}
	}
	if i != len(events) {
		return fmt.Errorf("of revisions %d to %d, %d changes were delivered, the one at place %d out of order", from, next-1, len(events), i)
	}
	return nil
}

// eventSum takes a change, with what was there before it, into a checksum.
func eventSum(sum uint64, e *store.Event) uint64 {
	sum = mixed(sum, uint64(e.Space)<<1)
	if e.Deleted {
		sum = mixed(sum, 1)
	}
	sum = recordSum(sum, &e.Record)
	return recordSum(sum, &e.Prev)
}

func recordSum(sum uint64, r *store.Record) uint64 {
	sum = textSum(textSum(sum, r.Key), r.Value)
	return mixed(mixed(mixed(mixed(sum, r.Create), r.Mod), r.Version), r.Session)
}

func mixed(sum, n uint64) uint64 {
	sum = (sum ^ n) * 0x9e3779b97f4a7c15
	return sum ^ sum>>32
}

// bytesSum takes bytes into a checksum, eight at a time.
func bytesSum(sum uint64, b []byte) uint64 {
	n := len(b)
	for ; len(b) >= 8; b = b[8:] {
		sum = mixed(sum, binary.LittleEndian.Uint64(b))
	}
	var rest [8]byte
	copy(rest[:], b)
	return mixed(mixed(sum, binary.LittleEndian.Uint64(rest[:])), uint64(n))
}

// textSum is FNV-1a, for what is short.
func textSum(sum uint64, s string) uint64 {
	for i := range len(s) {
		sum = (sum ^ uint64(s[i])) * 0x100000001b3
	}
	return mixed(sum, uint64(len(s)))
}

// txnSum is a checksum of what a transaction answered.
func txnSum(t *store.TxnResult) (sum uint64) {
	if t == nil {
		return 0
	}
	if t.Succeeded {
		sum = 1
	}
	for _, x := range t.Results {
		switch {
		case x.Range != nil:
			sum = mixed(sum, x.Range.Count)
			for i := range x.Range.Records {
				sum = recordSum(sum, &x.Range.Records[i])
			}
		case x.Put != nil:
			sum = recordSum(sum, &x.Put.Prev)
		case x.Delete != nil:
			sum = mixed(sum, x.Delete.Deleted)
			for i := range x.Delete.Prevs {
				sum = recordSum(sum, &x.Delete.Prevs[i])
			}
		case x.Txn != nil:
			sum = mixed(sum, txnSum(x.Txn))
		}
	}
	return sum
}
