package raftnode

import (
	"fmt"
	"time"

	"github.com/conch-lock/conch/internal/planted"
)

// Turn takes what happened since the last turn, at the given time (which must not go back), and does everything that
// follows. After an error the replica is dead: what it was doing may or may not have reached the disk, nothing more will
// be sent or applied, and every later call returns the same error.
func (r *Replica) Turn(now time.Duration, in Inputs) (Outputs, error) {
	if r.dead == nil {
		out, err := r.turn(now, in)
		if err == nil {
			return out, nil
		}
		r.die(fmt.Errorf("raftnode: node %v, group %v, stopped at entry %d of term %d: %w",
			r.cfg.Node, r.cfg.Group, r.applied, r.hard.GetTerm(), err))
		return Outputs{}, r.dead
	}
	in.fail(r.dead)
	return Outputs{}, r.dead
}

func (r *Replica) turn(now time.Duration, in Inputs) (Outputs, error) {
	var out Outputs
	if !r.started {
		r.start(now)
	}
	if err := r.wal.Prepared(); err != nil {
		return out, fmt.Errorf("write to the log: %w", err)
	}
	out.Late = r.late(now)
	r.judge(now, &in)
	last := r.log.last()

	// 1. What peers say comes before time: a heartbeat that waited here must count before the ticks that passed.
	r.step(now, in.Messages)
	for _, p := range in.Payloads {
		r.cfg.Machine.Receive(p.From, p.Payload)
	}
	// 2. What became of connections and messages.
	for _, id := range in.Unreachable {
		r.node.ReportUnreachable(uint64(id))
	}
	for _, s := range in.SnapshotsSent {
		r.snapshotSent(now, s)
	}
	for _, id := range in.Lost {
		r.lost(now, id)
	}
	// 3. Time.
	r.tick(now)
	r.campaign(now)
	// 4. Snapshots that came from a leader.
	for i, s := range in.Snapshots {
		if err := r.receiveSnapshot(now, s); err != nil {
			in.Snapshots = in.Snapshots[i+1:]
			in.fail(err)
			return out, err
		}
	}
	// 5. Requests.
	r.reads.add(now, in.Reads)
	if planted.On(planted.ReadNotConfirmed) {
		r.reads.fail(nil)
	}
	r.ask(now)
	for _, t := range in.Transfers {
		r.beginTransfer(now, t)
	}
	for _, c := range in.Changes {
		r.beginChange(now, c)
	}
	// 6. Proposals, so that they share the write with everything above.
	r.propose(now)
	// 7. All that raft wants done, at least once and until there is nothing more.
	r.work = 0
	for range maxReadies {
		if !r.node.HasReady() || r.work >= maxApplyBytes {
			break
		}
		if err := r.handle(now, r.node.Ready()); err != nil {
			return out, err
		}
	}
	if r.pace.at = now; r.leading && r.log.last() > last {
		r.pace.wrote = r.log.last()
	}
	// 8. Answers.
	r.ask(now)
	r.reads.release(r.applied)
	r.checkTransfer(now)
	r.checkChange(now)
	// 9. A part of a snapshot, when one is due.
	if err := r.advanceSnapshot(now); err != nil {
		return out, err
	}
	// 10. In a quiet moment, tell the log that its end is durable.
	if err := r.seal(now); err != nil {
		return out, err
	}
	// 11. News that waited long enough, and what the machine sent, if nothing above took it along.
	r.tell(now)
	r.cfg.Outbox.Flush()
	out.Busy = r.node.HasReady()
	out.Next = r.lastTick + r.stride()*r.cfg.Tuning.Tick
	if at, ok := r.pieceDue(); ok {
		out.Busy = out.Busy || at <= now
		out.Next = min(out.Next, at)
	}
	if at := r.round.at + r.cfg.Tuning.GatherTime; r.leading && now < at && r.gathering(now) {
		out.Next = min(out.Next, at)
	}
	if len(r.news.held) > 0 {
		out.Next = min(out.Next, r.news.due)
	}
	if r.hunt.left > 0 {
		out.Next = min(out.Next, r.hunt.at)
	}
	r.nextTurn = out.Next
	return out, nil
}

// start begins to count time. A voter that is alone need not wait for anybody.
func (r *Replica) start(now time.Duration) {
	r.started = true
	r.lastTick, r.nextTurn, r.lastWrite = now, now, now
	if v := r.members.conf.GetVoters(); len(v) == 1 && v[0] == uint64(r.cfg.Node) && !r.members.joint() {
		_ = r.node.Campaign() // fails only where an election is impossible anyway
	}
}

// late returns by how much the turn is late, when that is more than an election takes.
func (r *Replica) late(now time.Duration) time.Duration {
	if d := now - r.nextTurn; d > r.electionTime() {
		r.lateTurns++
		r.lateBy = max(r.lateBy, d)
		r.cfg.Logger.Warn().Dur("by", d).Msg("this node was not able to run for a while")
		return d
	}
	return 0
}

// stride is how many ticks the next turn may take together. A follower that hears from its leader wakes half as often.
func (r *Replica) stride() time.Duration {
	if r.role == Leader || r.leader == 0 {
		return 1
	}
	return maxCatchUp
}

func (r *Replica) electionTime() time.Duration {
	return time.Duration(r.cfg.Tuning.ElectionTicks) * r.cfg.Tuning.Tick
}

// tick hands the time that passed to raft.
func (r *Replica) tick(now time.Duration) {
	due := int64((now - r.lastTick) / r.cfg.Tuning.Tick)
	if due <= 0 {
		return
	}
	r.lastTick += time.Duration(due) * r.cfg.Tuning.Tick
	for range min(due, maxCatchUp) {
		r.node.Tick()
	}
	r.reads.expire(now)
	r.releaseHolds(now)
}

// ask begins a round of reads when there is somebody to answer it.
func (r *Replica) ask(now time.Duration) {
	if r.leader == 0 || r.role == Leader && !r.leading {
		return
	}
	if ctx := r.reads.next(now); ctx != nil {
		r.node.ReadIndex(ctx)
	}
}
