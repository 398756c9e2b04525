package disk

// OpKind is a kind of operation on a [Mem].
type OpKind uint8

// The kinds of operation. A value is never reused.
const (
	OpCreate OpKind = iota + 1
	OpOpen
	OpRename
	OpRemove
	OpList
	OpMkdir
	OpSyncDir
	OpLock
	OpRead
	OpWrite
	OpSync
	OpTruncate
)

var opNames = [...]string{
	OpCreate: "create", OpOpen: "open", OpRename: "rename", OpRemove: "remove", OpList: "list",
	OpMkdir: "mkdir", OpSyncDir: "syncdir", OpLock: "lock", OpRead: "read", OpWrite: "write",
	OpSync: "sync", OpTruncate: "truncate",
}

// String is the kind in one word.
func (k OpKind) String() string {
	if int(k) < len(opNames) && opNames[k] != "" {
		return opNames[k]
	}
	return "unknown"
}

// Op is an operation that is about to happen on a [Mem]. Closing and asking
// for a size are none: nothing can be lost by them.
type Op struct {
	Seq    uint64 // counts the operations of this Mem, from 1
	Kind   OpKind
	Name   string // file or directory; of a rename: from
	To     string // of a rename: to
	Offset int64  // of a read or write; of a truncation: the new size
	Length int    // of a read or write, in bytes
}
