package shell

import (
	"context"
	"fmt"

	"github.com/conch-lock/conch/sdk"
)

// sameHash: all nodes have it.
func (w *cell) sameHash(ctx context.Context) error {
	h, err := w.admin.sdk.Hash(ctx)
	if err != nil {
		return err
	}
	return differing(h, len(w.nodes))
}

// differing says what keeps so many nodes from having one hash; nil: they have it. The
// cell's own opinion is not enough.
func differing(h sdk.Hashes, nodes int) error {
	if !h.Equal || len(h.Nodes) != nodes {
		return fmt.Errorf("hashes: %+v", h.Nodes)
	}
	for _, n := range h.Nodes {
		if n.Error != "" || n.Hash == "" || n.Hash != h.Nodes[0].Hash {
			return fmt.Errorf("hashes: %+v", h.Nodes)
		}
	}
	return nil
}

// remains are what a cell has of its clients.
type remains struct {
	sessions  []sdk.SessionInfo
	locks     []sdk.LockInfo
	elections []sdk.ElectionInfo
	owned     int // keys
}

// nothingLeft: no session, no lock held or waited for, no leader, no owned key.
func (w *cell) nothingLeft(ctx context.Context) error {
	r, err := w.remains(ctx)
	if err != nil {
		return err
	}
	return r.wrong()
}

func (w *cell) remains(ctx context.Context) (r remains, err error) {
	if r.sessions, err = w.admin.sdk.Sessions(ctx); err != nil {
		return r, err
	}
	if r.locks, err = w.admin.sdk.Locks(ctx, ""); err != nil {
		return r, err
	}
	if r.elections, err = w.admin.sdk.Elections(ctx, ""); err != nil {
		return r, err
	}
	owned, err := w.admin.sdk.Range(ctx, sdk.Prefix(ownedPrefix))
	r.owned = len(owned.KVs)
	return r, err
}

// wrong says what of it should be gone once all clients are; nil: nothing.
func (r remains) wrong() error {
	if len(r.sessions) > 0 {
		return fmt.Errorf("%d sessions, such as %+v", len(r.sessions), r.sessions[0])
	}
	for _, l := range r.locks {
		if len(l.Holders) > 0 || l.WaiterCount > 0 {
			return fmt.Errorf("lock %q has %d holders and %d waiters", l.Name, len(l.Holders), l.WaiterCount)
		}
	}
	for _, e := range r.elections {
		if e.Leader != nil {
			return fmt.Errorf("election %q has a leader, of session %d", e.Name, e.Leader.Session)
		}
	}
	if r.owned > 0 {
		return fmt.Errorf("%d keys whose sessions are over", r.owned)
	}
	return nil
}
