package coordinator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/raftnode/disk"
)

// DefaultCell is the name of the cell that every node serves.
const DefaultCell = "default"

// Bounds of a configuration.
const (
	maxNodeName = 64
	maxNodes    = 15
)

// Member is a node of the initial cluster.
type Member struct {
	// Name is the node's name: 1 to 64 letters, digits, '-', '_' and '.'.
	Name string
	// Peer is the host:port where the other nodes reach it.
	Peer string
}

// Config says who a node is and what it may use. Name, DataDir and
// InitialCluster are needed, and an address or a listener for each of the two
// ports; a zero value elsewhere is the default.
type Config struct {
	// Name is this node's, one of InitialCluster.
	Name string
	// Cluster is the name of the cluster: nodes of another one are refused, and
	// so is a data directory of another one. 1 to 64 characters as in Name.
	// Default "conch".
	Cluster string
	// DataDir is the folder of the node's log and snapshots, its alone.
	DataDir string
	// InitialCluster is all nodes of the cluster, this one too: 1 to 15, the
	// same on every node. It counts when the data directory is new.
	InitialCluster []Member
	// Join: this node was added to a cluster that runs already; the others of
	// InitialCluster are whom it hears of it from.
	Join bool

	// ListenClient and ListenPeer are host:port addresses; port 0 takes a free
	// one.
	ListenClient, ListenPeer string
	// ClientListener and PeerListener take the place of the two addresses. The
	// server closes them, also when it does not start.
	ClientListener, PeerListener net.Listener
	// DialPeer connects to the peer address of another node instead of a TCP
	// dialer; TLS is put on top of what it returns. For tunnels, and to simulate
	// a network.
	DialPeer func(ctx context.Context, address string) (net.Conn, error)
	// AdvertiseClient is the address that clients are told. Default: where the
	// client port listens.
	AdvertiseClient string

	// ClientTLS switches TLS on for the client port.
	ClientTLS *tls.Config
	// PeerServerTLS and PeerClientTLS switch TLS on between the nodes; both or
	// neither.
	PeerServerTLS, PeerClientTLS *tls.Config

	// Version is what the node says that it is, for operators.
	Version string
	// Log takes the log, one JSON object a line; a [zerolog.ConsoleWriter] makes
	// text of it. It may be slow: lines that it has no room for are dropped and
	// counted. Default: none.
	Log io.Writer
	// LogLevel is the least that is logged. The zero value is debug.
	LogLevel zerolog.Level

	// Limits bound the state of the cell; the same on every node. Default quota
	// of the store: 2 GiB.
	Limits machine.Limits
	// Tuning holds sizes and times of the consensus.
	Tuning raftnode.Tuning
	// FS is where DataDir lies. Default: the file system of the machine.
	FS disk.FS

	// MaxConnections bounds the connections to the client port; for another one
	// that which has not asked for anything for the longest is closed, and when
	// all have, the new one. Default 10,000, or fewer where the process may not
	// open as many files: some are kept for the node itself.
	MaxConnections int
	// MaxInFlight bounds the requests of one stream that await their answer;
	// more are refused with OVERLOADED. Default 16,384. While more than 8,192
	// await theirs on the node, a stream may have no more than its share of them.
	MaxInFlight int
	// MaxQueueBytes bounds what waits to be written to one client; one that lets
	// it grow further is cut off. Watches stop at half of it and go on when the
	// client has read. Default 16 MiB, at least 8 MiB.
	MaxQueueBytes int
	// WriteTimeout is how long one write to a client may stand still until the
	// client is cut off. Default 10 s.
	WriteTimeout time.Duration
	// WatchStall is for how long a watch may be held up by its client's reading
	// until it is ended with LAGGING. Default 8 s.
	WatchStall time.Duration
	// Patience is how long a request waits in all, over changes of the leader.
	// Default 10 s.
	Patience time.Duration
	// HandOver is how long Stop waits for another node to take over leadership.
	// Default 3 s.
	HandOver time.Duration

	// idleTimeout is how long a connection may be open without a call on it. It
	// also ends one that sends messages of no call, which DRPC keeps waiting.
	idleTimeout time.Duration
	// intakeBytes bounds the messages of clients that are being read, beyond the
	// first 64 KiB of each connection.
	intakeBytes int64
}

const defaultQuota = 2 << 30

