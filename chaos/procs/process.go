//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// asClient names the environment variable that makes this program a client
// process: a worker, spelt as JSON.
const asClient = "CONCH_CHAOS_CLIENT"

// message is one line that a client process tells.
type message struct {
	Begin   *check.Operation
	End     *check.Operation
	ID      int // of the operation, within this life of the process
	Until   check.Time
	Session *check.Session
	Queue   *check.Queue
	Told    *check.Told
	Loss    *loss
	Count   string
	Write   string // the name of the lock, with
	Token   sdk.Token
	Armed   bool // it has looked at its lock, and stops before it writes
	Done    bool
}

// teller records by telling the process that started this one.
type teller struct {
	mu  sync.Mutex
	out *json.Encoder
	ids int
}

func (t *teller) tell(m message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.out.Encode(m) // when nobody reads, this process is about to be killed
}

func (t *teller) Begin(o check.Operation) int {
	t.mu.Lock()
	t.ids++
	id := t.ids
	t.mu.Unlock()
	t.tell(message{Begin: &o, ID: id})
	return id
}

func (t *teller) End(id int, o check.Operation)  { t.tell(message{End: &o, ID: id}) }
func (t *teller) Until(id int, until check.Time) { t.tell(message{Until: until, ID: id}) }
func (t *teller) Session(s check.Session)        { t.tell(message{Session: &s}) }
func (t *teller) Queue(q check.Queue)            { t.tell(message{Queue: &q}) }
func (t *teller) Told(x check.Told)              { t.tell(message{Told: &x}) }
func (t *teller) lost(l loss)                    { t.tell(message{Loss: &l}) }
func (t *teller) count(s string)                 { t.tell(message{Count: s}) }
func (t *teller) write(name string, token sdk.Token) error {
	t.tell(message{Write: name, Token: token})
	return nil // nobody waits to hear whether it was refused
}

func (t *teller) doomed(sdk.SessionID, sdk.Token) bool { return false }

// clientProcess is the main function of a client process.
func clientProcess(spec string) int {
	w := &worker{}
	if err := json.Unmarshal([]byte(spec), w); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	t := &teller{out: json.NewEncoder(os.Stdout)}
	w.to = t
	if w.Kind == "paused" {
		if err := w.beStopped(ctx, t); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	w.work(ctx)
	t.tell(message{Done: true})
	return 0
}

// beStopped takes the lock, looks whether it still has it, stops the whole
// process, and writes when it is continued.
func (w *worker) beStopped(ctx context.Context, t *teller) error {
	c, err := sdk.Dial(ctx, sdk.Config{Endpoints: w.Endpoints, Name: w.Name})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.NewSession(ctx, sdk.WithTTL(w.TTL))
	if err != nil {
		return err
	}
	calls := &recorder.Client{Name: w.Name, Sink: t, Now: now}
	l, err := calls.Lock(ctx, s, false, one(pausedLock))
	if err != nil {
		return err
	}
	if err := l.Err(); err != nil {
		return err
	}
	t.tell(message{Armed: true, Token: l.Token()})
	if err := stopSelf(); err != nil {
		return err
	}
	t.tell(message{Write: pausedLock, Token: l.Token()})
	if l.Err() == nil {
		return errors.New("it was stopped for longer than its session lives and believes in its lock")
	}
	t.tell(message{Done: true})
	return nil
}

// stopSelf stops this process and returns when it was continued. The signal
// takes effect a little after it was sent: that it has shows in a hole in time.
func stopSelf() error {
	const hole = 100 * time.Millisecond
	began := now()
	if err := unix.Kill(os.Getpid(), unix.SIGSTOP); err != nil {
		return err
	}
	for last := began; ; {
		time.Sleep(time.Millisecond)
		t := now()
		switch {
		case t-last > hole:
			return nil
		case t-began > 10*time.Second:
			return errors.New("SIGSTOP has not stopped this process")
		}
		last = t
	}
}

// process is a client that runs as a process of its own.
type process struct {
	worker *worker // what it does; its recorder takes what it tells
	hear   func(message)
	errors io.Writer

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// start starts it; it must not run.
func (p *process) start() error {
	spec, err := json.Marshal(p.worker)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asClient+"="+string(spec))
	cmd.SysProcAttr = cluster.ProcessAttributes()
	cmd.Stderr = p.errors
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start client %s: %w", p.worker.Name, err)
	}
	done := make(chan struct{})
	ids := map[int]int{} // of this life's operations in the history
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	go func() { // ends with the process
		defer close(done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var m message
			if json.Unmarshal(lines.Bytes(), &m) == nil {
				p.take(m, ids)
			}
		}
		_ = cmd.Wait()
	}()
	return nil
}

// take hands on what the process told.
func (p *process) take(m message, ids map[int]int) {
	w := p.worker
	switch {
	case m.Begin != nil:
		ids[m.ID] = w.to.Begin(*m.Begin)
	case m.End != nil:
		w.to.End(ids[m.ID], *m.End)
		if k := m.End.Kind; m.End.Outcome == check.Done && (k == check.Acquire || k == check.Campaign || k == check.Keys) {
			w.grants.Add(1)
		}
	case m.Until != 0:
		w.to.Until(ids[m.ID], m.Until)
		delete(ids, m.ID)
	case m.Session != nil:
		w.to.Session(*m.Session)
	case m.Queue != nil:
		w.to.Queue(*m.Queue)
	case m.Told != nil:
		w.to.Told(*m.Told)
	case m.Loss != nil:
		w.to.lost(*m.Loss)
	case m.Count != "":
		w.to.count(m.Count)
	case m.Write != "":
		_ = w.to.write(m.Write, m.Token)
	}
	if p.hear != nil {
		p.hear(m)
	}
}

func (p *process) signal(sig os.Signal) error {
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd == nil {
		return errors.New("it was never started")
	}
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("client %s: send %v: %w", p.worker.Name, sig, err)
	}
	return nil
}

// kill ends it at once and waits until everything that it told is taken in.
func (p *process) kill() {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done == nil {
		return
	}
	_ = p.signal(os.Kill)
	<-done
}
