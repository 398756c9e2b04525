package sim

import (
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/conch-lock/conch/raftnode/disk"
	"github.com/conch-lock/conch/raftnode/snapshot"
	"github.com/conch-lock/conch/raftnode/wal"
)

// point is a place in a turn at which a node can crash.
type point uint8

const (
	atFile      point = iota // before any operation on files
	beforeSync               // what was written is not synced
	beforeSend               // it is synced, and nobody was told
	beforeApply              // others were told, and nothing is applied
	afterApply               // it is applied, and no client was told
	inSnapshot               // a snapshot is written in part

	points
)

var pointNames = [points]string{"at a file operation", "before fsync", "before a send", "before apply", "after apply", "within a snapshot"}

// storage is what goes wrong between a process and its disk.
type storage struct {
	fast     time.Duration // how long a sync takes at least
	slow     time.Duration // and at most
	point    point         // where it is to crash
	left     int           // after being there so often; 0: it is not
	failKind disk.OpKind   // the next but left operation of this kind fails; 0: none
	failLeft int
	full     bool
	broken   broken

	joint      bool // crash as soon as a joint configuration is entered
	lastAtFall uint64
	leadAtFall bool
}

func newStorage() storage {
	var s storage
	s.usual()
	return s
}

// usual is how long a sync takes on a disk that is well.
func (s *storage) usual() { s.fast, s.slow = 50*time.Microsecond, time.Millisecond }

func (s *storage) restarted() { s.broken = broken{} }

// broken is what must not happen any more in a process in which a write or a
// sync failed.
type broken struct {
	file string // that was written or synced
	op   disk.OpKind
}

// promise is asked before others are told that they can count on what is on the
// disk.
func (b broken) promise() error {
	if b.op == 0 || !strings.HasSuffix(b.file, ".wal") {
		return nil
	}
	return errors.New("a promise was sent after a failed " + b.op.String() + " of " + b.file)
}

// again is asked before every operation.
func (b broken) again(op disk.Op) error {
	if b.op != 0 && op.Name == b.file && (op.Kind == disk.OpSync || op.Kind == disk.OpWrite && b.op == disk.OpSync) {
		return errors.New("a " + op.Kind.String() + " of " + op.Name + " after its " + b.op.String() + " had failed")
	}
	return nil
}

// arm lets a node crash when it is at a point for the count-th time, if that is
// within the given time.
func (n *node) arm(p point, count int, within time.Duration) {
	if p != atFile && p != beforeSync {
		count = 1 + count/8
	}
	n.point, n.left = p, count
	run := n.run
	n.w.after(within, func() {
		if n.run == run {
			n.disarm()
		}
	})
}

func (n *node) disarm() {
	n.left, n.failKind, n.joint = 0, 0, false
}

// reach crashes the node if it was to crash here.
func (n *node) reach(p point) bool {
	if n.left == 0 || n.point != p {
		return false
	}
	if n.left--; n.left > 0 {
		return false
	}
	n.crash(pointNames[p])
	return true
}

// leads: it serves as the leader.
func (n *node) leads() bool { return n.up && n.cell.Leading() }

// hook sees every file operation: it takes time, it may fail, and the machine
// may crash.
func (n *node) hook(op disk.Op) error {
	if err := n.broken.again(op); err != nil {
		n.w.fail(FailStop, "node %v: %v", n.id, err)
	}
	if op.Kind == disk.OpCreate && op.Name == n.broken.file {
		n.broken = broken{} // another file under the name
	}
	if n.reach(atFile) {
		n.w.sometimes(crashedWriting)
		return disk.ErrCrashed
	}
	if op.Kind == disk.OpSync {
		leads := n.leads()
		if n.reach(beforeSync) {
			n.w.sometimes(crashedAfterWrite)
			if leads {
				n.w.sometimes(leaderCrashedAfterWrite)
			}
			return disk.ErrCrashed
		}
		n.lag += between(n.rng, n.fast, n.slow)
		n.promised = true
	}
	if n.failKind != 0 && op.Kind == n.failKind {
		if n.failLeft--; n.failLeft <= 0 {
			n.failKind = 0
			n.broken = broken{op.Name, op.Kind}
			return syscall.EIO
		}
	}
	return nil
}

// survival draws what outlives a crash of what was not synced: nothing, any part
// of it, all or none of each thing, or a last write that is torn.
func survival(rng *rand.Rand) disk.Survival {
	switch rng.IntN(4) {
	case 0:
		return disk.DropUnsynced()
	case 1:
		return disk.KeepSome(rng)
	case 2:
		return disk.Survival{Keep: func(k int) int { return k * rng.IntN(2) }}
	}
	return disk.TearLast(rng)
}

