package coordinator

import (
	"encoding/hex"
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/record"
)

// How long the hashes of the other nodes are waited for, and after how long one
// is asked for again.
const (
	hashPatience = 5 * time.Second
	hashRepeat   = 500 * time.Millisecond
)

// maxHashes is how many hashes of its own a node remembers.
const maxHashes = 16

// hashes compares the states of the nodes. A hash command makes every node take
// the hash of its state at the same entry; each tells all others, and whoever was
// asked gathers them.
type hashes struct {
	own     []machine.Hashed                              // newest last
	others  map[uint64]map[raftnode.NodeID]machine.Hashed // by index
	indexes []uint64                                      // of others, oldest first
	waiting []*gathering
}

// gathering is one hash request on its way.
type gathering struct {
	call     *call
	own      machine.Hashed
	members  []raftnode.Member
	deadline time.Duration
	asked    time.Duration
}

// tookHash keeps the hash that this node took and tells the others.
func (l *loop) tookHash(h machine.Hashed) {
	if l.hashes.own = append(l.hashes.own, h); len(l.hashes.own) > maxHashes {
		l.hashes.own = l.hashes.own[1:]
	}
	for _, g := range l.hashes.waiting {
		if g.own.Index == 0 && g.own.Sum == h.Sum {
			g.own = h
		}
	}
	if l.group == nil {
		return
	}
	for _, m := range l.group.Status().Members {
		if m.ID != l.self {
			l.group.Send(m.ID, appendHash(h))
		}
	}
	l.sweepHashes(l.now())
}

func appendHash(h machine.Hashed) []byte {
	b := record.AppendUint([]byte{messageHash}, h.Index)
	b = record.AppendUint(b, h.Revision)
	return record.AppendString(b, h.Sum[:])
}

// takeHash keeps the hash of another node for whoever gathers.
func (l *loop) takeHash(from raftnode.NodeID, r *record.Reader) {
	h := machine.Hashed{Index: r.Uint(), Revision: r.Uint()}
	if n := copy(h.Sum[:], r.Bytes()); n != len(h.Sum) || r.Err() != nil {
		return
	}
	hs := &l.hashes
	if hs.others[h.Index] == nil {
		hs.others[h.Index] = map[raftnode.NodeID]machine.Hashed{}
		if hs.indexes = append(hs.indexes, h.Index); len(hs.indexes) > maxHashes {
			delete(hs.others, hs.indexes[0])
			hs.indexes = hs.indexes[1:]
		}
	}
	if hs.others[h.Index] == nil || len(hs.others[h.Index]) >= 256 {
		return
	}
	hs.others[h.Index][from] = h
	l.sweepHashes(l.now())
}

// resendHash answers a node that misses this one's hash.
func (l *loop) resendHash(from raftnode.NodeID, r *record.Reader) {
	index := r.Uint()
	for _, h := range l.hashes.own {
		if h.Index == index && r.Err() == nil {
			l.group.Send(from, appendHash(h))
		}
	}
}

// gatherHash waits for the others. The reply comes just before this node's own
// hash with its index.
func (l *loop) gatherHash(c *call, p *machine.Reply) {
	if len(l.hashes.waiting) >= maxHashes {
		l.refuse(c, overloaded("%d hashes are being gathered, which is the limit", maxHashes))
		return
	}
	now := l.now()
	l.hashes.waiting = append(l.hashes.waiting, &gathering{
		call: c, own: machine.Hashed{Sum: p.Hash}, members: l.group.Status().Members,
		deadline: now + hashPatience, asked: now,
	})
}

// sweepHashes answers what is complete or has waited long enough, and asks again
// for what is missing.
func (l *loop) sweepHashes(now time.Duration) {
	hs := &l.hashes
	kept := hs.waiting[:0]
	for _, g := range hs.waiting {
		others := hs.others[g.own.Index]
		complete := g.own.Index != 0
		for _, m := range g.members {
			if _, ok := others[m.ID]; m.ID != l.self && !ok {
				complete = false
				if g.own.Index != 0 && now-g.asked >= hashRepeat {
					l.group.Send(m.ID, record.AppendUint([]byte{messageWantHash}, g.own.Index))
				}
			}
		}
		if now-g.asked >= hashRepeat {
			g.asked = now
		}
		switch {
		case complete || now >= g.deadline:
			l.reply(g.call, &api.Response{Result: &api.Response_Hash{Hash: l.hashAnswer(g, others)}})
		case !g.call.over.Load():
			kept = append(kept, g)
		}
	}
	clear(hs.waiting[len(kept):])
	hs.waiting = kept
}

func (l *loop) hashAnswer(g *gathering, others map[raftnode.NodeID]machine.Hashed) *api.HashResponse {
	r := &api.HashResponse{Equal: true}
	for _, m := range g.members {
		n := &api.NodeHash{Name: m.Name, Id: idText(m.ID)}
		h, ok := others[m.ID]
		if m.ID == l.self {
			h, ok = g.own, true
		}
		if ok {
			n.Index, n.Revision, n.Hash = h.Index, h.Revision, hex.EncodeToString(h.Sum[:])
		} else {
			n.Error = "it did not tell its hash in time"
		}
		r.Equal = r.Equal && ok && h.Sum == g.own.Sum
		r.Nodes = append(r.Nodes, n)
	}
	return r
}
