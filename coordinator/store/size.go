package store

// Bytes is the size of the state: keys and values of all rows and 96 bytes for
// each row. It is a function of the state alone.
func (s *Store) Bytes() int64 { return s.bytes }

// Full says that the state has reached its quota and what makes it grow should
// be refused; the store itself refuses nothing. It holds until Bytes falls
// below 95 % of the quota, so that it does not flutter.
func (s *Store) Full() bool { return s.full }

// resize accounts for a change of size. It runs at every change, not at every
// commit: Full does not depend on how calls are batched.
func (s *Store) resize(by int) {
	s.bytes += int64(by)
	quota := s.options.QuotaBytes
	switch {
	case quota <= 0:
	case s.bytes >= quota:
		s.full = true
	case s.bytes < quota-quota/20:
		s.full = false
	}
}
