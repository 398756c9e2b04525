package sim

import (
	"strconv"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
)

// keyNames are the keys that clients share.
var keyNames = [...]string{"key-0", "key-1", "key-2", "key-3"}

// useKeys reads and writes keys from now on, as long as the session lives.
func (c *client) useKeys() {
	if c.w.set.work&Keys == 0 || c.session == 0 {
		return
	}
	switch c.rng.IntN(5) {
	case 0, 1:
		c.read(c.w.node(c.node), c.rng.IntN(3) == 0)
	default:
		if len(c.open) < 20 {
			c.write()
		}
	}
	c.later(c.w.set.pace*between(c.rng, 100*time.Millisecond, 1400*time.Millisecond), c.useKeys)
}

// value is one that nobody else puts: the client, its session and the request.
func (c *client) value() []byte {
	b := strconv.AppendInt(nil, int64(c.id), 10)
	b = strconv.AppendInt(append(b, '.'), int64(c.life), 10)
	return strconv.AppendUint(append(b, '.'), uint64(c.sequence+1), 10)
}

// write puts, deletes, or does either when a condition holds.
func (c *client) write() {
	rng := c.rng
	key, other := keyNames[rng.IntN(len(keyNames))], keyNames[rng.IntN(len(keyNames))]
	put := store.Op{Put: &store.PutOp{Key: key, Value: c.value(), Prev: rng.IntN(2) == 0}}
	get := store.Op{Range: &store.Query{Key: other}}
	op := &machine.Txn{}
	switch rng.IntN(7) {
	case 0, 1:
		op.Txn.Success = []store.Op{put}
	case 2:
		put.Put.Session = uint64(c.session)
		op.Txn.Success = []store.Op{put, get}
	case 3:
		op.Txn.Success = []store.Op{{Delete: &store.DeleteOp{Key: key, Prev: true}}}
	case 4: // as a lock is made of keys: only if it is absent
		op.Txn.Compares = []store.Compare{{Target: store.TargetVersion, Relation: store.Equal, Key: key}}
		op.Txn.Success, op.Txn.Failure = []store.Op{put}, []store.Op{{Range: &store.Query{Key: key}}}
	case 5:
		op.Txn.Compares = []store.Compare{{Target: store.TargetMod, Relation: store.Greater, Key: other, Number: c.w.witness.floor.told / 2}}
		op.Txn.Success = []store.Op{put, get}
		op.Txn.Failure = []store.Op{{Range: &store.Query{Key: "key-", End: "key."}}}
	default:
		c.guarded(op, put)
	}
	c.next(op, &op.Request)
}

// guarded writes only while a lock is held with the client's token: its own if
// it has one, and otherwise one that nobody has.
func (c *client) guarded(op *machine.Txn, put store.Op) {
	name, token := lockNames[0], locks.Token(1)
	if b := c.held; b != nil && b.election == "" {
		name, token = b.items[0].Name, b.token
	}
	op.Txn.Compares = []store.Compare{{Target: store.TargetHeldLock, Relation: store.Equal, Key: string(name), Number: uint64(token)}}
	op.Txn.Success = []store.Op{put}
}

// wrote takes the answer to a transaction.
func (c *client) wrote(o *machine.Txn, p machine.Reply) {
	if p.Code != machine.OK || p.Txn == nil || len(o.Txn.Compares) == 0 {
		return
	}
	guard := o.Txn.Compares[0].Target == store.TargetHeldLock
	switch {
	case guard && p.Txn.Succeeded:
		c.w.sometimes(keyGuarded)
	case guard:
		c.w.sometimes(keyGuardRefused)
	case !p.Txn.Succeeded:
		c.w.sometimes(keyCompareFailed)
	}
}

// readOn reads at one node again and again until some time, and nowhere else.
func (c *client) readOn(n *node, until time.Duration) {
	if c.w.set.work&Keys == 0 || c.w.now >= until {
		return
	}
	c.receive(func() { c.read(n, false) })
	c.w.after(between(c.rng, 30*time.Millisecond, 150*time.Millisecond), func() { c.readOn(n, until) })
}

// read reads a key at a node: as the leader confirms that the node has seen
// everything, or whatever the node has.
func (c *client) read(at *node, stale bool) {
	key, floor := keyNames[c.rng.IntN(len(keyNames))], c.w.witness.floor.told
	id := c.session
	c.reach(at, func(n *node) {
		answer := func(err error) {
			if err != nil {
				c.w.sometimes(readTimedOut)
				return
			}
			if !n.up {
				return
			}
			s := n.cell.Machine().Store()
			rec, _ := s.Get(store.Keys, key)
			revision := s.Revision()
			if wrong := c.w.witness.keys.read(revision, key, rec); wrong != nil {
				c.w.fail(RealTime, "client %d reads %q at node %v: %v", c.id, key, n.id, wrong)
			}
			if stale {
				c.w.sometimes(readStale)
				return
			}
			c.w.sometimes(readConfirmed)
			c.w.witness.checked++
			c.w.check(RealTime, c.w.witness.floor.answered("a read", revision, floor))
			n.toClient(c, func() {
				if c.session == id {
					c.w.witness.floor.tell(revision)
				}
			})
		}
		if stale {
			answer(nil)
			return
		}
		n.in.Reads = append(n.in.Reads, answer)
	})
}