func (c Config) withDefaults() Config {
	defaultTo(&c.Cluster, "conch")
	defaultTo(&c.Version, "unknown")
	defaultTo(&c.Limits.Store.QuotaBytes, defaultQuota)
	// A command has up to 1.5 MiB, and the keep-alives that travel with it 0.4.
	defaultTo(&c.Tuning.MaxProposal, 2<<20)
	defaultTo(&c.MaxConnections, 10_000)
	defaultTo(&c.MaxInFlight, 16_384)
	defaultTo(&c.MaxQueueBytes, 16<<20)
	defaultTo(&c.WriteTimeout, 10*time.Second)
	defaultTo(&c.WatchStall, 8*time.Second)
	defaultTo(&c.Patience, 10*time.Second)
	defaultTo(&c.HandOver, 3*time.Second)
	defaultTo(&c.idleTimeout, 10*time.Second)
	defaultTo(&c.intakeBytes, 256<<20)
	if c.FS == nil {
		c.FS = disk.OS{}
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c
}

func defaultTo[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// validate says everything that is wrong with a configuration whose defaults
// are in place.
func (c Config) validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if err := checkNodeName(c.Name); err != nil {
		bad("Name: %w", err)
	}
	if err := checkNodeName(c.Cluster); err != nil {
		bad("Cluster: %w", err)
	}
	if c.DataDir == "" {
		bad("DataDir is not set: name the folder that keeps this node's data")
	}
	if c.ClientListener == nil {
		if err := checkAddress(c.ListenClient, true); err != nil {
			bad("ListenClient: %w", err)
		}
	}
	if c.PeerListener == nil {
		if err := checkAddress(c.ListenPeer, true); err != nil {
			bad("ListenPeer: %w", err)
		}
	}
	if c.AdvertiseClient != "" {
		if err := checkAddress(c.AdvertiseClient, false); err != nil {
			bad("AdvertiseClient: %w", err)
		}
	}
	if err := c.checkCluster(); err != nil {
		bad("InitialCluster: %w", err)
	}
	if (c.PeerServerTLS == nil) != (c.PeerClientTLS == nil) {
		bad("only one of PeerServerTLS and PeerClientTLS is set: set both or neither")
	}
	for _, n := range []struct {
		name         string
		value, least int64
	}{
		{"MaxConnections", int64(c.MaxConnections), 1},
		{"MaxInFlight", int64(c.MaxInFlight), 1},
		{"MaxQueueBytes", int64(c.MaxQueueBytes), 8 << 20},
		{"Limits.Store.QuotaBytes", c.Limits.Store.QuotaBytes, 1 << 20},
	} {
		if n.value < n.least {
			bad("%s is %d: at least %d is allowed", n.name, n.value, n.least)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"WriteTimeout", c.WriteTimeout}, {"WatchStall", c.WatchStall}, {"Patience", c.Patience}, {"HandOver", c.HandOver},
	} {
		if d.value < time.Millisecond {
			bad("%s is %v: at least 1ms is allowed", d.name, d.value)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

func (c Config) checkCluster() error {
	if n := len(c.InitialCluster); n < 1 || n > maxNodes {
		return fmt.Errorf("it has %d nodes: 1 to %d are allowed", n, maxNodes)
	}
	byName, byPeer := map[string]string{}, map[string]string{}
	for _, m := range c.InitialCluster {
		if err := checkNodeName(m.Name); err != nil {
			return err
		}
		if err := checkAddress(m.Peer, false); err != nil {
			return fmt.Errorf("node %q: %w", m.Name, err)
		}
		if _, twice := byName[m.Name]; twice {
			return fmt.Errorf("two nodes have the name %q: each needs its own", m.Name)
		}
		if other, twice := byPeer[m.Peer]; twice {
			return fmt.Errorf("nodes %q and %q have the same address %s: each needs its own", other, m.Name, m.Peer)
		}
		byName[m.Name], byPeer[m.Peer] = m.Peer, m.Name
	}
	if _, ok := byName[c.Name]; !ok {
		return fmt.Errorf("this node, %q, is not in it: it must be listed there with its own address", c.Name)
	}
	if c.Join && len(c.InitialCluster) == 1 {
		return fmt.Errorf("it has this node alone, which is to join others: list them too")
	}
	return nil
}

func checkNodeName(name string) error {
	ok := name != "" && len(name) <= maxNodeName && utf8.ValidString(name)
	for _, r := range name {
		ok = ok && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.", r))
	}
	if !ok {
		return fmt.Errorf("%.80q: 1 to %d bytes of letters, digits, '-', '_' and '.' are allowed", name, maxNodeName)
	}
	return nil
}

// checkAddress refuses what is not host:port; port 0 is for listening alone.
func checkAddress(address string, listen bool) error {
	if address == "" {
		return errors.New("it is not set: host:port is allowed")
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil || len(address) > 255 {
		return fmt.Errorf("%.260q: host:port of at most 255 bytes is allowed", address)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil:
		return fmt.Errorf("%q: port %q: a number up to 65535 is allowed", address, text)
	case listen:
		return nil
	case port == 0:
		return fmt.Errorf("%q: port 0 cannot be reached: 1 to 65535 are allowed", address)
	case host == "" || net.ParseIP(host).IsUnspecified():
		return fmt.Errorf("%q: it means every address: name one that can be reached", address)
	}
	return nil
}
