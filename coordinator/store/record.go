package store

import "encoding/binary"

// Space is a kind of records; each has its own keys. All share the revision.
type Space uint8

const (
	Keys      Space = iota // what users write
	Locks                  // written by the lock commands alone
	Elections              // written by the election commands alone

	spaces // how many there are
)

// String names the space for operators.
func (s Space) String() string {
	switch s {
	case Keys:
		return "keys"
	case Locks:
		return "locks"
	case Elections:
		return "elections"
	}
	return "unknown"
}

// Record is one key with its value at some revision. The zero Record stands
// for a key that does not exist.
type Record struct {
	Key     string
	Value   string
	Create  uint64 // revision that created it, since it was last absent
	Mod     uint64 // revision that wrote it last
	Version uint64 // writes since it was created, 1 for the first
	Session uint64 // owner, in whose end the key is deleted; 0: nobody
}

// Exists tells a record from the zero Record.
func (r Record) Exists() bool { return r.Mod != 0 }

// appendRecord appends what a record's row holds: everything but the key.
func appendRecord(b []byte, create, mod, version, session uint64) []byte {
	b = binary.AppendUvarint(b, mod)
	b = binary.AppendUvarint(b, mod-create)
	b = binary.AppendUvarint(b, version)
	return binary.AppendUvarint(b, session)
}

// decodeRecord reads what appendRecord and the value after it wrote. The value
// shares memory with row.
func decodeRecord(key, row string) (Record, bool) {
	d := decoder{rest: row}
	r := Record{Key: key}
	r.Mod = d.uvarint()
	age := d.uvarint()
	r.Create = r.Mod - age
	r.Version = d.uvarint()
	r.Session = d.uvarint()
	r.Value = d.rest
	return r, !d.failed && r.Mod > 1 && age < r.Mod && r.Create > 1 && r.Version > 0
}

// mustRecord decodes a row of the store itself.
func mustRecord(key, row string) Record {
	r, ok := decodeRecord(key, row)
	if !ok {
		panic("store: a record's row cannot be decoded: " + key)
	}
	return r
}
