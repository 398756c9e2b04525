// Package machine is the state of a cell as a function of its log: every node
// applies the same entries and has the same sessions, locks, elections, keys,
// tokens and replies.
//
// An entry is a [Header], which moves cluster time, and a batch of commands
// ([Command]). Applying it first ends what has fallen due, and then goes, for
// each command in order:
//
//  1. Exactly-once: a sequence that was answered before gets the same bytes
//     again, and nothing happens.
//  2. The command changes sessions, locks, elections and keys. What it changes of
//     the revisioned spaces gets one revision; what a tick makes fall due gets
//     one revision for each session that ends, each wait or delay that is over
//     and each leader that is pre-empted.
//  3. Records and rows that changed go to the store, inside one transaction for
//     all entries that are applied together; but for the deadline of a session,
//     which changes so often that it lies in the table of sessions alone.
//  4. The reply, and what other sessions have to be told, go to the caller as
//     an [Output].
//
// Cluster time moves by headers alone, in the same order everywhere. Wall time
// comes with an entry too and is for people only: nothing is decided by it, and
// it never goes back.
//
// A malformed command is answered and counted, and changes nothing, on all
// replicas alike, and so is an entry with a malformed header counted; an entry of an unknown version stops the process, because a
// node that skipped it would no longer be equal to the others.
//
// The state lies in the store ([store.Store]), which asks for deadlines when it is
// written to a snapshot; sessions, locks and elections keep indexes of it in memory,
// which a snapshot does not contain: they are rebuilt from it.
//
// The package is pure: no clock, no randomness, no goroutine, no I/O.
package machine
