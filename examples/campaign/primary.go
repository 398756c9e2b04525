package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/conch-lock/conch/sdk"
)

// lastKey is where the last number is that was handed out.
const lastKey = "campaign/last"

// errNotPrimary: the member does not lead, or not any more; no number was
// handed out.
var errNotPrimary = errors.New("not the primary")

// primary hands out numbers under one leadership.
type primary struct {
	client *sdk.Client
	lead   *sdk.Leadership

	mu    sync.Mutex
	known bool // last and mod are what the cell has, as far as this primary knows
	last  uint64
	mod   uint64 // revision that wrote it; 0: no number was handed out yet
	over  bool   // it handed over
}

// begin takes over from whoever handed out numbers before.
func begin(ctx context.Context, client *sdk.Client, lead *sdk.Leadership) (*primary, error) {
	p := &primary{client: client, lead: lead}
	return p, p.read(ctx)
}

// read learns the last number.
func (p *primary) read(ctx context.Context) error {
	kv, err := p.client.Get(ctx, lastKey)
	switch {
	case errors.Is(err, sdk.ErrNotFound):
		p.last, p.mod = 0, 0
	case err != nil:
		return err
	default:
		if p.last, err = strconv.ParseUint(string(kv.Value), 10, 64); err != nil {
			return fmt.Errorf("key %q should hold the last number: %w", lastKey, err)
		}
		p.mod = kv.ModRevision
	}
	p.known = true
	return nil
}

// next hands out a number. The cell takes it only while this leadership is the
// current one, which is what makes it safe: what this process believes of
// itself does not matter.
func (p *primary) next(ctx context.Context) (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 2 {
		if p.over {
			return 0, fmt.Errorf("%w: it handed over", errNotPrimary)
		}
		if !p.known {
			if err := p.read(ctx); err != nil {
				return 0, err
			}
		}
		n := p.last + 1
		res, err := p.lead.Session().Txn(ctx, sdk.Txn{
			If:   []sdk.Compare{sdk.LockHeld(election, p.lead.Token()), sdk.ModRevisionIs(lastKey, sdk.Equal, p.mod)},
			Then: []sdk.Op{sdk.PutOp(lastKey, strconv.AppendUint(nil, n, 10))},
		})
		if err == nil && res.Succeeded {
			p.last, p.mod = n, res.Revision
			return n, nil
		}
		// Either the number is written although nobody was told, or may be yet:
		// then the cell knows better, and the number is lost. Or this leadership
		// is not the current one, and it will be refused again.
		p.known = false
		if err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: token %d leads no more", errNotPrimary, p.lead.Token())
}

// handover makes the session lead, of a candidate that waits. Nothing is handed
// out meanwhile, and nothing by this primary afterwards. When there is no such
// candidate it leads on.
func (p *primary) handover(ctx context.Context, to sdk.SessionID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return fmt.Errorf("%w: it handed over", errNotPrimary)
	}
	err := p.lead.Transfer(ctx, to)
	p.over = err == nil
	return err
}
