package raftnode

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/raftnode/snapshot"
)

const (
	// keepSnapshots is how many snapshots stay on disk. The log is kept from the older one on, so that damage to the newer
	// one loses nothing.
	keepSnapshots = 2
	// snapshotPause is how long a snapshot is put off that found the disk full.
	snapshotPause = 30 * time.Second
	// wantedPause is the same when another node waits for it: it has no other way to come back, and the group may be unable
	// to commit without it.
	wantedPause = time.Second
	// snapshotPiece is the size of the buffer handed to SnapshotSource.Next.
	snapshotPiece = 64 << 10
)

// snapshotFile is a snapshot on disk.
type snapshotFile struct {
	index, term uint64
	path        string
}

// taking is a snapshot of the machine on its way to a file.
type taking struct {
	source  SnapshotSource // nil when all of it is written
	writer  *snapshot.Writer
	index   uint64
	term    uint64
	members membership
	next    time.Duration // when the next pieces are due
	written int64         // bytes since the last sync
	sync    *syncing      // under way, nil: none
}

// syncing is a sync of the file, of a part of it or, with the end, of all, which does not hold up the turns. Meanwhile the
// writer is not touched by anybody else.
type syncing struct {
	result chan synced
	state  atomic.Int32 // of the sync, for who gives the snapshot up meanwhile
}

// The states of a sync.
const (
	syncRuns int32 = iota
	syncEnded
	syncAbandoned // whoever ends it removes the file
)

// synced is the end of a sync.
type synced struct {
	path string // of the snapshot, when it is whole
	err  error
}

// advanceSnapshot begins a snapshot when one is due, and writes the next pieces of the one under way when it is their time.
func (r *Replica) advanceSnapshot(now time.Duration) error {
	t := r.taking
	switch {
	case t == nil && r.snapshotDue(now):
		return r.putOff(now, r.beginSnapshot(now))
	case t == nil:
		return nil
	case t.sync != nil:
		return r.snapshotSynced(now, t)
	case now < t.next:
		return nil
	}
	return r.putOff(now, r.writeSnapshot(now, t))
}

// snapshotSynced goes on when a sync has ended; a turn is given then.
func (r *Replica) snapshotSynced(now time.Duration, t *taking) error {
	select {
	case s := <-t.sync.result:
		t.sync = nil
		if t.source == nil { // all of it is on disk, or none
			r.taking = nil
		}
		switch {
		case s.err != nil:
			return r.putOff(now, fmt.Errorf("write a snapshot: %w", s.err))
		case t.source == nil:
			return r.finishSnapshot(t, s.path)
		}
	default:
	}
	return nil
}

// pieceDue is when the next piece of a snapshot under way is to be written; false: there is none.
func (r *Replica) pieceDue() (time.Duration, bool) {
	if r.taking == nil || r.taking.sync != nil {
		return 0, false
	}
	return r.taking.next, true
}

// breath is how long to the next piece. Once half of what makes the next snapshot due has been applied since this one began
// it gets shorter: one that takes too long makes the log longer that a restart has to apply.
func (r *Replica) breath() time.Duration {
	most := r.cfg.Tuning.SnapshotBytes
	left := min(1, 2*float64(max(0, most-r.since))/float64(most))
	return time.Duration(float64(r.cfg.Tuning.SnapshotPause) * left)
}

// putOff turns the failure of a snapshot for want of room into another try later: the state is as safe in the log as
// before. Every other failure stays one.
func (r *Replica) putOff(now time.Duration, err error) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	r.abortSnapshot()
	r.since = max(r.since, r.cfg.Tuning.SnapshotBytes) // it is still due
	r.refusedAt, r.noRoom = now, true
	r.cfg.Logger.Error().Err(err).Dur("again", r.pause()).Msg("no room for a snapshot")
	return nil
}

// pause is how long after a snapshot that found the disk full the next one is tried.
func (r *Replica) pause() time.Duration {
	if r.log.wanted {
		return wantedPause
	}
	return snapshotPause
}

// snapshotDue tells whether so much was applied since the last snapshot that a new one pays.
func (r *Replica) snapshotDue(now time.Duration) bool {
	if len(r.files) == 0 || r.applied <= r.files[0].index || r.noRoom && now < r.refusedAt+r.pause() {
		return false
	}
	// A new member may need one that knows it.
	due := r.log.wanted || r.since >= r.cfg.Tuning.SnapshotBytes || r.applied-r.files[0].index >= r.cfg.Tuning.SnapshotEntries
	// Where the newest snapshot was lost, the log is marked beyond what has been applied again so far.
	return due && r.applied >= r.wal.Stats().Base
}

