package raftnode

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/raftnode/disk"
)

// GroupConfig describes one group of a host.
type GroupConfig struct {
	// ID names the group on the wire; the same on every node, never 0.
	ID GroupID
	// Cell is the name of the cell the group serves; its directory below the data directory bears that name.
	// Lower-case letters, digits and hyphens, 1 to 63 of them.
	Cell string
	// Initial are the members the group begins with, this node among them: the same list on every node. It is used when
	// the group has no data yet and is ignored otherwise. Empty: the node was added to a running group and waits to hear
	// from its leader.
	Initial []Member
	// Machine is what the group replicates into.
	Machine Machine
	// Tuning holds the sizes and times; its zero value means the defaults.
	Tuning Tuning
}

// HostConfig describes a host: one process's part in a cluster.
type HostConfig struct {
	// Identity is who this node is. A data directory that says otherwise is refused.
	Identity Identity
	// Dir is the data directory.
	Dir string
	// FS is where Dir lives; nil: the file system of the machine.
	FS disk.FS
	// Contacts are addresses of other nodes from the configuration. They come before the addresses that the groups know,
	// so that a node that moved is found again; a node about to join needs those of all members, to answer its leader.
	Contacts []Member
	// Transport makes the connections to the other nodes.
	Transport NewTransport
	// Now reads a clock that never goes back, from any starting point; nil: the machine's monotonic clock.
	Now func() time.Duration
	// Seed makes the small random delays of this host repeatable; 0: a random one.
	Seed uint64
	// Logger takes what the host has to tell. Its writer must never block.
	Logger zerolog.Logger
}
