package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"

	"github.com/conch-lock/conch/internal/cluster"
)

// crew is the competing runners, each a process of its own.
type crew struct {
	cmds []*exec.Cmd
	over []chan struct{} // closed when the runner has ended
	errs []error         // valid once over is closed

	mu      sync.Mutex
	files   int           // booked so far, as the runners say
	changed chan struct{} // closed and replaced when files changes
}

// startCrew starts the runners. The crew is never nil.
func (d *demo) startCrew(ctx context.Context) (*crew, error) {
	c := &crew{changed: make(chan struct{})}
	for i := range d.runners {
		name := fmt.Sprintf("r%d", i+1)
		cmd := exec.CommandContext(ctx, d.batchjob, "run", "--dir", d.batch(), "--name", name,
			"--endpoints", strings.Join(d.nodes.Endpoints(), ","), "--pace", d.pace.String())
		cmd.SysProcAttr = cluster.ProcessAttributes()
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		out, err := cmd.StdoutPipe()
		if err != nil {
			return c, err
		}
		if err := cmd.Start(); err != nil {
			return c, fmt.Errorf("start runner %s: %w", name, err)
		}
		over := make(chan struct{})
		c.cmds, c.over, c.errs = append(c.cmds, cmd), append(c.over, over), append(c.errs, nil)
		go func() { // ends with the runner
			defer close(over)
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				d.say("%s", lines.Text())
				c.heard(lines.Text())
			}
			if err := cmd.Wait(); err != nil {
				c.errs[i] = fmt.Errorf("runner %s: %w: %s", name, err, strings.TrimSpace(complaints.String()))
			}
		}()
	}
	return c, nil
}

// heard counts the lines that tell of a booked file: "r1  token 7  orders-…".
func (c *crew) heard(line string) {
	if !strings.Contains(line, "  token ") || strings.Contains(line, "already") {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files++
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *crew) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files
}

// booked waits until the runners have booked so many files.
func (c *crew) booked(ctx context.Context, files int) error {
	for {
		c.mu.Lock()
		have, changed := c.files, c.changed
		c.mu.Unlock()
		if have >= files {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d files were booked, waiting for %d: %w", have, files, ctx.Err())
		}
	}
}

// wait waits until all runners have ended and says which failed.
func (c *crew) wait(ctx context.Context) error {
	for _, over := range c.over {
		select {
		case <-over:
		case <-ctx.Done():
			return fmt.Errorf("the runners do not end: %w", ctx.Err())
		}
	}
	return errors.Join(c.errs...)
}

func (c *crew) kill() {
	for _, cmd := range c.cmds {
		_ = cmd.Process.Kill()
	}
	for _, over := range c.over {
		<-over
	}
}
