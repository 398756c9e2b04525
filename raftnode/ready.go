package raftnode

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/raftnode/wal"
)

// maxFrameBytes bounds what is written at once; more is split, since only the order matters.
const maxFrameBytes = 32 << 20

// handle does what raft asks for. The order of the steps is what the safety of the whole rests on.
func (r *Replica) handle(now time.Duration, rd raft.Ready) error {
	// 1. The machine learns that it does not lead any more before it sees what others decided.
	r.notice(rd)
	committed := rd.CommittedEntries
	if r.role == Leader && len(rd.Entries) == 0 {
		// Nobody has to write anything, so nobody waits longer than the clients of what is committed.
		r.apply(committed)
		committed = nil
	}

	// 2. Messages that promise nothing go out first, so that the followers write while this replica does.
	for i, m := range rd.Messages {
		switch {
		case promises(m) || superseded(m, rd.Messages[i+1:]):
		case r.patient(m):
			r.news.hold(now, r.cfg.Tuning.NewsDelay, m)
		default:
			r.send(m)
		}
	}
	r.cfg.Outbox.Flush()

	// 3. A leader applies what is on its disk already before it writes: who waits for that need not wait for the next
	// round's write. A follower's write is what others wait for, so it comes first there.
	if r.role == Leader {
		n := onDisk(committed, rd.Entries)
		r.apply(committed[:n])
		committed = committed[n:]
	}

	// 4. Everything new goes to disk in one frame and with one sync; then raft may read it from the log.
	if err := r.write(now, rd); err != nil {
		return err
	}

	// 5. Only now may others count on this replica: for its vote, and for having the entries.
	for _, m := range rd.Messages {
		if promises(m) {
			r.send(m)
		}
	}
	r.cfg.Outbox.Flush()
	if r.cfg.Yield != nil && r.role != Leader && len(committed) > 0 {
		r.cfg.Yield()
	}

	// 6. Committed entries, which may be among those just written, are applied. Changes of members come last, since they
	// may end this replica's leadership.
	r.apply(committed)
	r.reads.confirm(rd.ReadStates)

	// 7. Raft goes on.
	r.node.Advance(rd)

	// 8. The machine leads once it has everything from the times of earlier leaders.
	if r.role == Leader && !r.leading && r.appliedTerm == r.hard.GetTerm() {
		r.leading, r.parked = true, 0
		r.unsettle()
		r.cfg.Machine.Lead(r.hard.GetTerm())
	}
	return nil
}

// promises tells whether a message lets others count on what is on this replica's disk.
func promises(m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgAppResp, raftpb.MsgVoteResp, raftpb.MsgPreVoteResp:
		return !planted.On(planted.PromisedBeforeSync)
	}
	return false
}

// superseded tells whether a message has nothing but news of a commit, and a later one to the same peer, with entries,
// brings them too. Raft makes the first when it commits and the second when it is given the next round.
func superseded(m *raftpb.Message, later []*raftpb.Message) bool {
	if m.GetType() != raftpb.MsgApp || len(m.GetEntries()) > 0 {
		return false
	}
	for _, l := range later {
		if l.GetType() == raftpb.MsgApp && l.GetTo() == m.GetTo() && l.GetIndex() == m.GetIndex() && l.GetCommit() >= m.GetCommit() {
			return true
		}
	}
	return false
}

// onDisk is how many of the committed entries come before those that are still to be written.
func onDisk(committed, unwritten []*raftpb.Entry) int {
	n := len(committed)
	for n > 0 && len(unwritten) > 0 && committed[n-1].GetIndex() >= unwritten[0].GetIndex() {
		n--
	}
	return n
}

// notice takes over what raft has become.
func (r *Replica) notice(rd raft.Ready) {
	newTerm := false
	if !raft.IsEmptyHardState(rd.HardState) {
		newTerm = rd.HardState.GetTerm() != r.hard.GetTerm()
		r.hard, r.hardDirty = rd.HardState, true
	}
	if newTerm {
		r.heartbeat, r.parked = 0, 0
	}
	role, leader := r.role, r.leader
	if s := rd.SoftState; s != nil {
		leader = NodeID(s.Lead)
		switch s.RaftState {
		case raft.StateLeader:
			role = Leader
		case raft.StateCandidate, raft.StatePreCandidate:
			role = Candidate
		default:
			role = r.restingRole()
		}
	}
	changed := leader != r.leader
	lostLead := r.leading && (role != Leader || newTerm)
	r.role, r.leader = role, leader
	if !changed && !lostLead {
		return
	}
	r.cfg.Logger.Info().Stringer("role", role).Stringer("leader", leader).Uint64("term", r.hard.GetTerm()).Msg("leader changed")
	if leader != 0 {
		r.hunt = hunt{}
	}
	r.reads.restart()
	if role != Leader {
		clear(r.holds)
		r.news.clear()
	}
	r.leading = false
	if role != Leader || lostLead {
		r.cfg.Machine.Unlead(leader)
	}
}

