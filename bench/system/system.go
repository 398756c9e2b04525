package system

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/conch-lock/conch/bench/process"
)

var (
	// ErrNotOffered: the service, or the recipe, has no such thing.
	ErrNotOffered = errors.New("not offered")
	// ErrHeld: a recipe without a queue found the lock taken.
	ErrHeld = errors.New("the lock is held")
)

// MissingError says that the servers of a system are not on this machine.
type MissingError struct {
	What string
	How  string // a command that brings it
}

// Error says what is missing.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is missing; to have it: %s", e.What, e.How)
}

// System is a coordination service.
type System interface {
	// Name is a word, as in the flag that chooses systems.
	Name() string
	// Prepare builds the program of the servers into the folder cache, or
	// finds it. A *MissingError: it cannot be had here.
	Prepare(ctx context.Context, cache string) error
	// Settings say, a line each, which version runs and what is not at its
	// default. Valid after Prepare.
	Settings() []string
	// Recipes are the ways to use it, the one of its defaults first.
	Recipes() []Recipe
	// ShortestTTL is the shortest time to live that it gives a session with
	// its default settings; 0: it has no sessions.
	ShortestTTL() time.Duration
	// Start starts servers with their data below dir, an existing folder, and
	// returns when they serve.
	Start(ctx context.Context, dir string) (Cluster, error)
	// Dial connects clients by a recipe, each with a session of that time to
	// live (0: the default). They may be of a cluster started by another process.
	Dial(ctx context.Context, endpoints []string, recipe int, clients int, ttl time.Duration) (*Fleet, error)
	// Idle opens sessions and does nothing with them but keep them alive.
	// ErrNotOffered: there is no such thing.
	Idle(ctx context.Context, endpoints []string, recipe int, sessions int, ttl time.Duration) (Sessions, error)
}

// ConnectionEach is the recipe of Conch that peers are like which connect every
// client by itself.
const ConnectionEach = "Conch, a connection each"

// Recipe is a way to use a system.
type Recipe struct {
	Name string // heading of the column
	How  string // what it does, in a line
	// Queue: who waits for a lock is told when it gets it. Without, Lock
	// answers ErrHeld.
	Queue bool
	// Like names the recipe of Conch with as many connections, when that is not the
	// first: the table has a ratio to it, too.
	Like string
	// Many: a hundred thousand clients can be dialed, over a few connections.
	Many bool
}

// Cluster is servers that run.
type Cluster interface {
	// Servers are the processes, in the order of the endpoints.
	Servers() []*process.Process
	Endpoints() []string
	// Leader is the index of the server that leads. ErrNotOffered: none does.
	Leader(ctx context.Context) (int, error)
	// Restart starts a server that was killed and returns when it serves.
	Restart(ctx context.Context, server int) error
	// Close kills the servers. The data stays.
	Close()
}

// Snapshotter is a cluster that can tell of a server whether it is writing a
// snapshot of its state now.
type Snapshotter interface {
	Snapshotting(server int) (bool, error)
}

// Fleet is clients that were connected together.
type Fleet struct {
	Clients []Client
	Close   func() // ends sessions and connections, once
}

// Client is one user of a system. It does one thing at a time.
type Client interface {
	// Lock takes a lock and returns how to release it. It waits, or answers
	// ErrHeld when the recipe has no queue.
	Lock(ctx context.Context, name string) (unlock func(context.Context) error, err error)
}

// KV is a client that reads and writes keys.
type KV interface {
	// Get reads a key linearizably, or as near to it as the system comes.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put writes a key.
	Put(ctx context.Context, key string, value []byte) error
}

// Elector is a client that takes part in elections.
type Elector interface {
	// Campaign waits until it leads with that value and returns how to resign.
	Campaign(ctx context.Context, election, value string) (resign func(context.Context) error, err error)
	// Observe calls seen with the value of each leader until ctx ends.
	Observe(ctx context.Context, election string, seen func(value string)) error
}

// Sessions are idle sessions.
type Sessions interface {
	// Lost counts those that are over.
	Lost(ctx context.Context) (int, error)
	// Close drops them; the system may take its time to notice.
	Close()
}
