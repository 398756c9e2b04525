package check

// Txn is a transaction on keys: a single read, put or delete is one of one
// operation.
type Txn struct {
	If   []Compare
	Then []KeyOp
	Else []KeyOp
}

// Target is what of a key is compared.
type Target string

// The targets.
const (
	ValueOf   Target = "value"
	VersionOf Target = "version"
	CreateOf  Target = "create"
	ModOf     Target = "mod"
	OwnerOf   Target = "owner"
	HeldLock  Target = "held" // Number is a current grant of the lock Key
)

// Compare is a condition on one key.
type Compare struct {
	Target Target
	Is     string // =, !=, < or >; a lock has = (it is held) and !=
	Key    string
	Value  string
	Number uint64
}

// Action is what a KeyOp does.
type Action string

// The actions.
const (
	Get    Action = "get"
	Put    Action = "put"
	Delete Action = "delete"
)

// KeyOp is one operation of a transaction.
type KeyOp struct {
	Action   Action
	Key, End string // as of a Watch; of Put, one key
	Value    string // Put
	Owner    uint64 // Put: the session whose end deletes the key
	At       uint64 // Get: the revision to read at; 0: now
}

// Result answers a transaction.
type Result struct {
	Succeeded bool
	Results   []KeyResult
}

// KeyResult answers a KeyOp: the records that were read, in the order of their
// keys, or how many were deleted.
type KeyResult struct {
	Records []Record
	Deleted int
}

// within says whether a key is in a range.
func within(key, first, end string) bool {
	if end == "" {
		return key == first
	}
	return key >= first && (end == "\x00" || key < end)
}

func (t *Txn) writes() bool { return writes(t.Then) || writes(t.Else) }

func writes(ops []KeyOp) bool {
	for i := range ops {
		if ops[i].Action != Get {
			return true
		}
	}
	return false
}

// chosen are the operations that were carried out.
func (t *Txn) chosen(succeeded bool) []KeyOp {
	if succeeded {
		return t.Then
	}
	return t.Else
}
