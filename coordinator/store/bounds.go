package store

import (
	"errors"
	"fmt"
)

// Bounds of what the store accepts.
const (
	MaxKey   = 4096    // bytes of a key; at least 1
	MaxValue = 1 << 20 // bytes of a value
	MaxOps   = 128     // compares and operations of a transaction, nested ones included
	MaxDepth = 4       // levels of transactions within a transaction, the outermost included

	// Of all compares and operations of a transaction together.
	MaxVisited     = 1 << 20  // records that are compared, counted, read or deleted; of a past range also the changes since then
	MaxReturned    = 2 << 20  // bytes of the records that are returned: their keys, their values, and recordOverhead each
	MaxDeleted     = 1 << 16  // records that are deleted
	MaxDropped     = 64 << 20 // bytes of the keys and values of those: the history takes them
	recordOverhead = 32

	maxRowKey   = 1 << 16 // bytes of any row's key
	maxRowValue = 1 << 30 // bytes of any row's value
)

// Refusals. Nothing has happened when one of them is returned; the error that
// carries it says with which value and what is allowed.
var (
	ErrKeyBounds     = errors.New("key out of bounds")
	ErrValueBounds   = errors.New("value out of bounds")
	ErrSpace         = errors.New("no such space")
	ErrCompacted     = errors.New("revision has been compacted")
	ErrFuture        = errors.New("revision has not happened yet")
	ErrKeyNotFound   = errors.New("no such key")
	ErrDuplicateKey  = errors.New("key is written twice in one transaction")
	ErrTooManyOps    = errors.New("too many operations in one transaction")
	ErrTooLarge      = errors.New("too much for one transaction")
	ErrTooDeep       = errors.New("transactions are nested too deep")
	ErrInvalidOp     = errors.New("malformed operation")
	ErrSessionAbsent = errors.New("no such session")
)

func checkSpace(space Space) error {
	if space >= spaces {
		return fmt.Errorf("space %d: %w: it is 0 (keys), 1 (locks) or 2 (elections)", space, ErrSpace)
	}
	return nil
}

func checkKey(key string) error {
	if len(key) == 0 || len(key) > MaxKey {
		return fmt.Errorf("key of %d bytes: %w: 1 to %d bytes are allowed", len(key), ErrKeyBounds, MaxKey)
	}
	return nil
}

func checkValue(n int) error {
	if n > MaxValue {
		return fmt.Errorf("value of %d bytes: %w: at most %d bytes are allowed", n, ErrValueBounds, MaxValue)
	}
	return nil
}
