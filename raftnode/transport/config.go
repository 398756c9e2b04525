package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/conch-lock/conch/raftnode"
	"github.com/rs/zerolog"
)

// Config is what a Transport needs besides its identity and receiver. The zero value of a size or a
// duration stands for its default.
type Config struct {
	// Listener takes the connections of the peers. The transport closes it.
	Listener net.Listener

	// ServerTLS and ClientTLS switch TLS on for connections taken and made. With
	// ServerTLS.ClientAuth set to tls.RequireAndVerifyClientCert both sides
	// prove who they are. Both are set or neither. A ClientTLS without a
	// ServerName expects the certificate to name the host of the peer's address.
	ServerTLS, ClientTLS *tls.Config

	// Dial connects to the address of a peer instead of a TCP dialer; TLS is put
	// on top of what it returns. For tunnels, and to simulate a network.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	// VerifyPeer, when set, decides whether the certificates of a connection
	// belong to the node that claims it. Called once a connection, on both sides.
	VerifyPeer func(id raftnode.NodeID, state tls.ConnectionState) error

	// Logger must not block its caller: use a writer that drops when it is full.
	Logger zerolog.Logger

	// MaxMessageBytes bounds one message on the wire. Default and maximum: 8 MiB.
	// A larger one is refused by the sender. All nodes should agree on it.
	MaxMessageBytes int

	// Urgent, App and Bulk bound the queues to one peer, by lane. Defaults:
	// 4,096 messages and 4 MiB; 16,384 and 16 MiB; 4,096 and 32 MiB.
	Urgent, App, Bulk LaneLimits

	// DialTimeout bounds one attempt to connect. Default 1 s.
	DialTimeout time.Duration
	// HandshakeTimeout bounds everything between a connection and its first
	// message, on both sides. Default 2 s.
	HandshakeTimeout time.Duration
	// WriteTimeout is how long one flush may stand still before the connection
	// is given up. Default 5 s.
	WriteTimeout time.Duration
	// SilenceTimeout is how long the peer's machine may leave data or keep-alive
	// probes unacknowledged before its connection is given up. Default 5 s, at
	// least 1 s.
	SilenceTimeout time.Duration
	// RetryMin and RetryMax bound the pause between attempts to connect, which
	// doubles and is spread by half either way. Defaults 30 ms and 650 ms, so
	// that the first comes within 15 to 45 ms and the others within 1 s.
	RetryMin, RetryMax time.Duration
	// PingInterval is how often the round trip is measured. Default 1 s.
	PingInterval time.Duration

	// SnapshotStallTimeout is how long a snapshot may stand still on either
	// side. Default 30 s.
	SnapshotStallTimeout time.Duration
	// SnapshotFinishTimeout is how long the receiver may take after the last
	// byte, to make the snapshot durable and load it. Default 5 min.
	SnapshotFinishTimeout time.Duration
	// MaxSnapshots bounds the snapshots received at a time, and those sent at a
	// time to one peer. Default 4.
	MaxSnapshots int

	// MaxConnections bounds connections taken, MaxHandshakes those of them that
	// have not said yet who they are. For another one that which has not said so
	// for the longest is closed; when all have, the new one. Defaults 256, 32.
	MaxConnections, MaxHandshakes int
}

// LaneLimits bounds one lane of the queue to one peer. When either is reached,
// further messages of the lane are dropped.
type LaneLimits struct {
	Messages int
	Bytes    int // as estimated from the sizes of their entries
}

const maxMessageBytes = 8 << 20

func (c Config) withDefaults() Config {
	setInt := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	setDuration := func(v *time.Duration, to time.Duration) {
		if *v == 0 {
			*v = to
		}
	}
	if c.Dial == nil {
		var d net.Dialer
		c.Dial = func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
	}
	setInt(&c.MaxMessageBytes, maxMessageBytes)
	setInt(&c.Urgent.Messages, 4096)
	setInt(&c.Urgent.Bytes, 4<<20)
	setInt(&c.App.Messages, 16384)
	setInt(&c.App.Bytes, 16<<20)
	setInt(&c.Bulk.Messages, 4096)
	setInt(&c.Bulk.Bytes, 32<<20)
	setDuration(&c.DialTimeout, time.Second)
	setDuration(&c.HandshakeTimeout, 2*time.Second)
	setDuration(&c.WriteTimeout, 5*time.Second)
	setDuration(&c.SilenceTimeout, 5*time.Second)
	setDuration(&c.RetryMin, 30*time.Millisecond)
	setDuration(&c.RetryMax, 650*time.Millisecond)
	setDuration(&c.PingInterval, time.Second)
	setDuration(&c.SnapshotStallTimeout, 30*time.Second)
	setDuration(&c.SnapshotFinishTimeout, 5*time.Minute)
	setInt(&c.MaxSnapshots, 4)
	setInt(&c.MaxConnections, 256)
	setInt(&c.MaxHandshakes, 32)
	return c
}

// validate expects the defaults to be filled in.
func (c Config) validate() error {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("transport: "+format, args...))
	}
	if c.Listener == nil {
		bad("Listener is not set")
	}
	if (c.ServerTLS == nil) != (c.ClientTLS == nil) {
		bad("only one of ServerTLS and ClientTLS is set: set both or neither")
	}
	if c.VerifyPeer != nil && c.ServerTLS == nil {
		bad("VerifyPeer is set, but there are no certificates without ServerTLS and ClientTLS")
	}
	if c.MaxMessageBytes < 1024 || c.MaxMessageBytes > maxMessageBytes {
		bad("MaxMessageBytes is %d: from 1024 to %d is allowed", c.MaxMessageBytes, maxMessageBytes)
	}
	for name, n := range map[string]int{
		"Urgent.Messages": c.Urgent.Messages, "Urgent.Bytes": c.Urgent.Bytes,
		"App.Messages": c.App.Messages, "App.Bytes": c.App.Bytes,
		"Bulk.Messages": c.Bulk.Messages, "Bulk.Bytes": c.Bulk.Bytes,
		"MaxSnapshots": c.MaxSnapshots, "MaxConnections": c.MaxConnections, "MaxHandshakes": c.MaxHandshakes,
	} {
		if n < 1 {
			bad("%s is %d: at least 1 is needed", name, n)
		}
	}
	for name, d := range map[string]time.Duration{
		"DialTimeout": c.DialTimeout, "HandshakeTimeout": c.HandshakeTimeout, "WriteTimeout": c.WriteTimeout,
		"RetryMin": c.RetryMin, "PingInterval": c.PingInterval,
		"SnapshotStallTimeout": c.SnapshotStallTimeout, "SnapshotFinishTimeout": c.SnapshotFinishTimeout,
	} {
		if d < time.Millisecond {
			bad("%s is %v: at least 1ms is needed", name, d)
		}
	}
	if c.SilenceTimeout < time.Second {
		bad("SilenceTimeout is %v: at least 1s is needed", c.SilenceTimeout)
	}
	if c.RetryMax < c.RetryMin {
		bad("RetryMax %v is less than RetryMin %v", c.RetryMax, c.RetryMin)
	}
	return errors.Join(problems...)
}
