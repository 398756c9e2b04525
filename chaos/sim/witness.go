package sim

import (
	"hash/crc64"
	"io"
	"sort"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/sessions"
)

// witness is one more state machine: it applies every entry when the first node
// does, one at a time, and holds the properties against what comes of it.
type witness struct {
	w       *world
	machine *machine.Machine
	index   uint64
	data    []uint64 // checksum of each entry, by index
	chains  []uint64 // of the machine after each entry

	token    locks.Token
	tokens   map[locks.ClaimID]locks.Token
	sessions map[sessions.ID]*watched
	byNonce  map[sessions.Nonce]*opening
	leaders  leaders
	acked    uint64 // the highest index whose effect some client was told of
}

// watched is a session whose end is judged.
type watched struct {
	client *client
	safe   time.Duration // true time until which its client may believe
}

// opening is a session that a client asks for.
type opening struct {
	client *client
	safe   time.Duration
}

func newWitness(w *world) *witness {
	return &witness{
		w: w, machine: machine.New(limits()), data: []uint64{0}, chains: []uint64{0},
		tokens: map[locks.ClaimID]locks.Token{}, sessions: map[sessions.ID]*watched{},
		byNonce: map[sessions.Nonce]*opening{}, leaders: leaders{},
	}
}

func (x *witness) close() { x.machine.Close() }

var crc = crc64.MakeTable(crc64.ISO)

// apply takes an entry that a node is about to apply.
func (x *witness) apply(n *node, e raftnode.Entry) {
	sum := crc64.Update(e.Term, crc, e.Data)
	if e.Index <= x.index {
		if x.data[e.Index] != sum {
			x.w.fail("node %v applies another entry %d (term %d) than was applied before", n.id, e.Index, e.Term)
		}
		return
	}
	if x.index == 0 && e.Index == 2 { // every group begins with a snapshot at index 1
		x.step(raftnode.Entry{Index: 1})
	}
	if e.Index != x.index+1 {
		x.w.fail("node %v applies entry %d, nobody applied entry %d", n.id, e.Index, x.index+1)
		return
	}
	x.step(e)
}

func (x *witness) step(e raftnode.Entry) {
	if e.Index == 1 {
		x.index = 1
		x.data, x.chains = append(x.data, 0), append(x.chains, 0)
		if err := x.machine.Restore(emptyReader{}, 1, 1); err != nil {
			x.w.fail("witness: %v", err)
		}
		return
	}
	x.index = e.Index
	x.data = append(x.data, crc64.Update(e.Term, crc, e.Data))
	x.machine.Begin()
	if err := x.machine.Apply(e.Index, e.Term, e.Data); err != nil {
		x.w.fail("witness: %v", err)
	}
	out := x.machine.Commit()
	x.chains = append(x.chains, x.digest(x.machine))
	x.judge(out)
	if err := x.check(); err != nil {
		x.w.fail("after entry %d: %v", e.Index, err)
	}
}

// check holds the state against its invariants; the store, which is dear, only
// now and then.
func (x *witness) check() error {
	m := x.machine
	if x.index%64 == 0 {
		return m.Check()
	}
	if err := m.Sessions().Check(); err != nil {
		return err
	}
	open := func(id sessions.ID) bool { return m.Sessions().Get(id) != nil }
	if err := m.Locks().Check(m.Now(), open); err != nil {
		return err
	}
	return m.Elections().Check(m.Now(), open)
}

// digest is a cheap checksum of a state and all that led to it.
func (x *witness) digest(m *machine.Machine) uint64 {
	h := m.Chain()
	for _, v := range [...]uint64{uint64(m.Now()), uint64(m.Token()), m.Store().Revision(), uint64(m.Sessions().Len()), uint64(m.Locks().Waiting()), uint64(m.Elections().Waiting()), uint64(m.Store().Bytes())} {
		h = h*0x100000001b3 ^ v
	}
	return h
}

