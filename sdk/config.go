package sdk

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/rs/zerolog"
)

// Bounds of what a client accepts.
const (
	// MinTTL and MaxTTL bound the time to live of a session. A value outside
	// is refused and never silently changed.
	MinTTL = 500 * time.Millisecond
	MaxTTL = 24 * time.Hour
	// DefaultTTL is the time to live of a session without WithTTL.
	DefaultTTL = 10 * time.Second

	defaultCell           = "default"
	defaultDialTimeout    = 5 * time.Second
	defaultSilenceTimeout = 1500 * time.Millisecond
	defaultMaxPending     = 4096
	defaultWatchBuffer    = 1024

	maxEndpoints = 64
)

// Config says which cell a client talks to and how. Only Endpoints is needed.
type Config struct {
	// Endpoints are host:port addresses of the client ports of nodes of the
	// cell, 1 to 64, tried in turn. Any node serves; the client moves to the
	// leader once it knows it.
	Endpoints []string
	// Cell is the cell's name; empty: "default".
	Cell string
	// TLS makes connections TLS; nil: plain TCP. Without a ServerName the
	// host of the endpoint is verified.
	TLS *tls.Config
	// Name is shown to operators as the client of its sessions; at most 128 bytes.
	Name string
	// Logger gets connection changes and lost sessions; the zero value is silent.
	Logger zerolog.Logger

	// DialTimeout bounds Dial, and later each attempt to connect; default 5 s.
	DialTimeout time.Duration
	// SilenceTimeout is how long a connection may be silent although an
	// answer is due before it is given up and another endpoint is tried;
	// default 1.5 s, at least 100 ms.
	SilenceTimeout time.Duration
	// SessionTTL is the time to live of the session that Do opens; default 10 s.
	SessionTTL time.Duration
	// MaxPending bounds the requests that await their first answer; further
	// calls wait for room until their context ends. Default 4096.
	MaxPending int
	// WatchBuffer bounds the batches of changes that one watch keeps for its
	// consumer; default 1024.
	WatchBuffer int
	// IgnoreLeader keeps the client from leaving Endpoints for the address
	// that the cell tells of its leader, for use behind a proxy.
	IgnoreLeader bool

	// Dial connects to an endpoint instead of a TCP dialer; TLS is put on top
	// of what it returns. For tunnels and tests.
	Dial func(ctx context.Context, endpoint string) (net.Conn, error)
	// Now reads a clock that never goes back and counts the time in which
	// the machine is suspended, from any starting point. Default on Linux:
	// CLOCK_BOOTTIME. For tests.
	Now func() time.Duration
}

// withDefaults returns the configuration with its defaults filled in, or says
// which field is wrong and what is allowed.
func (c Config) withDefaults() (Config, error) {
	if len(c.Endpoints) == 0 || len(c.Endpoints) > maxEndpoints {
		return c, invalid("dial", "", "config: %d endpoints: 1 to %d are allowed", len(c.Endpoints), maxEndpoints)
	}
	seen := make(map[string]bool, len(c.Endpoints))
	for _, e := range c.Endpoints {
		host, port, err := net.SplitHostPort(e)
		if err != nil || host == "" || port == "" {
			return c, invalid("dial", "", "config: endpoint %q: want host:port", e)
		}
		if seen[e] {
			return c, invalid("dial", "", "config: endpoint %q is named twice", e)
		}
		seen[e] = true
	}
	if len(c.Name) > 128 {
		return c, invalid("dial", "", "config: name of %d bytes: at most 128 are allowed", len(c.Name))
	}
	if c.Cell == "" {
		c.Cell = defaultCell
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		dflt  time.Duration
		least time.Duration
		most  time.Duration
	}{
		{"dial timeout", &c.DialTimeout, defaultDialTimeout, time.Millisecond, time.Hour},
		{"silence timeout", &c.SilenceTimeout, defaultSilenceTimeout, 100 * time.Millisecond, time.Hour},
		{"session ttl", &c.SessionTTL, DefaultTTL, MinTTL, MaxTTL},
	} {
		if *d.value == 0 {
			*d.value = d.dflt
		}
		if *d.value < d.least || *d.value > d.most {
			return c, invalid("dial", "", "config: %s %v: %v to %v are allowed", d.name, *d.value, d.least, d.most)
		}
	}
	for _, n := range []struct {
		name  string
		value *int
		dflt  int
	}{
		{"max pending", &c.MaxPending, defaultMaxPending},
		{"watch buffer", &c.WatchBuffer, defaultWatchBuffer},
	} {
		if *n.value == 0 {
			*n.value = n.dflt
		}
		if *n.value < 1 || *n.value > 1<<20 {
			return c, invalid("dial", "", "config: %s %d: 1 to %d are allowed", n.name, *n.value, 1<<20)
		}
	}
	if c.Dial == nil {
		d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3,
		}}
		c.Dial = func(ctx context.Context, endpoint string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", endpoint)
		}
	}
	if c.Now == nil {
		now, err := bootClock()
		if err != nil {
			return c, fmt.Errorf("dial: read the clock that counts suspension: %w", err)
		}
		c.Now = now
	}
	return c, nil
}
