package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
)

// slack is what a tick may be late by, on a machine that has other things to do.
const slack = time.Second

// ticksBetween is how many ticks run before each kill, and after the last.
const ticksBetween = 4

// show runs workers against a cluster, kills the one that runs, and checks what
// they wrote.
func show(ctx context.Context, s settings, binary string, kills int, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "cronleader-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var mu sync.Mutex // the workers write at the same time
	lines := writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return out.Write(p)
	})
	say := func(format string, args ...any) { fmt.Fprintf(lines, "-- "+format+"\n", args...) }

	// 1. A cluster and a database.
	if len(s.endpoints) == 0 && s.by != byNothing {
		c, err := startCluster(ctx, binary, dir)
		if err != nil {
			return err
		}
		defer c.Close()
		s.endpoints = c.Endpoints()
		say("a cluster of %d nodes runs", len(c.Nodes()))
	}
	if s.db == "" {
		s.db = filepath.Join(dir, "ticks.db")
	}
	db, err := open(ctx, s.db)
	if err != nil {
		return err
	}
	defer db.Close()

	// 2. Three workers.
	crew := &crew{settings: s, out: lines, procs: make(map[string]*exec.Cmd)}
	defer crew.stop(os.Kill)
	for range 3 {
		if err := crew.hire(ctx); err != nil {
			return err
		}
	}

	// 3. The one that runs is killed, and another one takes its place in line.
	count := 0
	for range kills {
		last, err := crew.ran(ctx, db, count+ticksBetween)
		if err != nil {
			return err
		}
		if err := crew.kill(last.worker); err != nil {
			return err
		}
		say("*** kill -9 of %s, which ran the last tick, under token %d", last.worker, last.token)
		if err := crew.hire(ctx); err != nil {
			return err
		}
		all, err := rows(ctx, db)
		if err != nil {
			return err
		}
		count = len(all)
		next, err := crew.ran(ctx, db, count+1)
		if err != nil {
			return err
		}
		say("*** %s runs now, under token %d: %v after the tick before, with a time to live of %v", next.worker, next.token, next.due.Sub(last.due), s.ttl)
	}
	if _, err := crew.ran(ctx, db, count+ticksBetween); err != nil {
		return err
	}

	// 4. All leave in order, and the rows are looked at.
	if err := crew.stop(syscall.SIGTERM); err != nil {
		return err
	}
	return check(ctx, s, s.ttl+2*s.every+slack, lines)
}

// crew is the workers, each a process of its own.
type crew struct {
	settings
	out   io.Writer
	hired int
	procs map[string]*exec.Cmd // those that were not killed, by name
}

// hire starts this program once more as a worker.
func (c *crew) hire(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.hired++
	name := fmt.Sprintf("w%d", c.hired)
	cmd := exec.CommandContext(ctx, self, "run", "--name", name, "--db", c.db, "--by", c.by, "--every", c.every.String(),
		"--ttl", c.ttl.String(), "--endpoints", strings.Join(c.endpoints, ","))
	cmd.Stdout, cmd.Stderr = c.out, os.Stderr
	cmd.SysProcAttr = cluster.ProcessAttributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start worker %s: %w", name, err)
	}
	c.procs[name] = cmd
	return nil
}

// ran waits until so many ticks have run, and returns the last one.
func (c *crew) ran(ctx context.Context, db *sql.DB, n int) (row, error) {
	for {
		all, err := rows(ctx, db)
		if err != nil {
			return row{}, err
		}
		if len(all) >= n {
			return all[len(all)-1], nil
		}
		select {
		case <-ctx.Done():
			return row{}, fmt.Errorf("%d ticks of %d ran: %w", len(all), n, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill kills one worker with SIGKILL.
func (c *crew) kill(name string) error {
	cmd := c.procs[name]
	if cmd == nil {
		return fmt.Errorf("worker %s, which ran a tick, does not run", name)
	}
	delete(c.procs, name)
	err := cmd.Process.Kill()
	_ = cmd.Wait()
	return err
}

// stop sends all workers a signal and waits until they are gone. What went
// wrong with one is in the error.
func (c *crew) stop(sig os.Signal) error {
	var errs []error
	for _, cmd := range c.procs {
		errs = append(errs, cmd.Process.Signal(sig))
	}
	for name, cmd := range c.procs {
		if err := cmd.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("worker %s: %w", name, err))
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
