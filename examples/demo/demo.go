package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
)

// demo is one run of the demonstration.
type demo struct {
	conch, batchjob string // programs
	files, runners  int
	pace            time.Duration
	out             io.Writer

	begin time.Time
	dir   string // temporary, with everything in it
	nodes *cluster.Cluster
}

// run sets everything up, lets it happen, checks the outcome and cleans up.
func (d *demo) run(ctx context.Context) (err error) {
	for _, program := range []string{d.conch, d.batchjob} {
		if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no program %s: make demo builds it", program)
		}
	}
	if d.dir, err = os.MkdirTemp("", "conch-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	d.begin = time.Now()
	fmt.Fprintf(d.out, "Conch: a batch job that only one of %d runners at a time may do, and a leader that is killed in the middle.\n\n", d.runners)

	// 1. A cluster of three processes.
	if d.nodes, err = cluster.New(cluster.Config{Binary: d.conch, Dir: d.dir}); err != nil {
		return err
	}
	defer d.nodes.Close()
	if err := d.nodes.Start(ctx); err != nil {
		return err
	}
	leader, err := d.nodes.Leader(ctx)
	if err != nil {
		return err
	}
	d.say("three conch serve processes are ready: %s; %s leads", strings.Join(d.nodes.Endpoints(), ", "), leader.Name)

	// 2. The work.
	filled, err := exec.CommandContext(ctx, d.batchjob, "fill", "--dir", d.batch(), "--files", fmt.Sprint(d.files)).Output()
	if err != nil {
		return fmt.Errorf("fill the inbox: %w", explained(err))
	}
	d.say("%s", strings.TrimSpace(string(filled)))

	// 3. The runners, and the leader's death when a third of it is done.
	crew, err := d.startCrew(ctx)
	defer crew.kill()
	if err != nil {
		return err
	}
	d.say("%d batchjob run processes compete for the lock \"ledger\"", d.runners)
	if err := crew.booked(ctx, d.files/3); err != nil {
		return err
	}
	if err := d.killLeader(ctx, crew); err != nil {
		return err
	}
	if err := crew.wait(ctx); err != nil {
		return err
	}
	d.say("all runners have ended by themselves")

	// 4. The outcome.
	return d.verify(ctx)
}

// killLeader kills the leader's process, waits for the work to go on, and
// starts the node again.
func (d *demo) killLeader(ctx context.Context, crew *crew) error {
	leader, err := d.nodes.Leader(ctx)
	if err != nil {
		return err
	}
	before := crew.count()
	if err := leader.Kill(); err != nil {
		return err
	}
	killed := time.Now()
	d.say("*** kill -9 of %s, the leader, after %d of %d files", leader.Name, before, d.files)
	// One file may have been under way with the lock already in hand; the one
	// after it needs a grant of the new leader.
	if err := crew.booked(ctx, before+2); err != nil {
		return err
	}
	gap := time.Since(killed)
	next, err := d.nodes.Leader(ctx)
	if err != nil {
		return err
	}
	d.say("*** %s leads now; two more files were booked within %d ms of the kill", next.Name, gap.Milliseconds())
	if err := leader.Start(); err != nil {
		return err
	}
	if err := leader.Ready(ctx); err != nil {
		return err
	}
	d.say("*** %s is back", leader.Name)
	return nil
}

func (d *demo) batch() string { return filepath.Join(d.dir, "batch") }

// say prints a line with the time since the beginning.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%6.2fs  %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

// explained adds to the failure of a program what it said.
func explained(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