// send hands one message to the outbox.
func (r *Replica) send(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgSnap:
		r.sendSnapshot(m)
		return
	case raftpb.MsgApp:
		r.news.drop(m.GetTo()) // this one knows more
	case raftpb.MsgHeartbeat:
		r.heartbeat = max(r.heartbeat, contextNumber(m.GetContext()))
	case raftpb.MsgReadIndex:
		// Another node asked this one, which does not lead any more. Raft passes the read on in that node's name, for
		// which the new leader would close the connection, and this node would take it for dead. The node asks again.
		if NodeID(m.GetFrom()) != r.cfg.Node {
			return
		}
	case raftpb.MsgTransferLeader:
		// This replica was asked to hand over in the very turn in which it lost the lead. Raft passes the wish on to the new
		// leader in the name of who was to lead, and whoever asked does not mean that leader. The transfer fails here.
		return
	}
	r.cfg.Outbox.Send(m)
}

// write puts everything new on disk. A change of the commit index alone needs no write: it is found again.
func (r *Replica) write(now time.Duration, rd raft.Ready) error {
	b := wal.Batch{Sync: true}
	snapshot := !raft.IsEmptySnap(rd.Snapshot)
	if !snapshot && len(rd.Entries) == 0 && !rd.MustSync {
		return nil
	}
	if r.hardDirty && !planted.On(planted.VoteNotWritten) {
		r.state = appendHardState(r.state[:0], r.hard)
		b.State = r.state
	}
	if snapshot {
		if err := r.adopt(rd.Snapshot); err != nil {
			return err
		}
		meta := rd.Snapshot.GetMetadata()
		b.Mark = wal.Mark{Index: meta.GetIndex(), Term: meta.GetTerm()}
	}
	r.frame = r.frame[:0]
	size := 0
	for _, e := range rd.Entries {
		if size > maxFrameBytes {
			b.Entries, b.Sync = r.frame, false
			if err := r.wal.Append(b); err != nil {
				return fmt.Errorf("write to the log: %w", err)
			}
			b, r.frame, size = wal.Batch{Sync: true}, r.frame[:0], 0
		}
		r.frame = append(r.frame, wal.Entry{Index: e.GetIndex(), Term: e.GetTerm(), Type: uint8(e.GetType()), Data: e.GetData()})
		size += len(e.GetData()) + entryOverhead
	}
	b.Entries = r.frame
	err := r.wal.Append(b)
	clear(r.frame)
	if err != nil {
		return fmt.Errorf("write to the log: %w", err)
	}
	r.hardDirty, r.unsealed, r.lastWrite = false, true, now
	if n := len(rd.Entries); n > 0 && r.round.last == 0 {
		r.round.last = rd.Entries[n-1].GetIndex()
	}
	if snapshot {
		if err := r.install(rd.Snapshot); err != nil {
			return err
		}
	}
	r.log.append(rd.Entries)
	return nil
}

// seal writes, some time after the last write, the commit index and what makes the durability of all that known in the
// log itself.
func (r *Replica) seal(now time.Duration) error {
	if !r.unsealed && !r.hardDirty || now-r.lastWrite < r.cfg.Tuning.Tick {
		return nil
	}
	if r.hardDirty {
		r.state = appendHardState(r.state[:0], r.hard)
		if err := r.wal.Append(wal.Batch{State: r.state, Sync: true}); err != nil {
			return fmt.Errorf("write to the log: %w", err)
		}
	}
	if err := r.wal.Seal(); err != nil {
		return fmt.Errorf("write to the log: %w", err)
	}
	r.hardDirty, r.unsealed = false, false
	return nil
}

// apply hands committed entries to the machine.
func (r *Replica) apply(entries []*raftpb.Entry) {
	if len(entries) == 0 {
		return
	}
	r.batch = r.batch[:0]
	before := r.work
	for _, e := range entries {
		out := Entry{Index: e.GetIndex(), Term: e.GetTerm()}
		if e.GetType() == raftpb.EntryNormal && len(e.GetData()) > 0 {
			out.Data = e.GetData()
		}
		r.batch = append(r.batch, out)
		r.work += int64(len(e.GetData())) + entryOverhead
	}
	r.since += r.work - before
	last := entries[len(entries)-1]
	r.cfg.Machine.Apply(r.batch)
	clear(r.batch)
	r.applied, r.appliedTerm = last.GetIndex(), last.GetTerm()
	for _, e := range entries {
		if e.GetType() != raftpb.EntryNormal {
			r.applyChange(e)
		}
	}
	if r.role == Follower || r.role == Learner {
		r.role = r.restingRole()
	}
}
