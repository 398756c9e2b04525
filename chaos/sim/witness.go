package sim

import (
	"hash/crc64"
	"io"
	"sort"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
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
	chains  []uint64 // of the machine after each entry
	asked   []command
	checked uint64 // operations

	log       logCheck
	raft      raftCheck
	snapshots snapshotCheck
	tokens    tokenCheck
	lives     lifeCheck
	once      onceCheck
	floor     floorCheck
	changes   changeCheck
	leaders   leaders
	firstCome firstCome
	held      map[locks.Name][]locks.Holder // by the records
	keys      keyCheck
	waits     waitCheck

	byNonce map[sessions.Nonce]*opening
	first   []done          // what this entry answered with success, and none before
	values  map[string]bool // that were put
	stable  time.Duration   // since when the cell has its newest leader
	piece   []byte          // memory for pieces of snapshots
}

// opening is a session that a client asks for.
type opening struct {
	client *client
	safe   time.Duration // by its clock
}

// command is one of an entry, with what the answer is judged by.
type command struct {
	origin uint64
	op     machine.Op
}

// done is a command that was carried out, and its answer.
type done struct {
	op    machine.Op
	reply machine.Reply
}

func newWitness(w *world) *witness {
	return &witness{
		w: w, machine: machine.New(w.set.limits), chains: []uint64{0},
		raft: newRaftCheck(), snapshots: snapshotCheck{map[uint64]uint64{}},
		tokens: tokenCheck{of: map[locks.ClaimID]locks.Token{}},
		lives:  lifeCheck{sessions: map[sessions.ID]*life{}},
		once:   onceCheck{map[locks.ClaimID]answer{}},
		floor:  floorCheck{told: 1}, leaders: leaders{}, firstCome: newFirstCome(), held: map[locks.Name][]locks.Holder{}, keys: newKeyCheck(), waits: newWaitCheck(),
		byNonce: map[sessions.Nonce]*opening{}, values: map[string]bool{},
	}
}

func (x *witness) close() { x.machine.Close() }

// apply takes an entry that a node is about to apply.
func (x *witness) apply(n *node, e raftnode.Entry) {
	sum := bytesSum(e.Term, e.Data)
	first, err := x.log.apply(n.id, e.Index, e.Term, sum)
	x.w.check(Equal, err)
	if !first || err != nil {
		return
	}
	if x.index == 0 {
		x.begin()
	}
	x.w.mix(sum)
	x.step(e)
}

// begin puts the witness where every group begins.
func (x *witness) begin() {
	x.index = 1
	x.chains = append(x.chains, 0)
	x.w.check(Harness, x.machine.Restore(emptyReader{}, 1, 1))
}

func (x *witness) step(e raftnode.Entry) {
	x.index = e.Index
	x.decode(e.Data)
	x.machine.Begin()
	x.w.check(Harness, x.machine.Apply(e.Index, e.Term, e.Data))
	out := x.machine.Commit()
	x.chains = append(x.chains, x.digest(x.machine))
	x.judge(out)
	if err := x.invariants(); err != nil {
		x.w.fail(Invariants, "after entry %d: %v", e.Index, err)
	}
}

// decode reads the commands of an entry that somebody awaits the answers to.
func (x *witness) decode(data []byte) {
	x.asked = x.asked[:0]
	if len(data) == 0 {
		return
	}
	_, commands, err := machine.ReadHeader(data)
	for len(commands) > 0 && err == nil {
		var one []byte
		if one, commands, err = machine.Split(commands); err != nil {
			break
		}
		c, wrong := machine.Decode(one)
		if wrong != nil {
			x.w.fail(Harness, "a command cannot be read: %v", wrong)
		}
		x.asked = append(x.asked, command{c.Origin, c.Op})
	}
	x.w.check(Harness, err)
}

// invariants holds the state against its invariants; the store, which is dear,
// only now and then.
func (x *witness) invariants() error {
	m := x.machine
	if x.index%64 == 0 {
		x.w.check(InTime, x.waits.overdue())
		return m.Check()
	}
	if m.Locks().Waiting() > 200 && x.index%16 != 0 {
		return nil // they are many, and are all looked at every time
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
		x.w.fail(Equal, "node %v differs from the others at entry %d", n.id, index)
	}
	if index%512 == 0 && index == x.index && n.cell.Machine().Store().Hash() != x.machine.Store().Hash() {
		x.w.fail(Equal, "node %v has another hash at entry %d", n.id, index)
	}
}

// restored judges the state of a node that was put back from a snapshot.
func (x *witness) restored(n *node, index uint64) {
	if index <= 1 {
		return
	}
	x.compare(n)
	s := n.cell.Snapshot()
	defer s.Close()
	if x.piece == nil {
		x.piece = make([]byte, 0, 65<<10)
	}
	sum := uint64(0)
	for done := false; !done; {
		var piece []byte
		piece, done = s.Next(x.piece)
		sum = crc64.Update(sum, crc, piece)
	}
	x.w.check(Snapshots, x.snapshots.taken(n.id, index, sum))
}

// installed: a node's state was replaced by a leader's snapshot.
func (x *witness) installed(n *node) {
	n.begun = true
	x.w.sometimes(snapshotInstalled)
	if m := n.cell.Machine(); m.Locks().Waiting() > 0 {
		x.w.sometimes(snapshotInstalledHeld)
	}
}

// lead: a node begins to lead.
func (x *witness) lead(n *node, term uint64) {
	x.w.check(Raft, x.raft.lead(n.id, term))
	applied, _ := n.cell.Applied()
	x.w.check(Durable, complete(&x.log, n.id, term, applied))
	x.stable = x.w.now
	if p := x.w.probe; p != nil {
		p.elected(term)
	}
}

// leads: a client is told that it leads, and of its predecessor.
func (x *witness) leads(c *client, g *machine.Claimed) {
	list := x.leaders[g.Names[0]]
	for i := range list {
		if t := &list[i]; t.token == g.Token {
			if t.term != g.Term {
				x.w.fail(Leaders, "client %d was told that it leads %s in term %d, which is term %d", c.id, g.Names[0], g.Term, t.term)
			}
			p := g.Predecessor
			if i > 0 && list[i-1].create == t.create && (list[i-1].token != p.Token || list[i-1].value != string(p.Value)) {
				x.w.fail(Leaders, "client %d was told of the predecessor %+v, which was %+v", c.id, p, list[i-1])
			}
			if p.Ended == locks.Transferred {
				x.w.sometimes(handedOver)
			}
			return
		}
	}
	x.w.fail(Leaders, "client %d was told that it leads %s with token %d, which nobody did", c.id, g.Names[0], g.Token)
}

// byToken sorts grants: results and events are told apart, so their order is
// that of the tokens.
func byToken(l []*machine.Claimed) {
	sort.Slice(l, func(i, j int) bool { return l[i].Token < l[j].Token })
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }
