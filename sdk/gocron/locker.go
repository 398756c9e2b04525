package conchcron

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/conch-lock/conch/sdk"
)

// DefaultPrefix is in front of the names of locks and keys.
const DefaultPrefix = "gocron/"

// LockerConfig says how a Locker locks. Every is needed.
type LockerConfig struct {
	// Every is the shortest time between two ticks of a job that is locked
	// here; see the package's promise. Jobs of very different schedules should
	// have a locker each.
	Every time.Duration
	// Prefix comes before the job's name in the name of its lock, and of the
	// key of its last tick; empty: DefaultPrefix. Schedules that have nothing
	// to do with each other need different ones.
	Prefix string
	// TTL is after how long without a sign of life a process loses its locks:
	// 500 ms to 24 h; 0: 10 s.
	TTL time.Duration
	// Labels are shown to operators with the session.
	Labels map[string]string
}

// Locker is a gocron.Locker. It is safe for concurrent use.
type Locker struct {
	client  *sdk.Client
	prefix  string
	ticks   ticks
	session *session

	mu   sync.Mutex
	held map[string]*heldLock // by job name
}

var _ gocron.Locker = (*Locker)(nil)

// NewLocker returns a Locker on a client, which must outlive it. Nothing is
// asked of the cell yet.
func NewLocker(client *sdk.Client, cfg LockerConfig) (*Locker, error) {
	t, err := newTicks(cfg.Every)
	if err != nil {
		return nil, err
	}
	s, err := newSession(client, cfg.TTL, cfg.Labels)
	if err != nil {
		return nil, err
	}
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	return &Locker{client: client, prefix: cfg.Prefix, ticks: t, session: s, held: make(map[string]*heldLock)}, nil
}

// Lock takes the lock of a job for the tick that is due, or says why it does
// not run here: ErrLocked, ErrRan, or what went wrong. It does not wait for
// others, and not for half of Every for the cell, since then the tick is past.
func (l *Locker) Lock(ctx context.Context, key string) (gocron.Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, l.ticks.every/2)
	defer cancel()
	s, err := l.session.get(ctx)
	if err != nil {
		return nil, err
	}
	lock, err := s.TryLock(ctx, l.prefix+key)
	if errors.Is(err, sdk.ErrHeld) {
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if err != nil {
		return nil, fmt.Errorf("conchcron: %w", err)
	}
	r, err := l.ticks.take(ctx, l.client, lock, l.prefix+key+"/last")
	if err != nil {
		unlock(ctx, lock)
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &heldLock{locker: l, key: key, lock: lock, run: r}
	l.held[key] = h
	return h, nil
}

// Task makes the function of the job named key. gocron.NewTask takes it: fn is
// told the tick and the token of the lock under which it runs. It returns ErrLost, and does
// not call fn, when the job is not locked by this Locker; was it perhaps given
// another name with gocron.WithName?
func (l *Locker) Task(key string, fn Func) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		l.mu.Lock()
		h := l.held[key]
		l.mu.Unlock()
		if h == nil {
			return fmt.Errorf("%w: no job %q is locked here", ErrLost, key)
		}
		return run(ctx, h.lock, h.run, fn)
	}
}

// Close releases what is locked and ends the session. Locks that are asked for
// later are refused with ErrClosed.
func (l *Locker) Close(ctx context.Context) error { return l.session.close(ctx) }

// heldLock is a gocron.Lock.
type heldLock struct {
	locker *Locker
	key    string
	lock   *sdk.Lock
	run    Run
}

// Unlock releases the lock. gocron calls it with a context that is over when
// the scheduler stops, which is no reason to let others wait.
func (h *heldLock) Unlock(ctx context.Context) error {
	h.locker.mu.Lock()
	if h.locker.held[h.key] == h {
		delete(h.locker.held, h.key)
	}
	h.locker.mu.Unlock()
	return unlock(ctx, h.lock)
}

func unlock(ctx context.Context, lock *sdk.Lock) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return lock.Unlock(ctx)
}
