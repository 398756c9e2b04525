package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

const (
	// between is how many numbers a client gets before each event, and after
	// the last.
	between = 10
	// slack is what a machine with other things to do may be late by.
	slack = time.Second
)

// show runs members and a client that follows, hands over, kills, and checks
// the numbers.
func show(ctx context.Context, endpoints []string, binary string, ttl time.Duration, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var mu sync.Mutex // the members write at the same time
	lines := writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return out.Write(p)
	})
	say := func(format string, args ...any) { fmt.Fprintf(lines, "-- "+format+"\n", args...) }

	// 1. A cluster, and three members, which stand one after the other.
	if len(endpoints) == 0 {
		dir, err := os.MkdirTemp("", "campaign-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		c, err := startCluster(ctx, binary, dir)
		if err != nil {
			return err
		}
		defer c.Close()
		endpoints = c.Endpoints()
		say("a cluster of %d nodes runs", len(c.Nodes()))
	}
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: endpoints, Name: "campaign show"})
	if err != nil {
		return err
	}
	defer client.Close()
	crew := &crew{endpoints: endpoints, ttl: ttl, out: lines, procs: make(map[string]*exec.Cmd)}
	defer crew.stop(os.Kill)
	for i, name := range []string{"a", "b", "c"} {
		if err := crew.start(ctx, name); err != nil {
			return err
		}
		if err := crew.waiting(ctx, client, i); err != nil {
			return err
		}
	}

	// 2. A client that follows, all the time.
	var numbers []number
	progress := make(chan number, 1000)
	followed := make(chan error, 1)
	go func() { // ends with its numbers, or with ctx
		followed <- follow(ctx, client, 3*between, 20*time.Millisecond, func(n number) { progress <- n })
		close(progress)
	}()
	until := func(n int) {
		for x := range progress {
			numbers = append(numbers, x)
			if len(numbers) >= n {
				return
			}
		}
	}

	// 3. The primary hands over to the last in line.
	until(between)
	if err := askHandover(ctx, client, "c", lines); err != nil {
		return err
	}
	// 4. The primary is killed.
	until(2 * between)
	if err := crew.kill("c"); err != nil {
		return err
	}
	say("*** kill -9 of c, the primary")
	until(3 * between)
	if err := <-followed; err != nil {
		return fmt.Errorf("the client: %w", err)
	}

	// 5. The rest leaves in order, and the numbers are looked at.
	if err := crew.stop(syscall.SIGTERM); err != nil {
		return err
	}
	return check(numbers, []string{"a", "c", "b"}, ttl+slack, lines)
}

// check says what is wrong with the numbers, if anything is: they must grow,
// come from the primaries in their order, and from the next one soon.
func check(numbers []number, order []string, gap time.Duration, out io.Writer) error {
	var wrong []error
	primaries := []string{}
	var longest time.Duration
	for i, n := range numbers {
		if len(primaries) == 0 || primaries[len(primaries)-1] != n.from {
			primaries = append(primaries, n.from)
		}
		if i == 0 {
			continue
		}
		before := numbers[i-1]
		if n.n <= before.n {
			wrong = append(wrong, fmt.Errorf("%d from %s came after %d from %s", n.n, n.from, before.n, before.from))
		}
		if n.from != before.from {
			fmt.Fprintf(out, "-- from %s to %s: %v without a number\n", before.from, n.from, n.at.Sub(before.at).Round(time.Millisecond))
		}
		longest = max(longest, n.at.Sub(before.at))
	}
	if longest > gap {
		wrong = append(wrong, fmt.Errorf("%v passed without a number: at most %v are allowed", longest, gap))
	}
	if strings.Join(primaries, " ") != strings.Join(order, " ") {
		wrong = append(wrong, fmt.Errorf("the primaries were %q, not %q", primaries, order))
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("the numbers are WRONG:\n%w", err)
	}
	fmt.Fprintf(out, "the numbers are right: %d of them, each once, from %s\n", len(numbers), strings.Join(primaries, ", then "))
	return nil
}

// crew is the members, each a process of its own.
type crew struct {
	endpoints []string
	ttl       time.Duration
	out       io.Writer
	procs     map[string]*exec.Cmd // those that were not killed, by name
}

// start starts this program once more as a member.
func (c *crew) start(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "serve", "--name", name, "--endpoints", strings.Join(c.endpoints, ","), "--ttl", c.ttl.String())
	cmd.Stdout, cmd.Stderr = c.out, os.Stderr
	cmd.SysProcAttr = cluster.ProcessAttributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start member %s: %w", name, err)
	}
	c.procs[name] = cmd
	return nil
}

// waiting waits until somebody leads and n candidates wait.
func (c *crew) waiting(ctx context.Context, client *sdk.Client, n int) error {
	for {
		e, err := client.ShowElection(ctx, election)
		if err == nil && e.Leader != nil && len(e.Candidates) == n {
			return nil
		}
		if err != nil && !errors.Is(err, sdk.ErrNotFound) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// kill kills one member with SIGKILL.
func (c *crew) kill(name string) error {
	cmd := c.procs[name]
	delete(c.procs, name)
	err := cmd.Process.Kill()
	_ = cmd.Wait()
	return err
}

// stop sends all members a signal and waits until they are gone. What went
// wrong with one is in the error.
func (c *crew) stop(sig os.Signal) error {
	var errs []error
	for _, cmd := range c.procs {
		errs = append(errs, cmd.Process.Signal(sig))
	}
	for name, cmd := range c.procs {
		if err := cmd.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("member %s: %w", name, err))
		}
		delete(c.procs, name)
	}
	return errors.Join(errs...)
}

func startCluster(ctx context.Context, binary, dir string) (*cluster.Cluster, error) {
	if binary == "" {
		var err error
		if binary, err = cluster.Build(ctx, dir); err != nil {
			return nil, err
		}
	}
	c, err := cluster.New(cluster.Config{Binary: binary, Dir: dir})
	if err != nil {
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
