package cli

import (
	"bytes"
	"context"
	"iter"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/conch-lock/conch/cmd/conch/child"
	"github.com/conch-lock/conch/sdk"
)

// The test binary is also conch, and the guard of the commands that it runs.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == child.GuardArg {
		os.Exit(child.Guard(os.Args[2:]))
	}
	if os.Getenv("PLAY_CONCH") != "" {
		os.Exit(New().Run(os.Args[1:]))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector delays every exit by a second
	os.Exit(m.Run())
}

// noon is when the tests take place.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// fakeCell is a cell with set answers. Methods that are not set here panic:
// no command should have called them.
type fakeCell struct {
	//lint:ignore U1000 what is not set panics through it
	cell
	err error // of everything

	locks    []sdk.LockInfo
	history  sdk.History
	check    sdk.TokenCheck
	sessions []sdk.SessionInfo
	status   sdk.Status
	hashes   sdk.Hashes
	keys     sdk.RangeResult
	txn      sdk.TxnResult
	batches  []sdk.Batch
	session  *fakeSession
	open     func() (session, error) // instead of session

	elections []sdk.ElectionInfo
	leaders   sdk.LeaderHistory
	changes   []sdk.LeaderChange

	mu    sync.Mutex
	calls []string
}

func (f *fakeCell) called(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what)
}

func (f *fakeCell) Locks(_ context.Context, prefix string) ([]sdk.LockInfo, error) {
	f.called("locks " + prefix)
	return f.locks, f.err
}
func (f *fakeCell) ShowLock(_ context.Context, name string) (sdk.LockInfo, error) {
	for _, l := range f.locks {
		if l.Name == name {
			return l, f.err
		}
	}
	return sdk.LockInfo{}, &sdk.Error{Op: "show lock", Name: name, Code: sdk.CodeLockNotFound, Message: "nobody holds or awaits it", Definite: true}
}
func (f *fakeCell) LockHistory(context.Context, string, int) (sdk.History, error) {
	return f.history, f.err
}
func (f *fakeCell) BreakLock(_ context.Context, name string, token sdk.Token, reason string) error {
	f.called("break " + name + " " + token.String() + " " + reason)
	return f.err
}
func (f *fakeCell) CheckToken(context.Context, string, sdk.Token) (sdk.TokenCheck, error) {
	return f.check, f.err
}
func (f *fakeCell) Elections(_ context.Context, prefix string) ([]sdk.ElectionInfo, error) {
	f.called("elections " + prefix)
	return f.elections, f.err
}
func (f *fakeCell) ShowElection(_ context.Context, name string) (sdk.ElectionInfo, error) {
	for _, e := range f.elections {
		if e.Name == name {
			return e, f.err
		}
	}
	return sdk.ElectionInfo{}, &sdk.Error{Op: "show election", Name: name, Code: sdk.CodeNotFound, Message: "no such election", Definite: true}
}
func (f *fakeCell) ElectionHistory(context.Context, string, int) (sdk.LeaderHistory, error) {
	return f.leaders, f.err
}
func (f *fakeCell) Observe(context.Context, string, ...sdk.ObserveOption) iter.Seq2[sdk.LeaderChange, error] {
	return func(yield func(sdk.LeaderChange, error) bool) {
		for _, c := range f.changes {
			if !yield(c, nil) {
				return
			}
		}
		if f.err != nil {
			yield(sdk.LeaderChange{}, f.err)
		}
	}
}
func (f *fakeCell) ObservePrefix(ctx context.Context, prefix string, opts ...sdk.ObserveOption) iter.Seq2[sdk.LeaderChange, error] {
	return f.Observe(ctx, prefix, opts...)
}
func (f *fakeCell) ProclaimAs(_ context.Context, name string, token sdk.Token, value []byte) error {
	f.called("proclaim " + name + " " + token.String() + " " + string(value))
	return f.err
}
func (f *fakeCell) ResignElection(_ context.Context, name string, token sdk.Token, reason string) error {
	f.called("resign " + name + " " + token.String() + " " + reason)
	return f.err
}
func (f *fakeCell) ResignAs(_ context.Context, name string, session sdk.SessionID, token sdk.Token, reason string) error {
	f.called("resign as " + session.String() + " " + name + " " + token.String() + " " + reason)
	return f.err
}
func (f *fakeCell) TransferElection(_ context.Context, name string, token sdk.Token, to sdk.SessionID, reason string) (sdk.Token, error) {
	f.called("transfer " + name + " " + token.String() + " to " + to.String() + " " + reason)
	return 92, f.err
}
func (f *fakeCell) Sessions(context.Context) ([]sdk.SessionInfo, error) { return f.sessions, f.err }
func (f *fakeCell) ShowSession(context.Context, sdk.SessionID) (sdk.SessionInfo, error) {
	return f.sessions[0], f.err
}
func (f *fakeCell) EndSession(_ context.Context, id sdk.SessionID, reason string) error {
	f.called("end " + id.String() + " " + reason)
	return f.err
}
func (f *fakeCell) Status(context.Context) (sdk.Status, error) { return f.status, f.err }
func (f *fakeCell) Hash(context.Context) (sdk.Hashes, error)   { return f.hashes, f.err }
func (f *fakeCell) TransferLeader(_ context.Context, node string) (string, error) {
	return node, f.err
}
func (f *fakeCell) Range(context.Context, sdk.KeyRange, ...sdk.RangeOption) (sdk.RangeResult, error) {
	return f.keys, f.err
}
func (f *fakeCell) Txn(context.Context, sdk.Txn) (sdk.TxnResult, error) { return f.txn, f.err }
func (f *fakeCell) Compact(context.Context, uint64) error               { return f.err }
func (f *fakeCell) Watch(context.Context, sdk.KeyRange, ...sdk.WatchOption) iter.Seq2[sdk.Batch, error] {
	return func(yield func(sdk.Batch, error) bool) {
		for _, b := range f.batches {
			if !yield(b, nil) {
				return
			}
		}
		if f.err != nil {
			yield(sdk.Batch{}, f.err)
		}
	}
}
func (f *fakeCell) Open(context.Context, ...sdk.SessionOption) (session, error) {
	if f.open != nil {
		return f.open()
	}
	if f.session == nil {
		return nil, f.err
	}
	return f.session, nil
}
func (f *fakeCell) Close() error { f.called("close"); return nil }

