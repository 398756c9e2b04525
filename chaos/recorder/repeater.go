package recorder

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/chaos/check"
)

// Repeater makes calls without the Go client and asks for each of them several
// times: at any node, one attempt after the other and two beside each other, also
// when the answer is known. The SDK repeats requests, too, but tells one answer;
// here each is written down under the request's name, its session and sequence,
// and they must be the same.
type Repeater struct {
	Name      string
	Sink      Sink
	Now       func() check.Time
	Dial      func(ctx context.Context, endpoint string) (net.Conn, error)
	Endpoints []string
	Rand      *mathrand.Rand
	Value     func() string // one that nobody has written before
	Prefix    string        // of the keys and the lock that it uses
	Answered  func()        // is told of every request that was answered

	mu    sync.Mutex
	token uint64 // of the lock; 0: it is not known to be held
	over  bool   // the session is
}

const (
	repeaterTTL   = 8 * time.Second         // nothing keeps its session alive
	repeaterLife  = 5 * time.Second         // for so long it is used
	patientCall   = 1500 * time.Millisecond // an attempt that is to be answered
	hastyMillis   = 30                      // one that is given up soon, up to
	mostAttempts  = 5                       // of a request that is not answered
	repeaterPause = 60 * time.Millisecond   // between requests
)

// Live opens a session, uses it for a while and closes it.
func (r *Repeater) Live(ctx context.Context) {
	session, err := r.open(ctx)
	if err != nil {
		return
	}
	r.token, r.over = 0, false
	end := r.Now() + repeaterLife
	for sequence := uint64(1); ctx.Err() == nil && r.Now() < end && !r.over; sequence++ {
		if !r.request(ctx, session, sequence) {
			break // what comes after it would acknowledge it
		}
		r.Answered()
		rest(ctx, repeaterPause)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patientCall)
	defer cancel()
	_ = r.call(closing, func(ctx context.Context, c api.DRPCConchClient) error { // it expires otherwise
		_, err := c.CloseSession(ctx, &api.CloseSessionRequest{Session: session})
		return err
	})
}

func (r *Repeater) open(ctx context.Context) (session uint64, err error) {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patientCall)
	defer cancel()
	err = r.call(ctx, func(ctx context.Context, c api.DRPCConchClient) error {
		opened, err := c.OpenSession(ctx, &api.OpenSessionRequest{Nonce: nonce, TtlMs: uint64(repeaterTTL.Milliseconds())})
		session = opened.GetSession()
		return err
	})
	return session, err
}

// request asks for one thing until it was answered, and then once more or twice.
func (r *Repeater) request(ctx context.Context, session, sequence uint64) (known bool) {
	ask := r.choose(session, sequence)
	more := 1 + r.Rand.IntN(2)
	for attempt := 0; attempt < mostAttempts && more > 0 && ctx.Err() == nil && !r.over; attempt++ {
		limit := patientCall
		if attempt == 0 && r.Rand.IntN(3) == 0 {
			limit = time.Duration(1+r.Rand.IntN(hastyMillis)) * time.Millisecond
		}
		beside := r.Rand.IntN(4) == 0
		var wg sync.WaitGroup
		var second bool
		if beside {
			node := r.Rand.IntN(len(r.Endpoints))
			wg.Go(func() { second = r.attempt(ctx, node, r.Name+" beside", ask, limit) })
		}
		first := r.attempt(ctx, r.Rand.IntN(len(r.Endpoints)), r.Name, ask, limit)
		wg.Wait()
		if first || second || known {
			known = true
			more--
		}
	}
	return known
}

// asking is one request, which may be made several times.
type asking struct {
	operation check.Operation
	do        func(ctx context.Context, c api.DRPCConchClient, o *check.Operation) error
}

// choose makes up a request.
func (r *Repeater) choose(session, sequence uint64) asking {
	o := check.Operation{Session: session, Sequence: sequence}
	key := fmt.Sprintf("%s/%d", r.Prefix, r.Rand.IntN(3))
	switch n := r.Rand.IntN(6); {
	case n < 2 && r.token == 0:
		return r.lock(o)
	case n < 2:
		return r.unlock(o)
	case n == 2:
		o.Txn = &check.Txn{Then: []check.KeyOp{{Action: check.Delete, Key: key}}}
	case n == 3: // only if it is there
		o.Txn = &check.Txn{
			If:   []check.Compare{{Target: check.VersionOf, Is: ">", Key: key}},
			Then: []check.KeyOp{{Action: check.Put, Key: key, Value: r.Value()}, {Action: check.Get, Key: key}},
			Else: []check.KeyOp{{Action: check.Get, Key: key}},
		}
	default:
		o.Txn = &check.Txn{Then: []check.KeyOp{{Action: check.Get, Key: key}, {Action: check.Put, Key: key, Value: r.Value()}}}
	}
	o.Kind = check.Keys
	return asking{o, func(ctx context.Context, c api.DRPCConchClient, o *check.Operation) error {
		got, err := c.Txn(ctx, wireTxn(o))
		if err == nil {
			o.Revision, o.Result = got.GetRevision(), wireResult(got)
		}
		return err
	}}
}

func (r *Repeater) lock(o check.Operation) asking {
	o.Kind, o.Claim = check.Acquire, []check.Item{{Name: r.Prefix}}
	return asking{o, func(ctx context.Context, c api.DRPCConchClient, o *check.Operation) error {
		got, err := c.Acquire(ctx, &api.AcquireRequest{
			Session: o.Session, Sequence: o.Sequence, Acked: o.Sequence - 1, Items: []*api.ClaimItem{{Name: o.Claim[0].Name}}, Try: true,
		})
		if err == nil {
			o.Token, o.Revision = got.GetToken(), got.GetRevision()
			r.mu.Lock()
			r.token = o.Token
			r.mu.Unlock()
		}
		return err
	}}
}

func (r *Repeater) unlock(o check.Operation) asking {
	o.Kind, o.Claim, o.Token = check.Release, []check.Item{{Name: r.Prefix}}, r.token
	return asking{o, func(ctx context.Context, c api.DRPCConchClient, o *check.Operation) error {
		got, err := c.Release(ctx, &api.ReleaseRequest{
			Session: o.Session, Sequence: o.Sequence, Acked: o.Sequence - 1, Name: o.Claim[0].Name, Token: o.Token,
		})
		if err == nil {
			o.Revision = got.GetRevision()
			r.mu.Lock()
			r.token = 0
			r.mu.Unlock()
		}
		return err
	}}
}
