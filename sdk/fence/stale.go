package fence

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/conch-lock/conch/sdk"
)

var (
	// ErrStale: a larger token has been seen, so that whoever has this one
	// does not hold the lock any more. Nothing may be written.
	ErrStale = errors.New("the token is stale")
	// ErrInvalid: the token is zero or too large, or the name of the resource
	// is out of bounds.
	ErrInvalid = errors.New("not a token or not a name of a resource")
	// ErrFull: a Guard knows as many resources as it may.
	ErrFull = errors.New("the guard is full")
)

// StaleError says which token was refused, and because of which.
type StaleError struct {
	Resource string
	Token    sdk.Token // refused
	Seen     sdk.Token // the largest seen
}

// Error names the resource and both tokens.
func (e *StaleError) Error() string {
	return fmt.Sprintf("fence: %q: token %d is stale: %d has been seen; nothing was written", e.Resource, e.Token, e.Seen)
}

// Is reports whether target is ErrStale.
func (e *StaleError) Is(target error) bool { return target == ErrStale }

const (
	maxResource = 512
	maxToken    = 1<<63 - 1 // what a database's BIGINT holds
)

func check(resource string, token sdk.Token) error {
	if resource == "" || len(resource) > maxResource || !utf8.ValidString(resource) {
		return fmt.Errorf("fence: %w: a resource of %d bytes: 1 to %d bytes of UTF-8 are allowed", ErrInvalid, len(resource), maxResource)
	}
	if token == 0 || token > maxToken {
		return fmt.Errorf("fence: %q: %w: token %d: 1 to %d are allowed", resource, ErrInvalid, token, int64(maxToken))
	}
	return nil
}
