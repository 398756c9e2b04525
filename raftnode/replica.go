package raftnode

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/raftnode/disk"
	"github.com/conch-lock/conch/raftnode/wal"
)

// Outbox takes the messages of one replica to its peers. It must not block, and may lose what it takes.
type Outbox interface {
	// Send takes a message for m.To. It is shared with the log: read only. It may wait for Flush.
	Send(m *raftpb.Message)
	// Flush sends on whatever was taken so far, as far as that is possible without waiting.
	Flush()
	// SendSnapshot takes a MsgSnap and what opens the bytes that go with it. How it ended comes back, always and once,
	// as a SnapshotResult.
	SendSnapshot(m *raftpb.Message, open func() (io.ReadCloser, error))
}

// ReplicaConfig is what a replica is made of.
type ReplicaConfig struct {
	// Cluster, Group and Node say which replica it is; none is 0.
	Cluster uint64
	Group   GroupID
	Node    NodeID
	// FS and Dir are where its log (Dir/log) and its snapshots (Dir/snapshots) are. Nobody else may touch them.
	FS  disk.FS
	Dir string
	// Initial are the members the group begins with; see GroupConfig.
	Initial []Member
	// Begun: there was data in Dir before. When it is gone, the replica must not begin again.
	Begun bool
	// Machine is what the entries are applied to: new and empty, since the replica restores it.
	Machine Machine
	// Outbox takes the messages.
	Outbox Outbox
	// MembersChanged, when not nil, is told the members at the start and after every change of them.
	MembersChanged func([]Member)
	// Tuning holds the sizes and times.
	Tuning Tuning
	// Rand is where the replica's own small random delays come from. The election timeouts inside raft come from
	// crypto/rand.Reader.
	Rand *rand.Rand
	// Background runs slow work on files (not on those of the log that hold anything) away from the replica, which is to
	// get a turn when it is done.
	// Nil: the work is done in place.
	Background func(work func())
	// Yield, when not nil, lets others on this machine have the processor. A follower does so between its promise and
	// applying what was committed before: where nodes or clients share processors, whoever waits for the promise needs one.
	Yield func()
	// Logger takes what there is to tell. Its writer must not block.
	Logger zerolog.Logger
}

// Replica is one member's copy of a group: raft, its log and snapshots on disk, and the machine. It is a step function:
// Turn takes what happened and the time, and does everything that follows from it. It has no goroutine, no clock and no
// randomness of its own, so that the same inputs give the same outputs. It is not safe for concurrent use.
type Replica struct {
	cfg  ReplicaConfig
	node *raft.RawNode
	log  *memoryLog
	wal  *wal.Log
	dead error // set for ever by the first failure, or by Close

	// What raft was when it was last seen.
	hard      *raftpb.HardState
	hardDirty bool // hard is newer than what the log has; true only for its commit index
	role      Role
	leader    NodeID // 0: unknown
	leading   bool   // the machine was told to lead
	heartbeat uint64 // highest context sent with a heartbeat in this term
	parked    int    // reads of followers that raft keeps until this leader has committed an entry of its own

	// What was applied.
	members              membership
	applied, appliedTerm uint64
	work                 int64   // bytes applied in this turn
	batch                []Entry // reused
	round                round   // what this leader proposed last
	news                 news    // of commits, not told yet

	// Time.
	lastTick time.Duration
	nextTurn time.Duration // what the last turn asked for
	started  bool

	// Requests under way.
	reads    reads
	transfer *transfer
	change   *change
	settled  bool // a majority of the members knows them
	// settledBy is the entry with which they do, 0 until it is known which.
	settledBy uint64
	hunt      hunt
	pace      pace

	// Snapshots.
	files     []snapshotFile // on disk and marked in the log, newest first, at most keepSnapshots
	since     int64          // bytes applied since the newest
	noRoom    bool           // the newest try found the disk full,
	refusedAt time.Duration  // then
	taking    *taking
	piece     []byte // reused for the pieces of those taken
	incoming  *ReceivedSnapshot
	holds     map[NodeID]hold

	// Writing.
	frame     []wal.Entry // reused
	state     []byte      // reused
	lastWrite time.Duration
	unsealed  bool // the log does not yet say that its last frame is durable

	// Counters for Status.
	refused   uint64 // messages of peers that were refused
	full      uint64 // rounds that were dropped since too much was not committed
	lateTurns uint64
	lateBy    time.Duration
}

