package sdk

import (
	"context"
	"iter"
	"time"

	"github.com/conch-lock/conch/api"
)

// Client talks to one cell over one connection. It is safe for concurrent use.
type Client struct{ cfg Config }

type kind int

const (
	repeatable kind = iota
	anytime
	once
)

func Dial(ctx context.Context, cfg Config) (*Client, error) { return nil, nil }
func (c *Client) Close() error                              { return nil }
func (c *Client) call(ctx context.Context, op, name string, req *api.Request, k kind) (*api.Response, error) {
	return nil, nil
}
func (c *Client) NewSession(ctx context.Context, opts ...SessionOption) (*Session, error) {
	return nil, nil
}
func (c *Client) Do(ctx context.Context, name string, fn func(ctx context.Context, token Token) error, opts ...LockOption) error {
	return nil
}
func (c *Client) Watch(ctx context.Context, keys KeyRange, opts ...WatchOption) iter.Seq2[Batch, error] {
	return nil
}

// Batch is the changes of one or several whole revisions, in order.
type Batch struct {
	Events   []Event
	Revision uint64 // everything up to here has been delivered
}

// Event is one change of one key.
type Event struct {
	Deleted bool
	KV      KeyValue
	Prev    *KeyValue // with WithPrev; nil: there was none
	Time    time.Time // of the cell's leader
}

type Session struct{}

type State int

const (
	Healthy State = iota
	Jeopardy
	Lost
)

func (s State) String() string                                { return "" }
func (s *Session) ID() SessionID                              { return 0 }
func (s *Session) TTL() time.Duration                         { return 0 }
func (s *Session) Done() <-chan struct{}                      { return nil }
func (s *Session) Err() error                                 { return nil }
func (s *Session) Deadline() time.Time                        { return time.Time{} }
func (s *Session) State() State                               { return 0 }
func (s *Session) States(ctx context.Context) iter.Seq[State] { return nil }
func (s *Session) Close(ctx context.Context) error            { return nil }
func (s *Session) Lock(ctx context.Context, name string, opts ...LockOption) (*Lock, error) {
	return nil, nil
}
func (s *Session) TryLock(ctx context.Context, name string, opts ...LockOption) (*Lock, error) {
	return nil, nil
}
func (s *Session) Txn(ctx context.Context, t Txn) (TxnResult, error) { return TxnResult{}, nil }

type Lock struct{}

func (l *Lock) Name() string                     { return "" }
func (l *Lock) Names() []string                  { return nil }
func (l *Lock) Token() Token                     { return 0 }
func (l *Lock) Session() *Session                { return nil }
func (l *Lock) Revision() uint64                 { return 0 }
func (l *Lock) Since() time.Time                 { return time.Time{} }
func (l *Lock) Predecessor() Predecessor         { return Predecessor{} }
func (l *Lock) Done() <-chan struct{}            { return nil }
func (l *Lock) Err() error                       { return nil }
func (l *Lock) Context() context.Context         { return nil }
func (l *Lock) Deadline() time.Time              { return time.Time{} }
func (l *Lock) Unlock(ctx context.Context) error { return nil }

// Predecessor tells how the last holder of the lock ended.
type Predecessor struct {
	Token   Token
	Session SessionID
	Ended   EndReason // empty: there was none
}
