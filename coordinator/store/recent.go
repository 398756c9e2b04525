package store

// How many records are remembered, at first and at most; powers of two. A small
// store needs little, and is made fast.
const (
	fewRecentRows = 64
	recentRows    = 4096
)

// recent remembers rows of records that were read or written last, each in the
// one place that its key leads to. A lock is looked for when it is claimed, and
// its record written then and when it is released: with this the tree of all
// records is searched once for each write, and not before it as well. What is
// remembered is always what the tree has, so nothing depends on it.
type recent []recentRow

type recentRow struct {
	key, row string
	had      bool // there is such a row; else it is known that there is none
}

// place is where a record is remembered.
func (r recent) place(space Space, key string) *recentRow {
	h := uint32(2166136261) ^ uint32(space)*16777619 // FNV-1a
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return &r[(h^h>>16)%uint32(len(r))]
}

// note remembers what the tree has for a key, if it is that of a record.
func (s *Store) note(key, row string, had bool) {
	if key[0] != tableRecords {
		return
	}
	if n := len(s.recent); n < recentRows && s.rows() > uint64(n/2) {
		s.recent = make(recent, min(8*n, recentRows)) // what was remembered is in the tree
	}
	*s.recent.place(Space(key[1]), key[2:]) = recentRow{key, row, had}
}

// rows is how many records there are.
func (s *Store) rows() (n uint64) {
	for _, of := range s.records {
		n += of
	}
	return n
}

// recordRow finds the row of a record, within a batch or without, and how its
// key is spelt.
func (s *Store) recordRow(space Space, key string) (rowKey, row string, had bool) {
	p := s.recent.place(space, key)
	if len(p.key) != 2+len(key) || Space(p.key[1]) != space || p.key[2:] != key {
		rowKey = recordKey(space, key)
		row, had = s.get(rowKey)
		*p = recentRow{rowKey, row, had}
	}
	return p.key, p.row, p.had
}
