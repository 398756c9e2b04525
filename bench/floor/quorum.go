package floor

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
)

// Quorum is the three processes. As a system it is one whose clients can only
// commit: Lock commits, and so does the release.
type Quorum struct {
	// Node is the command that runs Node(listen, file, followers), to which
	// -listen, -file and -followers are added.
	Node []string
}

// Start starts two followers and the leader.
func (q *Quorum) Start(ctx context.Context, dir string) (system.Cluster, error) {
	addresses, err := process.Addresses(3)
	if err != nil {
		return nil, err
	}
	c := &servers{leader: addresses[2]}
	for i, followers := range []string{"", "", strings.Join(addresses[:2], ",")} {
		name := fmt.Sprintf("floor-%d", i+1)
		p, err := process.Start(process.Spec{
			Name: name, Path: q.Node[0], Log: filepath.Join(dir, name+".log"),
			Args: append(slices.Clone(q.Node[1:]), "-listen", addresses[i], "-file", filepath.Join(dir, name), "-followers", followers),
		})
		if err != nil {
			c.Close()
			return nil, err
		}
		c.all = append(c.all, p)
	}
	if err := system.Until(ctx, c.serves); err != nil {
		c.Close()
		return nil, fmt.Errorf("floor: %w", err)
	}
	return c, nil
}

// Dial connects clients.
func (q *Quorum) Dial(ctx context.Context, endpoints []string, clients int) (*system.Fleet, error) {
	f := &system.Fleet{}
	var conns []net.Conn
	f.Close = func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
	for range clients {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", endpoints[0])
		if err != nil {
			f.Close()
			return nil, err
		}
		conns = append(conns, conn)
		f.Clients = append(f.Clients, &client{conn: conn})
	}
	return f, nil
}

type servers struct {
	all    []*process.Process
	leader string
}

func (c *servers) Servers() []*process.Process         { return slices.Clone(c.all) }
func (c *servers) Endpoints() []string                 { return []string{c.leader} }
func (c *servers) Leader(context.Context) (int, error) { return 2, nil }
func (c *servers) Close()                              { process.KillAll(c.all) }

// Restart is not offered: nothing takes over here.
func (c *servers) Restart(context.Context, int) error { return system.ErrNotOffered }

// serves commits once.
func (c *servers) serves(ctx context.Context) error {
	for _, p := range c.all {
		if !p.Running() {
			return p.Complaint("it does not serve")
		}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.leader)
	if err != nil {
		return err
	}
	defer conn.Close()
	until, _ := ctx.Deadline()
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	return (&client{conn: conn}).commit()
}

// client commits over a connection of its own.
type client struct {
	conn   net.Conn
	data   [payload]byte
	answer [1]byte
}

func (c *client) Lock(context.Context, string) (func(context.Context) error, error) {
	return func(context.Context) error { return c.commit() }, c.commit()
}

func (c *client) commit() error {
	if _, err := c.conn.Write(c.data[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(c.conn, c.answer[:])
	return err
}
