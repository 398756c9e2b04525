// Package disk is the file system as the log and the snapshots see it: few
// operations, each with a stated durability, in two implementations.
//
// [OS] is the real one. [Mem] lives in memory, remembers what has not been
// synced, and can lose it the way a power cut does; simulation and crash
// enumeration run on it.
//
// What is durable when:
//
//  1. Bytes written to a file, and its size, once [File.Sync] returned nil; those
//     of a [WriteSync] once that did.
//  2. The name of a created, renamed or removed file, once [FS.SyncDir] of its
//     directory returned nil. Syncing the file does not make its name durable.
//  3. A directory, once [FS.MkdirAll] returned nil.
//
// After a Sync that failed nothing is known about the bytes written since the
// one before: the kernel may have dropped them and call them clean, so a second
// Sync that succeeds proves nothing. Callers stop using the file.
package disk
