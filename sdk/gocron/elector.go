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

// ElectorConfig says what an Elector stands for. Election and Every are needed.
type ElectorConfig struct {
	// Election is the name of the election; all processes of a schedule stand
	// in the same one.
	Election string
	// Every is the shortest time between two ticks of a job; see the package's
	// promise. It matters to Task alone.
	Every time.Duration
	// Options say how to stand, such as with a value for observers
	// (sdk.WithValue) or a priority.
	Options []sdk.CampaignOption
}

// Elector is a gocron.Elector. It stands in the election until it is closed,
// again and again, and is safe for concurrent use.
type Elector struct {
	client *sdk.Client
	cfg    ElectorConfig
	ticks  ticks

	stop context.CancelFunc
	done chan struct{} // closed when it does not stand any more

	mu   sync.Mutex
	lead *sdk.Leadership // nil: it does not lead
	err  error           // why it does not stand any more; nil: it does
	told chan struct{}   // closed and replaced when lead changes
}

var _ gocron.Elector = (*Elector)(nil)

// NewElector begins to stand in the election, in the background, until Close.
// The client must outlive it; after how long without a sign of life this
// process is replaced as the leader is the SessionTTL of the client's Config.
func NewElector(client *sdk.Client, cfg ElectorConfig) (*Elector, error) {
	t, err := newTicks(cfg.Every)
	if err != nil {
		return nil, err
	}
	if cfg.Election == "" {
		return nil, errors.New("conchcron: Election is empty: the name of an election is needed")
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Elector{client: client, cfg: cfg, ticks: t, stop: stop, done: make(chan struct{}), told: make(chan struct{})}
	go e.stand(ctx)
	return e, nil
}

// stand stands again and again until ctx ends, or that is pointless.
func (e *Elector) stand(ctx context.Context) {
	defer close(e.done)
	err := e.client.Lead(ctx, e.cfg.Election, func(ctx context.Context, _ sdk.Token) error {
		l, _ := sdk.LeadershipOf(ctx)
		e.tell(l)
		<-ctx.Done()
		e.tell(nil)
		return context.Cause(ctx)
	}, e.cfg.Options...)
	if ctx.Err() != nil {
		err = ErrClosed
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

func (e *Elector) tell(l *sdk.Leadership) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lead = l
	close(e.told)
	e.told = make(chan struct{})
}

// IsLeader returns nil while this process leads, and otherwise an error in
// which errors.Is finds ErrNotLeader, and why it stands no more if it does not.
// It asks nobody and looks at the clock itself, so that a process which was
// suspended does not believe in what it was.
func (e *Elector) IsLeader(context.Context) error {
	_, err := e.leadership()
	return err
}

func (e *Elector) leadership() (*sdk.Leadership, error) {
	e.mu.Lock()
	l, err := e.lead, e.err
	e.mu.Unlock()
	if l != nil {
		if err = l.Err(); err == nil {
			return l, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	return nil, ErrNotLeader
}

// Lead waits until this process leads and returns its leadership, for whoever
// wants to proclaim a value or hand over. The error is that of the context, or
// why it stands no more, such as ErrClosed.
func (e *Elector) Lead(ctx context.Context) (*sdk.Leadership, error) {
	for {
		e.mu.Lock()
		l, told := e.lead, e.told
		e.mu.Unlock()
		if l != nil && l.Err() == nil {
			return l, nil
		}
		select {
		case <-told:
		case <-e.done:
			e.mu.Lock()
			defer e.mu.Unlock()
			return nil, e.err
		case <-ctx.Done():
			return nil, fmt.Errorf("conchcron: wait to lead %q: %w", e.cfg.Election, context.Cause(ctx))
		}
	}
}

// Task makes the function of the job of that name, which gocron.NewTask takes:
// fn is told the tick and the token of the leadership under which it runs. The tick is
// written down first, and a tick that was run is not run again: the function
// then returns ErrRan without calling fn, and ErrNotLeader or ErrLost when this
// process does not lead any more.
//
// Jobs that are given to gocron without Task run under the promise of the
// elector alone, which is that nobody else leads.
func (e *Elector) Task(job string, fn Func) func(ctx context.Context) error {
	key := DefaultPrefix + e.cfg.Election + "/" + job + "/last"
	return func(ctx context.Context) error {
		l, err := e.leadership()
		if err != nil {
			return err
		}
		r, err := e.write(ctx, l, key)
		if err != nil {
			return err
		}
		return run(ctx, l, r, fn)
	}
}

// write writes the tick down within half of Every: then it is past.
func (e *Elector) write(ctx context.Context, l *sdk.Leadership, key string) (Run, error) {
	ctx, cancel := context.WithTimeout(ctx, e.ticks.every/2)
	defer cancel()
	return e.ticks.take(ctx, e.client, l, key)
}

// Close resigns, if it leads, and stands no more: jobs of Task that are under
// way have their contexts cancelled. Calling it again waits on.
func (e *Elector) Close(ctx context.Context) error {
	e.stop()
	select {
	case <-e.done:
	case <-ctx.Done():
		return fmt.Errorf("conchcron: close: %w", context.Cause(ctx))
	}
	return nil
}