// beginSnapshot pins the state.
func (r *Replica) beginSnapshot(now time.Duration) error {
	m := r.metaAt(r.applied, r.appliedTerm, r.members)
	w, err := snapshot.Create(r.cfg.FS, r.snapshotDir(), m)
	if err != nil {
		return fmt.Errorf("begin a snapshot: %w", err)
	}
	r.taking = &taking{
		source: r.cfg.Machine.Snapshot(), writer: w,
		index: r.applied, term: r.appliedTerm, members: r.members, next: now,
	}
	if r.piece == nil {
		r.piece = make([]byte, snapshotPiece)
	}
	r.since = 0
	return nil
}

// writeSnapshot writes a few pieces, and has the file made durable when all are written, or enough for a sync.
func (r *Replica) writeSnapshot(now time.Duration, t *taking) error {
	t.next = now + max(0, r.breath())
	for range r.cfg.Tuning.SnapshotSlices {
		piece, done := t.source.Next(r.piece)
		if _, err := t.writer.Write(piece); err != nil {
			return fmt.Errorf("write a snapshot: %w", err)
		}
		t.written += int64(len(piece))
		w := t.writer
		if done {
			t.source.Close()
			t.source = nil
			r.syncSnapshot(t, w.Commit)
			return nil
		}
		if t.written >= r.cfg.Tuning.SnapshotSync {
			t.written = 0
			r.syncSnapshot(t, func() (string, error) { return "", w.Sync() })
			return nil
		}
	}
	return nil
}

// syncSnapshot syncs the file beside the turns.
func (r *Replica) syncSnapshot(t *taking, do func() (string, error)) {
	s := &syncing{result: make(chan synced, 1)}
	t.sync = s
	w := t.writer
	r.cfg.Background(func() {
		path, err := do()
		if !s.state.CompareAndSwap(syncRuns, syncEnded) {
			w.Abort()
		}
		s.result <- synced{path, err}
	})
}

// finishSnapshot lets the log begin at a snapshot that is durable: it is marked, what nobody needs any more is dropped,
// and only then old snapshots are removed.
func (r *Replica) finishSnapshot(t *taking, file string) error {
	f := snapshotFile{t.index, t.term, file}
	if t.index <= r.files[0].index {
		return r.remove([]snapshotFile{f}) // overtaken by one from the leader
	}
	mark := r.wal.Mark
	if planted.On(planted.SnapshotNotMarked) {
		mark = func(index, term uint64) error { return nil }
	}
	if err := mark(t.index, t.term); err != nil {
		return fmt.Errorf("mark a snapshot in the log: %w", err)
	}
	r.log.setSnapshot(raftSnapshot(t.index, t.term, t.members), r.members)
	r.log.compact(r.heldFrom(r.log.trailing(t.index, r.cfg.Tuning.TrailingEntries, r.cfg.Tuning.SnapshotBytes)))
	r.noRoom = false
	r.cfg.Logger.Info().Uint64("index", t.index).Msg("a snapshot was taken")
	return r.addFile(f)
}

// addFile makes f the newest snapshot, and drops what lies before those that are kept: old snapshots, and the log.
func (r *Replica) addFile(f snapshotFile) error {
	r.files = append([]snapshotFile{f}, r.files...)
	kept := r.files[:min(len(r.files), keepSnapshots)]
	old := r.files[len(kept):]
	r.files = kept
	if err := r.remove(old); err != nil {
		return err
	}
	oldest := kept[len(kept)-1]
	if planted.On(planted.LogReleasedTooFar) {
		oldest = kept[0]
	}
	if err := r.wal.Release(oldest.index); err != nil {
		return fmt.Errorf("remove old parts of the log: %w", err)
	}
	return nil
}

// remove removes snapshot files that serve no more. Should a crash bring one back, the next start removes it again.
func (r *Replica) remove(files []snapshotFile) error {
	for _, f := range files {
		if err := r.cfg.FS.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old snapshot: %w", err)
		}
	}
	return nil
}

// abortSnapshot gives up the snapshot under way. One that is whole, and is being made durable, is left to itself.
func (r *Replica) abortSnapshot() {
	t := r.taking
	if t == nil || t.source == nil {
		return
	}
	t.source.Close()
	if t.sync == nil || !t.sync.state.CompareAndSwap(syncRuns, syncAbandoned) {
		t.writer.Abort()
	}
	r.taking = nil
}

func (r *Replica) snapshotDir() string { return snapshotDir(r.cfg.Dir) }

// logName is the folder of the log in that of the group.
const logName = "log"

func (r *Replica) logDir() string { return path.Join(r.cfg.Dir, logName) }

func snapshotDir(dir string) string { return path.Join(dir, "snapshots") }
