// Package wal is the log of one Raft group on disk.
//
// The promise: what an [Log.Append] with Sync acknowledged is there after any
// crash, and when it is not, [Open] says so and refuses. It never returns a log
// that silently lacks an acknowledged entry because of a flipped bit, a zeroed
// sector, a truncated or a missing file.
//
// Not promised: to find damage of the very last acknowledged frame while
// nothing was written after it. It looks like a write that a power cut tore,
// which has to be cut. [Log.Seal], called when the log falls idle, closes this
// hole with an empty frame. Nor can a log know that its whole directory was put
// back to an older copy, or removed: [Contents.New] lets the caller notice the
// latter.
//
// # Files
//
// A directory holds segments 0000000000000001.wal, 0000000000000002.wal and so
// on, a file next.tmp that becomes the next of them, and LOCK. A segment has its
// full size before it gets its name: zeros are written to next.tmp step by step,
// beside the appends ([Options.Background]), while the segment before it fills,
// so that a full disk is noticed a whole
// segment ahead ([Stats.NoSpace]), appending changes no metadata, and a segment
// shorter than it says is known to be damaged.
//
// A segment is a row of frames, each on a multiple of 8 bytes and padded with
// zeros to one:
//
//	 0  magic           4 bytes
//	 4  payload length  4
//	 8  payload check   4  CRC32C of payload and padding, begun with the header check of the frame before
//	12  header check    4  CRC32C of the other header bytes, begun with the segment's salt
//	16  sequence        8  +1 a frame
//	24  durable         8  the file was known durable up to this offset when the frame was written
//	32  payload
//
// All integers are little-endian. The salt is the payload check of a segment's
// first frame: it depends on all that was logged before, so no client can put
// bytes into an entry that look like a frame. An empty payload is a frame
// written by Seal. The kinds of payload are in record.go.
//
// # Recovery
//
//  1. Segments are read in order. Each begins with a head, which names where
//     the one before it ended and repeats the state and the mark.
//  2. Frames follow one another until one does not check. In a segment that has
//     a successor that is corruption, unless its end was reached.
//  3. In the last segment all that follows is searched for frames. If one of
//     them says that the bytes at the bad place were durable, this is corruption:
//     [CorruptError], nothing is changed.
//  4. Otherwise it is a torn tail, never acknowledged: it is overwritten with
//     zeros, so that none of it can ever be taken for a frame again.
//  5. What is not known to be durable is written once more and synced before
//     Open returns: after a sync that failed under another process the system
//     may show bytes that the disk never got.
package wal
