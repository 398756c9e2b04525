package fence

import (
	"fmt"
	"sync"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/sdk"
)

// DefaultResources is how many resources a Guard knows at most unless told
// otherwise.
const DefaultResources = 1 << 16

// Guard remembers the largest token of each resource in memory. It is safe for
// concurrent use. The zero value is ready and knows DefaultResources.
type Guard struct {
	max int

	mu   sync.Mutex
	seen map[string]sdk.Token
}

// NewGuard returns a Guard for at most max resources; 0: DefaultResources. A
// resource is never forgotten by itself, since forgetting it would let the
// next stale token pass: past the bound new ones are refused with ErrFull.
func NewGuard(max int) *Guard { return &Guard{max: max} }

// Check notes a token of a resource, and refuses it with ErrStale when a
// larger one was noted before. A write after Check is not guarded against a
// larger token in between: use Do, or a mutex of your own around both.
func (g *Guard) Check(resource string, token sdk.Token) error {
	return g.Do(resource, token, func() error { return nil })
}

// Do checks a token as Check does and runs write while no other token can be
// checked. It returns the error of write, which must not call the Guard.
func (g *Guard) Do(resource string, token sdk.Token, write func() error) error {
	if err := check(resource, token); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	seen, known := g.seen[resource]
	switch {
	case token < seen && !planted.On(planted.FenceOpen):
		return &StaleError{Resource: resource, Token: token, Seen: seen}
	case !known && len(g.seen) >= g.bound():
		return fmt.Errorf("fence: %q: %w: it knows %d resources; Forget some that are gone", resource, ErrFull, len(g.seen))
	}
	if g.seen == nil {
		g.seen = make(map[string]sdk.Token)
	}
	g.seen[resource] = token
	return write()
}

// Seen is the largest token noted of a resource; 0: none.
func (g *Guard) Seen(resource string) sdk.Token {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[resource]
}

// Forget forgets a resource that is gone for good.
func (g *Guard) Forget(resource string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.seen, resource)
}

func (g *Guard) bound() int {
	if g.max <= 0 {
		return DefaultResources
	}
	return g.max
}
