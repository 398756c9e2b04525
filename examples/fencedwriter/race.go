package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
)

// The payments of the race.
const (
	firstBalance = 100_00
	earlyCents   = 5_00  // of the writer that is paused
	lateCents    = 10_00 // of the one that gets in meanwhile
)

// race stops a writer between its last look at the lock and its write, lets
// another one in, and says whether the outcome is the one that the fence, or
// its absence, leads to.
func race(ctx context.Context, s settings, binary string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "fencedwriter-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	say := func(format string, args ...any) { fmt.Fprintf(out, "-- "+format+"\n", args...) }

	// 1. A cluster and a database.
	if len(s.endpoints) == 0 {
		c, err := startCluster(ctx, binary, dir)
		if err != nil {
			return err
		}
		defer c.Close()
		s.endpoints = c.Endpoints()
		say("a cluster of %d nodes runs for this race", len(c.Nodes()))
	}
	if s.dsn == "" {
		s.dsn = filepath.Join(dir, "accounts.db")
	}
	if err := prepare(ctx, s, firstBalance); err != nil {
		return err
	}
	say("the account %q has %s", s.account, money(firstBalance))

	// 2. Early holds the lock, has read, and is about to write.
	early, err := start(ctx, s, "early", earlyCents, out, "--hold")
	if err != nil {
		return err
	}
	defer early.kill()
	if err := early.until(atTheGate); err != nil {
		return err
	}

	// 3. It is stopped, for longer than its session lives.
	if err := early.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop early: %w", err)
	}
	say("early is stopped with SIGSTOP; the cell will not hear of it for longer than %v", s.ttl)

	// 4. Late waits in line, gets the lock when that time is over, and writes.
	late, err := start(ctx, s, "late", lateCents, out)
	if err != nil {
		return err
	}
	defer late.kill()
	if err := late.wait(); err != nil {
		return err
	}

	// 5. Early wakes up.
	say("early wakes up with SIGCONT")
	if _, err := io.WriteString(early.in, "\n"); err != nil {
		return err
	}
	if err := early.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("wake early: %w", err)
	}
	if err := early.wait(); err != nil {
		return err
	}
	return judge(ctx, s, say)
}

// judge compares the balance with what it must be.
func judge(ctx context.Context, s settings, say func(string, ...any)) error {
	db, err := open(ctx, s.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	got, err := balance(ctx, db, s.account)
	if err != nil {
		return err
	}
	all, lost := int64(firstBalance+earlyCents+lateCents), int64(firstBalance+earlyCents)
	switch {
	case s.fence && got == all:
		say("the account has %s: both payments are there, the late write was refused", money(got))
	case !s.fence && got == lost:
		say("the account has %s instead of %s: without a fence the payment of %s is LOST, as was to be shown", money(got), money(all), money(lateCents))
	default:
		want := all
		if !s.fence {
			want = lost
		}
		return fmt.Errorf("the account has %s, and with --fence=%t it should have %s", money(got), s.fence, money(want))
	}
	return nil
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

// process is a writer in a process of its own.
type process struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string   // what it says, passed on already
	done  chan struct{} // closed when it has ended
	err   error         // how; valid once done is closed
}

// start starts this program once more as a writer.
func start(ctx context.Context, s settings, name string, cents int64, out io.Writer, more ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	fenced := "off"
	if s.fence {
		fenced = "on"
	}
	args := append([]string{
		"write", "--name", name, "--cents", strconv.FormatInt(cents, 10), "--dsn", s.dsn, "--account", s.account,
		"--endpoints", strings.Join(s.endpoints, ","), "--ttl", s.ttl.String(), "--fence", fenced,
	}, more...)
	p := &process{name: name, cmd: exec.CommandContext(ctx, self, args...), lines: make(chan string, 100), done: make(chan struct{})}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	said, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process
		scan := bufio.NewScanner(said)
		for scan.Scan() {
			fmt.Fprintln(out, scan.Text())
			select {
			case p.lines <- scan.Text():
			default: // nobody waits for so many
			}
		}
		p.err = p.cmd.Wait()
		close(p.lines)
		close(p.done)
	}()
	return p, nil
}

// until waits for a line that ends in the words.
func (p *process) until(words string) error {
	for line := range p.lines {
		if strings.HasSuffix(line, words) {
			return nil
		}
	}
	<-p.done
	return fmt.Errorf("%s ended before it said %q: %v", p.name, words, p.err)
}

func (p *process) wait() error {
	<-p.done
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}
