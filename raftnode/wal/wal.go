package wal

// Limits of what can be logged. Past them Append refuses.
const (
	MaxStateBytes = 4 << 10  // of Batch.State
	MaxFrameBytes = 64 << 20 // of a batch as a whole, 16 bytes an entry included
	MinSegment    = 16 << 10 // of Options.SegmentBytes
	MaxSegment    = 1 << 30
)

// DefaultSegmentBytes is the size of a segment file unless Options say
// otherwise.
const DefaultSegmentBytes = 64 << 20

// Entry is an entry of the Raft log.
type Entry struct {
	Index uint64 // from 1
	Term  uint64
	Type  uint8  // the caller's, kept as it is
	Data  []byte // the caller's; nil and empty are the same and read back as nil
}

// Mark says that a snapshot at Index, whose entry has Term, is durable. The
// zero Mark is none.
type Mark struct {
	Index, Term uint64
}

// Batch is what Append logs at once: after a crash all of it is there or none.
type Batch struct {
	// State replaces the hard state; nil leaves it as it is. Opaque, at most
	// MaxStateBytes.
	State []byte

	// Mark, if not zero, is applied before the entries, as Log.Mark does.
	Mark Mark

	// Entries have rising indexes without a gap. The first may be at most one
	// past the last of the log, and replaces it and all after it when it is
	// less. None may be at or below the mark.
	Entries []Entry

	// Sync makes this batch, and all before it, durable before Append returns.
	Sync bool
}

// Options are settings of a log. The zero value is good for production.
type Options struct {
	// SegmentBytes is the size of a segment file, MinSegment to MaxSegment;
	// 0 is DefaultSegmentBytes. A segment is larger when one batch needs it.
	// It may differ from one Open to the next.
	SegmentBytes int64

	// Identity is written into every segment, and a log with another one is
	// refused with ErrIdentity: a group can hand in what tells it from all
	// others. 0 is an identity like any other.
	Identity uint64

	// Background runs work on the file that is prepared as the next segment
	// beside the appends, or later, or never. Nil: the work is done in place,
	// and an append now and then takes some milliseconds for it.
	Background func(work func())
}

// Contents is what Open found.
type Contents struct {
	State          []byte  // the last hard state; nil when there never was one
	Base, BaseTerm uint64  // the last mark; 0, 0 without one
	Entries        []Entry // without a gap; they begin at Base+1 or earlier, or there are none
	Torn           int64   // bytes cut: a write that a crash interrupted; never acknowledged
	New            bool    // there was no log, one was made
}

// Stats counts what a log did since Open and what it holds.
type Stats struct {
	First, Last uint64 // indexes held; Last is the mark's, and First one more, when there are none
	Base        uint64 // the mark
	Segments    int    // files, without the prepared one
	Bytes       int64  // their sizes, and of the prepared one as far as it is written
	Used        int64  // bytes of the active segment that hold frames
	Frames      uint64 // written since Open
	Written     uint64 // bytes of these frames
	Syncs       uint64 // since Open

	// NoSpace: the disk was full when the next segment was last prepared.
	// Appends go on until the active segment is full, and then fail. Preparing
	// is tried again as the log grows and in Seal.
	NoSpace bool
}
