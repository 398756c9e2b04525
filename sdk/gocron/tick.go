package conchcron

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// MinEvery is the shortest time between two ticks that are told apart.
const MinEvery = 10 * time.Millisecond

// ticks tells ticks apart and remembers in the cell which was run last.
type ticks struct {
	every time.Duration
	now   func() time.Time
}

func newTicks(every time.Duration) (ticks, error) {
	if every < MinEvery {
		return ticks{}, fmt.Errorf("conchcron: Every %v: the shortest time between two ticks, at least %v, is needed", every, MinEvery)
	}
	return ticks{every: every, now: time.Now}, nil
}

// due is the tick that is meant now: the nearest multiple of every.
func (t ticks) due() time.Time { return t.now().Round(t.every).UTC() }

// holder is a grant that a tick is run under: *sdk.Lock and *sdk.Leadership.
type holder interface {
	Name() string
	Token() sdk.Token
	Session() *sdk.Session
	Err() error
	Context() context.Context
}

// take writes down in key that the tick that is due runs now, under h, and
// returns that tick. ErrRan: it, or a later one, stands there. Only what holds h can write, and nobody
// beside it: a refusal of the transaction means that h was lost.
func (t ticks) take(ctx context.Context, client *sdk.Client, h holder, key string) (Run, error) {
	due := t.due()
	var mod uint64
	kv, err := client.Get(ctx, key)
	switch {
	case err == nil:
		last, err := time.Parse(time.RFC3339Nano, string(kv.Value))
		if err != nil {
			return Run{}, fmt.Errorf("conchcron: key %q should hold the time of the tick that was run last: %w", key, err)
		}
		if !due.After(last) {
			return Run{}, fmt.Errorf("%w: that of %s; the last was that of %s", ErrRan, due.Format(time.RFC3339Nano), last.Format(time.RFC3339Nano))
		}
		mod = kv.ModRevision
	case !errors.Is(err, sdk.ErrNotFound):
		return Run{}, fmt.Errorf("conchcron: %w", err)
	}
	res, err := h.Session().Txn(ctx, sdk.Txn{
		If:   []sdk.Compare{sdk.LockHeld(h.Name(), h.Token()), sdk.ModRevisionIs(key, sdk.Equal, mod)},
		Then: []sdk.Op{sdk.PutOp(key, []byte(due.Format(time.RFC3339Nano)))},
	})
	if err != nil {
		return Run{}, fmt.Errorf("conchcron: %w", err)
	}
	if !res.Succeeded {
		return Run{}, fmt.Errorf("%w: token %d of %q is not the current one", ErrLost, h.Token(), h.Name())
	}
	return Run{Token: h.Token(), Due: due}, nil
}

// run runs fn with a context that ends with ctx and, with the reason as its
// cause, when h is lost. A loss is in the error also when fn returned nil.
func run(ctx context.Context, h holder, r Run, fn Func) error {
	if err := h.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.Context(), func() { cancel(context.Cause(h.Context())) })()
	err := fn(ctx, r)
	if lost := h.Err(); lost != nil && !errors.Is(err, lost) {
		return errors.Join(fmt.Errorf("conchcron: lost while the job ran: %w", lost), err)
	}
	return err
}

// Run is one run of one tick.
type Run struct {
	// Token is the fencing token of the lead or the lock.
	Token sdk.Token
	// Due is the tick: when it was due. It is the same for whoever might run
	// it, and of a job no two runs have the same.
	Due time.Time
}

// Func is a job that is told which tick it runs, and its token. The context
// ends when the scheduler stops, and when the lead or the lock is lost; the job
// should then stop at once and must not write any more.
type Func func(ctx context.Context, r Run) error
