package sim

import (
	"bytes"
	"fmt"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/elections"
	"github.com/conch-lock/conch/locks"
)

// carriedOut holds what a leader was told against what was done: a proclamation
// stands in the record of its election, as the leader's whose token it has, and
// who resigned or handed over leads no more. It says what is wrong, "" for
// nothing.
func carriedOut(op machine.Op, p machine.Reply, changes []store.Event) (wrong string) {
	var as machine.Leadership
	var value []byte
	switch o := op.(type) {
	case *machine.Proclaim:
		as, value = o.Leadership, o.Value
	case *machine.Resign:
		as = o.Leadership
	case *machine.Transfer:
		as = o.Leadership
	}
	for i := range changes {
		e := &changes[i]
		if e.Space != store.Elections || e.Revision() != p.Revision || locks.Name(e.Record.Key) != as.Name {
			continue
		}
		r, err := elections.ReadRecord([]byte(e.Record.Value))
		switch {
		case err != nil:
			return err.Error()
		case value == nil && (!r.Ended || r.Last.Token != as.Token):
			return fmt.Sprintf("whoever had token %d was told that it leads no more, and the tenure of token %d ended", as.Token, r.Last.Token)
		case value != nil && (r.Leader == nil || r.Token != as.Token || !bytes.Equal(r.Leader.Value, value)):
			return fmt.Sprintf("%q was proclaimed with token %d, and not by the leader, who has token %d", value, as.Token, r.Token)
		}
		return ""
	}
	return fmt.Sprintf("what was asked for with token %d was acknowledged, and revision %d did not do it", as.Token, p.Revision)
}
