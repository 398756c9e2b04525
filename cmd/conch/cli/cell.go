package cli

import (
	"context"
	"iter"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// cell is what commands ask of a cluster. *sdk.Client does it; tests put a
// fake one in.
type cell interface {
	Locks(ctx context.Context, prefix string) ([]sdk.LockInfo, error)
	ShowLock(ctx context.Context, name string) (sdk.LockInfo, error)
	LockHistory(ctx context.Context, name string, limit int) (sdk.History, error)
	BreakLock(ctx context.Context, name string, token sdk.Token, reason string) error
	CheckToken(ctx context.Context, name string, token sdk.Token) (sdk.TokenCheck, error)

	Elections(ctx context.Context, prefix string) ([]sdk.ElectionInfo, error)
	ShowElection(ctx context.Context, name string) (sdk.ElectionInfo, error)
	ElectionHistory(ctx context.Context, name string, limit int) (sdk.LeaderHistory, error)
	Observe(ctx context.Context, name string, opts ...sdk.ObserveOption) iter.Seq2[sdk.LeaderChange, error]
	ObservePrefix(ctx context.Context, prefix string, opts ...sdk.ObserveOption) iter.Seq2[sdk.LeaderChange, error]
	ProclaimAs(ctx context.Context, name string, token sdk.Token, value []byte) error
	ResignElection(ctx context.Context, name string, token sdk.Token, reason string) error
	ResignAs(ctx context.Context, name string, session sdk.SessionID, token sdk.Token, reason string) error
	TransferElection(ctx context.Context, name string, token sdk.Token, to sdk.SessionID, reason string) (sdk.Token, error)

	Sessions(ctx context.Context) ([]sdk.SessionInfo, error)
	ShowSession(ctx context.Context, id sdk.SessionID) (sdk.SessionInfo, error)
	EndSession(ctx context.Context, id sdk.SessionID, reason string) error

	Status(ctx context.Context) (sdk.Status, error)
	Hash(ctx context.Context) (sdk.Hashes, error)
	TransferLeader(ctx context.Context, node string) (string, error)

	Range(ctx context.Context, keys sdk.KeyRange, opts ...sdk.RangeOption) (sdk.RangeResult, error)
	Txn(ctx context.Context, t sdk.Txn) (sdk.TxnResult, error)
	Compact(ctx context.Context, revision uint64) error
	Watch(ctx context.Context, keys sdk.KeyRange, opts ...sdk.WatchOption) iter.Seq2[sdk.Batch, error]

	Open(ctx context.Context, opts ...sdk.SessionOption) (session, error)
	Close() error
}

// session is a session that this process keeps alive.
type session interface {
	ID() sdk.SessionID
	Claim(ctx context.Context, name string, opts ...sdk.LockOption) (held, error)
	TryClaim(ctx context.Context, name string, opts ...sdk.LockOption) (held, error)
	Stand(ctx context.Context, name string, value []byte, opts ...sdk.CampaignOption) (leading, error)
	Done() <-chan struct{}
	Err() error
	Close(ctx context.Context) error
}

// tenure is what this process holds until it gives it back or loses it.
type tenure interface {
	Token() sdk.Token
	Done() <-chan struct{}
	Err() error
	Deadline() time.Time
	Predecessor() sdk.Predecessor
}

// held is a lock that this process holds; *sdk.Lock is one.
type held interface {
	tenure
	Unlock(ctx context.Context) error
}

// leading is a leadership of this process; *sdk.Leadership is one.
type leading interface {
	tenure
	Term() uint64
	Resign(ctx context.Context) error
}

// dialSDK connects with the client library.
func dialSDK(ctx context.Context, cfg sdk.Config) (cell, error) {
	c, err := sdk.Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

type client struct{ *sdk.Client }

func (c client) Open(ctx context.Context, opts ...sdk.SessionOption) (session, error) {
	s, err := c.NewSession(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return openSession{s}, nil
}

type openSession struct{ *sdk.Session }

func (s openSession) Claim(ctx context.Context, name string, opts ...sdk.LockOption) (held, error) {
	return orNil(s.Lock(ctx, name, opts...))
}

func (s openSession) TryClaim(ctx context.Context, name string, opts ...sdk.LockOption) (held, error) {
	return orNil(s.TryLock(ctx, name, opts...))
}

func (s openSession) Stand(ctx context.Context, name string, value []byte, opts ...sdk.CampaignOption) (leading, error) {
	l, err := s.Campaign(ctx, name, value, opts...)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// orNil keeps a nil *sdk.Lock from becoming a held that is not nil.
func orNil(l *sdk.Lock, err error) (held, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}