// compare holds a node's state against the witness's at the same index.
func (x *witness) compare(n *node) {
	index, _ := n.cell.Applied()
	if index < uint64(len(x.chains)) && index > 1 && x.digest(n.cell.Machine()) != x.chains[index] {
		x.w.fail("node %v differs from the others at entry %d", n.id, index)
	}
	if index%512 == 0 && index == x.index && n.cell.Machine().Store().Hash() != x.machine.Store().Hash() {
		x.w.fail("node %v has another hash at entry %d", n.id, index)
	}
}

// judge looks at what an entry did.
func (x *witness) judge(out machine.Output) {
	var grants []*machine.Claimed
	for _, r := range out.Results {
		if c := r.Reply.Claim; c != nil && c.Granted {
			grants = append(grants, c)
		}
		if r.Reply.Code == machine.OK && r.Reply.TTL > 0 {
			x.opened(r.Reply.Session)
		}
	}
	for _, e := range out.Events {
		switch e.Kind {
		case machine.ClaimGranted:
			grants = append(grants, e.Reply.Claim)
			x.w.sometimes("grant after waiting")
		case machine.ClaimOver:
			x.w.sometimes("claim over unasked")
		case machine.Alive:
			if s := x.sessions[e.Session]; s != nil {
				s.safe = max(s.safe, s.client.safe(e.Session, e.Number))
			}
		case machine.SessionOver:
			x.over(e)
		}
	}
	// Results and events are told apart, so their order is that of the tokens.
	sort.Slice(grants, func(i, j int) bool { return grants[i].Token < grants[j].Token })
	for _, c := range grants {
		x.granted(c)
	}
	for i := range out.Changes {
		e := &out.Changes[i]
		if e.Space != store.Elections {
			continue
		}
		if wrong := x.leaders.observe(e); wrong != "" {
			x.w.fail("%s at revision %d: %s", e.Record.Key, e.Revision(), wrong)
		}
	}
}

func (x *witness) opened(id sessions.ID) {
	s := x.machine.Sessions().Get(id)
	if s == nil || x.sessions[id] != nil {
		return
	}
	o := x.byNonce[s.Nonce]
	if o == nil {
		x.w.fail("session %d was opened by nobody", id)
		return
	}
	x.sessions[id] = &watched{client: o.client, safe: o.safe}
}

func (x *witness) over(e machine.Event) {
	s := x.sessions[e.Session]
	if s == nil || e.Why != locks.Expired {
		return
	}
	x.w.sometimes("session expired")
	if early := s.safe - x.w.now; early > 5*time.Millisecond {
		x.w.fail("session %d of client %d expired %v before its client's own safe deadline", e.Session, s.client.id, early)
	}
}

// granted: a claim has one token for ever, and a new one is larger than all.
func (x *witness) granted(c *machine.Claimed) {
	if old, ok := x.tokens[c.ID]; ok {
		if old != c.Token {
			x.w.fail("claim %v was granted with token %d and with token %d", c.ID, old, c.Token)
		}
		return
	}
	x.tokens[c.ID] = c.Token
	if c.Token <= x.token {
		x.w.fail("claim %v was granted with token %d after token %d", c.ID, c.Token, x.token)
	}
	x.token = c.Token
}

// leads: a client is told that it leads, and of its predecessor.
func (x *witness) leads(c *client, g *machine.Claimed) {
	list := x.leaders[g.Names[0]]
	for i := range list {
		if t := &list[i]; t.token == g.Token {
			if t.term != g.Term {
				x.w.fail("client %d was told that it leads %s in term %d, which is term %d", c.id, g.Names[0], g.Term, t.term)
			}
			p := g.Predecessor
			if i > 0 && list[i-1].create == t.create && (list[i-1].token != p.Token || list[i-1].value != string(p.Value)) {
				x.w.fail("client %d was told of the predecessor %+v, which was %+v", c.id, p, list[i-1])
			}
			if p.Ended == locks.Transferred {
				x.w.sometimes("leader after a transfer")
			}
			return
		}
	}
	x.w.fail("client %d was told that it leads %s with token %d, which nobody did", c.id, g.Names[0], g.Token)
}

// seen: a client was told something that is in the state at that index.
func (x *witness) seen(index uint64) { x.acked = max(x.acked, index) }

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }
