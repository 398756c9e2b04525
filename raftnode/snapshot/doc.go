// Package snapshot keeps the snapshots of one Raft group as checksummed files.
//
// The promise: a file that has a snapshot's name is complete and durable; two
// snapshots with the same meta and content are the same bytes on every node;
// and a reader never returns io.EOF for a content that is not, byte for byte,
// what was written.
//
// Not promised: that bytes read before io.EOF are part of a good snapshot. Each
// block is checked before any of it is handed out, the whole only at its end.
// So build the new state aside, and use it when io.EOF has come.
//
// A snapshot comes to be in this order:
//
//  1. Create makes a temporary file, Write fills it.
//  2. Commit syncs it, renames it, and syncs the directory.
//  3. The caller marks the log, and only then lets Retain remove older ones.
//
// One that comes from another node is written by Receive and stays aside until
// Adopt gives it its name, which comes before the mark, too.
//
// # File
//
// All integers are little-endian, checks are CRC32C.
//
//	header   magic (8 bytes), version (4), length of conf (4), index, term, cluster, group (8 each), conf, check of all this (4)
//	block    length 1 to 65536 (4), check of the block's number (8 bytes) and bytes (4), bytes; all but the last are full
//	...
//	trailer  0 (4), check of the rest of the trailer (4), length of the content (8), SHA-256 of header and content (32)
package snapshot
