package zookeeper

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
)

// servers are the members of an ensemble.
type servers struct {
	all       []*process.Process
	endpoints []string
}

func (c *servers) Servers() []*process.Process { return slices.Clone(c.all) }
func (c *servers) Endpoints() []string         { return slices.Clone(c.endpoints) }
func (c *servers) Close()                      { process.KillAll(c.all) }

// Leader asks the servers, each for itself.
func (c *servers) Leader(ctx context.Context) (int, error) {
	var last error
	for i, endpoint := range c.endpoints {
		m, err := mode(ctx, endpoint)
		if err != nil {
			last = err
		} else if m == "leader" {
			return i, nil
		}
	}
	return 0, fmt.Errorf("zookeeper: no server leads: %w", last)
}

func (c *servers) Restart(ctx context.Context, server int) error {
	p, err := c.all[server].Again()
	if err != nil {
		return err
	}
	c.all[server] = p
	return c.serving(ctx)
}

// serving waits until every server leads or follows.
func (c *servers) serving(ctx context.Context) error {
	err := system.Until(ctx, func(ctx context.Context) error {
		for i, endpoint := range c.endpoints {
			if !c.all[i].Running() {
				return c.all[i].Complaint("it does not serve")
			}
			if _, err := mode(ctx, endpoint); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("zookeeper does not serve: %w", err)
	}
	return nil
}

// mode is leader or follower, by the server's answer to srvr.
func mode(ctx context.Context, endpoint string) (string, error) {
	var d net.Dialer
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	until, _ := ctx.Deadline()
	if err := conn.SetDeadline(until); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "srvr"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 4<<10))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(answer)) {
		if m, ok := strings.CutPrefix(strings.TrimSpace(line), "Mode: "); ok && (m == "leader" || m == "follower") {
			return m, nil
		}
	}
	return "", fmt.Errorf("zookeeper: %s neither leads nor follows: %q", endpoint, answer)
}
