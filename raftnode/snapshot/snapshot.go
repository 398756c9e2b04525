package snapshot

import "fmt"

// BlockBytes is how much content one check covers.
const BlockBytes = 64 << 10

// MaxConfBytes bounds Meta.Conf.
const MaxConfBytes = 1 << 20

// Meta says what a snapshot is of.
type Meta struct {
	Index   uint64 // the last entry applied to the state
	Term    uint64 // of that entry
	Conf    []byte // the membership at Index, opaque, at most MaxConfBytes; empty reads back as nil
	Cluster uint64 // identity of the cluster
	Group   uint64 // and of the group in it
}

// Info is a snapshot by its name; its content is not looked at.
type Info struct {
	Name  string // base name
	Index uint64
	Term  uint64
}

// CorruptError says that a file is not a whole snapshot.
type CorruptError struct {
	File   string
	Offset int64 // byte in the file
	Reason string
}

// Error says what is wrong, where, and what to do about it.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("snapshot: %s is damaged at byte %d: %s; it was not used and nothing was changed. "+
		"Keep the file for inspection; restore it from an intact copy, or remove the node from the cluster "+
		"and let it join again with an empty directory under a new id", e.File, e.Offset, e.Reason)
}
