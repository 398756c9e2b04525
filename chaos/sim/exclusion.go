package sim

import (
	"fmt"

	"github.com/conch-lock/conch/locks"
)

// compatible says what is wrong with those who hold a lock together.
func compatible(r locks.Record) error {
	used := uint64(0)
	for i, h := range r.Holders {
		first := r.Holders[0]
		switch {
		case h.Mode != first.Mode:
			return fmt.Errorf("sessions %d and %d hold it, one %v and one %v", first.Claim.Session, h.Claim.Session, first.Mode, h.Mode)
		case i > 0 && h.Mode == locks.Exclusive:
			return fmt.Errorf("sessions %d and %d hold it, both exclusively", first.Claim.Session, h.Claim.Session)
		case h.Capacity != first.Capacity:
			return fmt.Errorf("it is held with capacities %d and %d", first.Capacity, h.Capacity)
		}
		used += uint64(h.Permits)
	}
	if len(r.Holders) > 0 && r.Holders[0].Mode == locks.Permits && used > uint64(r.Holders[0].Capacity) {
		return fmt.Errorf("%d permits of %d are held", used, r.Holders[0].Capacity)
	}
	return nil
}
