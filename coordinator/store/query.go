package store

// Order of the records that a Range returns. Equal ones keep the order of
// their keys.
type Order uint8

const (
	ByKey Order = iota
	ByVersion
	ByCreate
	ByMod
	ByValue

	orders
)

// Everything, as a Query's or a delete's End, means all keys from Key on.
const Everything = "\x00"

// Query asks for the records of a key or of a range of keys.
type Query struct {
	Space Space
	Key   string // the one key, or the first one
	End   string // "": Key alone; Everything: all keys from Key on; else the first key that is not meant
	// Revision is the one to read at; 0: the current one.
	Revision uint64
	// Limit is how many records are returned at most; 0: all.
	Limit     uint64
	KeysOnly  bool // without values
	CountOnly bool // without records
	// NoCount stops at the limit: Count is then unset. It makes a page of a
	// long range cheap; only for ByKey, not Descending, and the present.
	NoCount    bool
	Order      Order
	Descending bool
	// Bounds of the revisions of the records that are returned; 0: none. Count
	// does not heed them.
	MinMod, MaxMod       uint64
	MinCreate, MaxCreate uint64
}

// RangeResult answers a Query.
type RangeResult struct {
	Records  []Record
	Count    uint64 // records in the range, whatever the limit and the bounds of revisions
	More     bool   // the limit cut some off
	Revision uint64 // of the store when it answered
}