// diskFault lets something go wrong with a disk.
func (w *world) diskFault(kind Fault, rng *rand.Rand, n *node) bool {
	switch kind {
	case faultSlowDisk:
		w.sometimes(diskSlow)
		n.slow = between(rng, 5*time.Millisecond, 700*time.Millisecond)
		w.tell("node %v has a disk that takes up to %v", n.id, n.slow)
		w.after(between(rng, 100*time.Millisecond, 5*time.Second), n.usual)
	case faultFullDisk:
		w.sometimes(diskFull)
		if n.cell.Leading() {
			w.sometimes(leaderDiskFull)
		}
		w.tell("the disk of node %v is full", n.id)
		n.full = true
		n.fs.SetRoom(rng.Int64N(64 << 10))
		w.after(between(rng, time.Second, 15*time.Second), n.emptied)
	case faultSync:
		n.failKind, n.failLeft = disk.OpSync, 1+rng.IntN(20)
	case faultWrite:
		n.failKind, n.failLeft = disk.OpWrite, 1+rng.IntN(20)
	case faultDamage, faultLoseDisk:
		w.damage(kind, rng, n)
	default:
		return false
	}
	return true
}

func (n *node) emptied() {
	n.full = false
	n.fs.SetRoom(-1)
}

// stopped: the replica ended itself. It may do so only for a reason.
func (n *node) stopped(err error) {
	n.w.tell("node %v stops: %v", n.id, err)
	n.excuse(err)
	n.crash("after an error")
}

// excuse holds a failure against what was done to the node.
func (n *node) excuse(err error) {
	switch {
	case errors.Is(err, syscall.ENOSPC) && n.full:
	case n.broken.op == disk.OpSync && errors.Is(err, syscall.EIO):
		n.w.sometimes(syncFailed)
	case n.broken.op == disk.OpWrite && errors.Is(err, syscall.EIO):
		n.w.sometimes(writeFailed)
	default:
		n.w.fail(Damage, "node %v stopped, though nothing was done to it: %v", n.id, err)
	}
}

// startFailed judges a process that does not come up.
func (n *node) startFailed(err error) {
	n.w.tell("node %v does not start: %v", n.id, err)
	if n.wounded && named(err) {
		n.w.sometimes(damageRefused)
		if strings.Contains(err.Error(), "its log is gone") {
			n.w.sometimes(diskLost)
		}
		n.refused = true
		n.fs.Crash(disk.KeepUnsynced())
		n.w.operator.want(n)
		return
	}
	if n.hurt && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
		n.w.fail(Damage, "node %v refuses its data without naming the damage: %v", n.id, err)
		return
	}
	n.excuse(err)
	n.fs.Crash(survival(n.rng))
	n.w.after(between(n.rng, 50*time.Millisecond, 2*time.Second), n.start)
}

// scar takes notice of new snapshots. What the log has was read whole when the
// node started; of its snapshots the one before the newest may still be damaged.
func (n *node) scar() {
	if s := n.replica.Status().Snapshot; s > n.newest {
		n.newest = s
		n.scars--
	}
	n.wounded = n.scars > 0
}

// named says whether an error tells which data are damaged.
func named(err error) bool {
	var log *wal.CorruptError
	var file *snapshot.CorruptError
	return errors.As(err, &log) || errors.As(err, &file) || strings.Contains(err.Error(), "its log is gone") ||
		strings.Contains(err.Error(), "no usable snapshot")
}

// news is what a node's logger tells.
type news struct{ n *node }

// Write takes one line.
func (l news) Write(line []byte) (int, error) {
	w, text := l.n.w, string(line)
	switch {
	case strings.Contains(text, "was cut from the log"):
		w.sometimes(tornTail)
	case strings.Contains(text, "a snapshot is damaged"):
		w.sometimes(damageRepaired)
	case strings.Contains(text, "no room for a snapshot"):
		w.sometimes(snapshotPutOff)
	case strings.Contains(text, "a snapshot was installed"):
		w.witness.installed(l.n)
	case strings.Contains(text, "a message was refused") && !excused(text):
		w.fail(RefusedPeer, "node %v: %s", l.n.id, text)
	}
	return len(line), nil
}

// excused says whether a correct peer may have sent what was refused: it was
// removed, or this node does not know it yet, or it answers something that this
// node sent before it crashed and forgot.
func excused(text string) bool {
	for _, why := range []string{"was removed", "not a member", "it answers"} {
		if strings.Contains(text, why) {
			return true
		}
	}
	return false
}

// died notes how things stand when a node crashes.
func (n *node) died() {
	n.leadAtFall = n.up && n.cell.Leading()
	n.lastAtFall = 0
	if n.leadAtFall {
		for _, p := range n.w.nodes {
			if p != n && p.up {
				n.lastAtFall = max(n.lastAtFall, p.replica.Status().Last)
			}
		}
	}
}

// started compares with that.
func (n *node) started() {
	if n.leadAtFall && n.lastAtFall > n.replica.Status().Last {
		n.w.sometimes(followerAhead)
	}
	n.leadAtFall = false
}