// Fixed settings of raft, and why.
const (
	heartbeatTicks   = 2         // the shortest time to an election has at least two of them
	maxAppendBytes   = 256 << 10 // of entries in one message: a lost one costs little
	maxInflight      = 256
	maxInflightBytes = 16 << 20
	// maxApplyBytes is applied in one step, and about twice that in one turn: some ten thousand small requests. A turn that
	// took longer would hold up heartbeats.
	maxApplyBytes = 512 << 10

	// maxCatchUp is how many ticks are given at most for the time that has passed: a node that was paused must first hear
	// what its leader said meanwhile, and not call an election over its own pause.
	maxCatchUp = 2
	// maxReadies bounds a turn.
	maxReadies = 16
	// gatherBytes is how large a round of proposals is before others wait for its commit. A smaller one has few requests
	// in it: whoever follows gains nothing by waiting.
	gatherBytes = 512
	// maxRounds is how many entries are proposed at most beyond what is committed. A leader that is asked for more than
	// it can do keeps the rest where it can still be refused.
	maxRounds = 64
	// maxParked bounds the reads of followers that raft keeps.
	maxParked = 1024
)

// NewReplica brings a replica up from what is on disk: the newest snapshot is restored into the machine, and the log is
// read. Where there is nothing, the group is begun with the initial members, or, without any, the replica waits until a
// leader sends it a snapshot. A failure at any point of an earlier start, or a crash at any time, is no hindrance;
// damage that a crash cannot explain is an error that names file and place.
func NewReplica(cfg ReplicaConfig) (*Replica, error) {
	cfg.Tuning = cfg.Tuning.withDefaults()
	if err := cfg.Tuning.validate(); err != nil {
		return nil, err
	}
	if cfg.Cluster == 0 || cfg.Group == 0 || cfg.Node == 0 || cfg.Node >= maxNodeID {
		return nil, fmt.Errorf("raftnode: cluster %x, group %v, node %v: none may be 0, and node ids end at %v",
			cfg.Cluster, cfg.Group, cfg.Node, maxNodeID-1)
	}
	if cfg.Background == nil {
		cfg.Background = func(work func()) { work() }
	}
	r := &Replica{
		cfg:   cfg,
		holds: map[NodeID]hold{},
		reads: reads{
			retry: cfg.Tuning.ReadRetry, timeout: cfg.Tuning.ReadTimeout, limit: cfg.Tuning.MaxReads,
			start: cfg.Rand.Uint64(),
		},
	}
	if err := r.open(); err != nil {
		if r.wal != nil {
			_ = r.wal.Close()
		}
		return nil, err
	}
	// A leader's lease would trust clocks, and a transfer of leadership goes around it.
	readOnly := raft.ReadOnlySafe
	if planted.On(planted.ReadByLease) {
		readOnly = raft.ReadOnlyLeaseBased
	}
	node, err := raft.NewRawNode(&raft.Config{
		ID:                        uint64(cfg.Node),
		ElectionTick:              cfg.Tuning.ElectionTicks,
		HeartbeatTick:             heartbeatTicks,
		Storage:                   r.log,
		Applied:                   r.applied,
		MaxSizePerMsg:             maxAppendBytes,
		MaxCommittedSizePerReady:  maxApplyBytes,
		MaxUncommittedEntriesSize: uint64(cfg.Tuning.MaxUncommitted),
		MaxInflightMsgs:           maxInflight,
		MaxInflightBytes:          maxInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            readOnly,
		// What a leader proposes is made by the leader.
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{cfg.Logger},
	})
	if err != nil {
		_ = r.wal.Close()
		return nil, fmt.Errorf("raftnode: start raft: %w", err)
	}
	r.node = node
	r.role = r.restingRole()
	if cfg.MembersChanged != nil {
		cfg.MembersChanged(r.members.members())
	}
	return r, nil
}

// Close ends the replica. Whatever waits is answered with ErrStopped.
func (r *Replica) Close() error {
	if r.dead != nil {
		return nil
	}
	return r.die(ErrStopped)
}

// die ends everything, with the reason.
func (r *Replica) die(err error) error {
	r.dead = err
	r.abortSnapshot()
	if r.leading || r.leader != 0 {
		r.leading, r.leader, r.role = false, 0, r.restingRole()
		r.cfg.Machine.Unlead(0)
	}
	unknown := fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	r.reads.fail(err)
	if r.transfer != nil {
		r.transfer.done(unknown)
	}
	if r.change != nil {
		r.change.done(unknown)
	}
	r.transfer, r.change = nil, nil
	return r.wal.Close()
}

// restingRole is what the replica is when it neither leads nor wants to.
func (r *Replica) restingRole() Role {
	if r.members.voter(r.cfg.Node) {
		return Follower
	}
	return Learner
}
