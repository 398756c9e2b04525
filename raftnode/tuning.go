package raftnode

import (
	"fmt"
	"time"
)

// Tuning holds the sizes and times of a replica. The zero value of a field means its default.
type Tuning struct {
	// Tick is the unit in which raft counts time. Default 50 ms. The leader sends a heartbeat every second tick.
	Tick time.Duration
	// ElectionTicks is how long a follower hears nothing from its leader before it asks for an election: a random time
	// between this many ticks and twice as many. A leader that hears nothing from a majority for this long steps down.
	// Default 12 (600 ms to 1.2 s), at least 4.
	ElectionTicks int
	// CampaignJitter bounds the random delay after which a follower whose connection to the leader broke asks for an
	// election: it keeps two followers that saw the same break from splitting the vote. Default 100 ms.
	CampaignJitter time.Duration

	// GatherTime is how long proposals wait at most for a round of many others to be committed, so that they make one
	// round together. Default 1 ms.
	GatherTime time.Duration
	// NewsDelay is after what time a node that nobody waits on hears of a commit, when no entries are sent to it before.
	// Default 1 ms.
	NewsDelay time.Duration
	// MaxProposal bounds one payload in bytes. Default 1 MiB, at most 4 MiB.
	MaxProposal int
	// MaxUncommitted bounds the bytes of what a leader has proposed and not seen committed; what is proposed beyond it is
	// dropped, and proposed again. Without a bound a leader that cannot commit takes proposals until its memory is full.
	// Default 64 MiB.
	MaxUncommitted int64

	// SnapshotBytes is how many bytes of entries are applied before the next snapshot is begun, and so how much a restart
	// has to apply again. Default 16 MiB, at most some 400,000 requests.
	SnapshotBytes int64
	// SnapshotEntries is the same in entries. Default 1,000,000.
	SnapshotEntries uint64
	// SnapshotSlices is how many pieces of a snapshot under way, of some 64 KiB, are written in one turn. Default 1:
	// whoever asks for something meanwhile waits for no more than that.
	SnapshotSlices int
	// SnapshotPause is how long at least the pieces of a snapshot under way are apart: writing them as fast as can be takes
	// a core, for seconds when the state is large. It gets shorter when many entries come in meanwhile, down to nothing when
	// the next snapshot is due. Default 5 ms; less than 0: none.
	SnapshotPause time.Duration
	// SnapshotSync is after how many bytes a snapshot under way is synced: a disk that is given all of it at the end makes
	// the log wait. Default 1 MiB.
	SnapshotSync int64
	// TrailingEntries is how many entries before the last snapshot stay in memory, for followers that lag a little.
	// Default 10,000.
	TrailingEntries uint64
	// SnapshotHold is how long after a snapshot was sent the entries that follow it are kept for the receiver, which
	// has to restore it before it can take them. Default 60 s.
	SnapshotHold time.Duration
	// SegmentBytes is the size of one file of the log. Default 64 MiB.
	SegmentBytes int64

	// ReadRetry is after how long an unanswered round of reads is asked again. Default 4 ticks.
	ReadRetry time.Duration
	// ReadTimeout is how long a read waits in all. Default 5 s.
	ReadTimeout time.Duration
	// MaxReads bounds the reads that wait. Default 65,536.
	MaxReads int

	// PromoteLag is how many entries a learner may lack and still be promoted. Default 1,000.
	PromoteLag uint64
	// ChangeTimeout is how long a change of members is waited for. Default 10 s.
	ChangeTimeout time.Duration
}

// withDefaults returns t with the defaults in place of zeros.
func (t Tuning) withDefaults() Tuning {
	defaultTo(&t.Tick, 50*time.Millisecond)
	defaultTo(&t.ElectionTicks, 12)
	defaultTo(&t.CampaignJitter, 100*time.Millisecond)
	defaultTo(&t.GatherTime, time.Millisecond)
	defaultTo(&t.NewsDelay, time.Millisecond)
	defaultTo(&t.MaxProposal, 1<<20)
	defaultTo(&t.MaxUncommitted, 64<<20)
	defaultTo(&t.SnapshotBytes, 16<<20)
	defaultTo(&t.SnapshotEntries, 1_000_000)
	defaultTo(&t.SnapshotSlices, 1)
	defaultTo(&t.SnapshotPause, 5*time.Millisecond)
	defaultTo(&t.SnapshotSync, 1<<20)
	defaultTo(&t.TrailingEntries, 10_000)
	defaultTo(&t.SnapshotHold, 60*time.Second)
	defaultTo(&t.SegmentBytes, 64<<20)
	defaultTo(&t.ReadRetry, 4*t.Tick)
	defaultTo(&t.ReadTimeout, 5*time.Second)
	defaultTo(&t.MaxReads, 1<<16)
	defaultTo(&t.PromoteLag, 1000)
	defaultTo(&t.ChangeTimeout, 10*time.Second)
	return t
}

// validate reports what is out of range in t, whose defaults are in place.
func (t Tuning) validate() error {
	switch {
	case t.Tick < time.Millisecond || t.Tick > 10*time.Second:
		return fmt.Errorf("raftnode: tick of %v: allowed are 1 ms to 10 s", t.Tick)
	case t.ElectionTicks < 4 || t.ElectionTicks > 1000:
		return fmt.Errorf("raftnode: %d election ticks: allowed are 4 to 1000", t.ElectionTicks)
	case t.CampaignJitter < 0 || t.CampaignJitter > time.Duration(t.ElectionTicks)*t.Tick:
		return fmt.Errorf("raftnode: campaign jitter of %v: allowed are 0 to the election time of %v",
			t.CampaignJitter, time.Duration(t.ElectionTicks)*t.Tick)
	case t.GatherTime < 0 || t.GatherTime > t.Tick || t.NewsDelay < 0 || t.NewsDelay > t.Tick:
		return fmt.Errorf("raftnode: gather time of %v, news delay of %v: allowed are 0 to a tick (%v)", t.GatherTime, t.NewsDelay, t.Tick)
	case t.MaxProposal < 1 || t.MaxProposal > 4<<20:
		return fmt.Errorf("raftnode: proposals of %d bytes: allowed are 1 to 4 MiB", t.MaxProposal)
	case t.MaxUncommitted < 1:
		return fmt.Errorf("raftnode: %d uncommitted bytes: at least 1", t.MaxUncommitted)
	case t.SnapshotBytes < 1 || t.SnapshotSlices < 1 || t.SnapshotHold < 0 || t.SegmentBytes < 1:
		return fmt.Errorf("raftnode: snapshot bytes %d, slices %d, hold %v, segment bytes %d: none may be negative",
			t.SnapshotBytes, t.SnapshotSlices, t.SnapshotHold, t.SegmentBytes)
	case t.ReadRetry < t.Tick || t.ReadTimeout < t.ReadRetry:
		return fmt.Errorf("raftnode: reads retried after %v and given up after %v: the first must be at least a tick (%v), the second at least the first",
			t.ReadRetry, t.ReadTimeout, t.Tick)
	case t.MaxReads < 1:
		return fmt.Errorf("raftnode: %d waiting reads: at least 1", t.MaxReads)
	case t.ChangeTimeout < t.Tick:
		return fmt.Errorf("raftnode: change timeout of %v: at least a tick (%v)", t.ChangeTimeout, t.Tick)
	}
	return nil
}

// defaultTo sets *v to d when it is zero.
func defaultTo[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
