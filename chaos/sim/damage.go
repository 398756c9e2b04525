package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"github.com/conch-lock/conch/raftnode/disk"
	"github.com/conch-lock/conch/raftnode/wal"
)

// The directories of a node's files.
const (
	logDir      = "cell/log"
	snapshotDir = "cell/snapshots"
)

// damage kills a node and damages its data while it is down. No more than a
// minority of the voters is ever damaged: what a majority has lost nobody can
// give back.
func (w *world) damage(kind Fault, rng *rand.Rand, n *node) {
	if !w.spare(n) {
		return
	}
	n.crash("to be damaged")
	if kind == faultLoseDisk {
		if !n.begun {
			return
		}
		w.tell("the disk of node %v is lost", n.id)
		n.fs = disk.NewMem()
		n.fs.SetHook(n.hook)
		n.hurt, n.wounded = true, true
		return
	}
	before, err := readLog(n.fs)
	if err != nil {
		w.fail(Damage, "node %v: its log does not open after a crash: %v", n.id, err)
		return
	}
	for range 1 + rng.IntN(3) {
		what := n.damageOne(rng)
		if what == "" {
			continue
		}
		w.tell("node %v: %s", n.id, what)
		n.hurt, n.wounded = true, true
	}
	after, err := readLog(n.fs)
	if err == nil && !after.New { // a replica that has begun refuses a log that is gone
		w.check(Damage, silent(before, after))
	}
}

// logIdentity is what the log of the simulated group calls itself.
func logIdentity() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%x/%x", uint64(clusterID), uint64(groupID))
	return h.Sum64()
}

// readLog opens a copy of a node's log.
func readLog(fs *disk.Mem) (wal.Contents, error) {
	copied := fs.Clone()
	l, c, err := wal.Open(copied, logDir, wal.Options{SegmentBytes: wal.MinSegment, Identity: logIdentity()})
	if err != nil {
		return c, err
	}
	return c, l.Close()
}

// silent says what a log that opened after it was damaged lacks of what it had.
func silent(before, after wal.Contents) error {
	switch {
	case string(before.State) != string(after.State):
		return errors.New("damage changed the hard state, and nobody noticed")
	case before.Base != after.Base || before.BaseTerm != after.BaseTerm:
		return errors.New("damage changed the mark of the snapshot, and nobody noticed")
	case !slices.EqualFunc(needed(before), needed(after), func(a, b wal.Entry) bool {
		return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && string(a.Data) == string(b.Data)
	}):
		return fmt.Errorf("damage changed the log of %d entries into one of %d, and nobody noticed", len(before.Entries), len(after.Entries))
	}
	return nil
}

// needed are the entries that no snapshot replaces.
func needed(c wal.Contents) []wal.Entry {
	i := 0
	for i < len(c.Entries) && c.Entries[i].Index <= c.Base {
		i++
	}
	return c.Entries[i:]
}

// damageOne damages one file and says what it did, "" for nothing.
func (n *node) damageOne(rng *rand.Rand) string {
	names := n.files()
	if len(names) == 0 {
		return ""
	}
	name := names[rng.IntN(len(names))]
	data, err := n.fs.ReadFile(name)
	if err != nil || len(data) == 0 {
		return ""
	}
	first, end := int64(0), int64(len(data))
	if name == n.lastSegment() {
		// Damage of the very last batch, with nothing after it, looks like a
		// write that a crash tore: package wal says so.
		if end = lastFrame(data); end == 0 {
			return ""
		}
	}
	at := first + rng.Int64N(end)
	last := name == n.lastSegment()
	switch rng.IntN(4) {
	case 0:
		_ = n.fs.ZeroSector(name, at/disk.SectorBytes)
		if (at/disk.SectorBytes+1)*disk.SectorBytes > end && last {
			_ = n.fs.WriteFile(name, data)
			return ""
		}
		return fmt.Sprintf("sector %d of %s is zeroed", at/disk.SectorBytes, name)
	case 1:
		_ = n.fs.WriteFile(name, data[:at])
		return fmt.Sprintf("%s is cut to %d of %d bytes", name, at, len(data))
	case 2:
		if last && n.wounded {
			// The end of the segment before, which says that there is another, may
			// be gone, too: then the log looks like one that ends there, torn.
			return ""
		}
		_ = n.fs.Remove(name)
		_ = n.fs.SyncDir(path.Dir(name))
		return name + " is removed"
	}
	_ = n.fs.FlipBit(name, at, uint(rng.IntN(8)))
	return fmt.Sprintf("a bit of byte %d of %s is flipped", at, name)
}

// files lists the segments of the log and the snapshots.
func (n *node) files() []string {
	var l []string
	for _, dir := range []string{logDir, snapshotDir} {
		names, err := n.fs.List(dir)
		if err != nil {
			continue
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".wal") || strings.HasSuffix(name, ".snap") {
				l = append(l, path.Join(dir, name))
			}
		}
	}
	return l
}

func (n *node) lastSegment() string {
	last := ""
	for _, name := range n.files() {
		if strings.HasSuffix(name, ".wal") {
			last = max(last, name)
		}
	}
	return last
}

// lastFrame is where the last frame of a segment begins that says something: up
// to there damage must be noticed. Behind it are frames without content, which
// say that all before them is durable.
func lastFrame(segment []byte) int64 {
	const header, align = 32, 8
	if len(segment) < header {
		return 0 // it was cut before
	}
	magic := binary.LittleEndian.Uint32(segment)
	last, sealed := int64(0), false
	for at := int64(0); at+header <= int64(len(segment)); {
		if binary.LittleEndian.Uint32(segment[at:]) != magic {
			break
		}
		length := int64(binary.LittleEndian.Uint32(segment[at+4:]))
		durable := int64(binary.LittleEndian.Uint64(segment[at+24:]))
		if length == 0 && durable == at {
			sealed = true // the frame before it is proven
		} else {
			last, sealed = at, false
		}
		at += header + (length+align-1)/align*align
		if sealed {
			last = at - header
		}
	}
	return last
}