// fakeSession grants what its claim says.
type fakeSession struct {
	claim  func(ctx context.Context, try bool) (held, error)
	stand  func(ctx context.Context) (leading, error)
	over   error // why it is over
	closed bool
}

func (s *fakeSession) ID() sdk.SessionID { return 17 }
func (s *fakeSession) Claim(ctx context.Context, _ string, _ ...sdk.LockOption) (held, error) {
	return s.claim(ctx, false)
}
func (s *fakeSession) TryClaim(ctx context.Context, _ string, _ ...sdk.LockOption) (held, error) {
	return s.claim(ctx, true)
}
func (s *fakeSession) Stand(ctx context.Context, _ string, _ []byte, _ ...sdk.CampaignOption) (leading, error) {
	return s.stand(ctx)
}
func (s *fakeSession) Done() <-chan struct{}       { return nil }
func (s *fakeSession) Err() error                  { return s.over }
func (s *fakeSession) Close(context.Context) error { s.closed = true; return nil }

// fakeLock is held until lose.
type fakeLock struct {
	mu       sync.Mutex
	done     chan struct{}
	err      error
	deadline time.Time
	released bool
	refuse   error // what Unlock answers
	before   sdk.Predecessor
}

func newFakeLock() *fakeLock {
	return &fakeLock{done: make(chan struct{}), deadline: time.Now().Add(time.Hour)}
}

func (l *fakeLock) lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.done)
	}
}
func (l *fakeLock) Token() sdk.Token      { return 91 }
func (l *fakeLock) Done() <-chan struct{} { return l.done }
func (l *fakeLock) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
func (l *fakeLock) Deadline() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline
}

// expireWhen lets the deadline be now once a file is there.
func (l *fakeLock) expireWhen(file string) {
	for { // ends with the condition or the test's process
		if _, err := os.Stat(file); err == nil {
			l.mu.Lock()
			l.deadline = time.Now()
			l.mu.Unlock()
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (l *fakeLock) Predecessor() sdk.Predecessor { return l.before }
func (l *fakeLock) Unlock(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released = true
	return l.refuse
}

// granting is a cell whose session is granted l at once.
func granting(l *fakeLock) *fakeCell {
	return &fakeCell{session: &fakeSession{claim: func(context.Context, bool) (held, error) { return l, nil }}}
}

// fakeLead is a leadership until lose.
type fakeLead struct{ fakeLock }

func newFakeLead() *fakeLead {
	return &fakeLead{fakeLock: fakeLock{done: make(chan struct{}), deadline: time.Now().Add(time.Hour)}}
}
func (l *fakeLead) Term() uint64                     { return 3 }
func (l *fakeLead) Resign(ctx context.Context) error { return l.Unlock(ctx) }

// electing is a cell whose session leads with one after the other, at once.
func electing(leads ...*fakeLead) *fakeCell {
	return &fakeCell{session: &fakeSession{stand: func(context.Context) (leading, error) {
		l := leads[0]
		leads = leads[1:]
		return l, nil
	}}}
}

// outcome is what a command line came to.
type outcome struct {
	code     int
	out, err string
}

// runner is an App on buffers with the environment env.
func runner(c cell, dialErr error, env map[string]string) (*App, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	a := &App{
		In: bytes.NewReader(nil), Out: &out, Err: &errs,
		Now: func() time.Time { return noon }, Zone: time.UTC,
		Getenv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		dial:   func(context.Context, sdk.Config) (cell, error) { return c, dialErr },
	}
	return a, &out, &errs
}

func run(c cell, args ...string) outcome {
	a, out, errs := runner(c, nil, nil)
	code := a.Run(args)
	return outcome{code, out.String(), errs.String()}
}
