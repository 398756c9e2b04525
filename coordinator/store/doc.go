// Package store is the state of a cell: one revisioned key-value store that
// holds user keys, locks and elections, and rows of the machine's own beside
// them.
//
// # What it promises
//
//   - The revision rises by one for every revision that changes a record, and
//     for nothing else. An empty store is at revision 1; the first change is
//     revision 2. Several changes of one revision keep their order.
//   - The rules of keys are those of etcd v3: create revision, mod revision
//     and version of a record, ranges, transactions, reads at a past
//     revision, watching from a revision, compaction.
//   - The state is a function of the calls alone, and of the rows that the machine
//     keeps newer than it set them, if it does (Store.Newest). How they were grouped into
//     batches (Begin to Commit) leaves no trace: two stores that were given
//     the same calls have the same Hash and write the same Snapshot, byte for
//     byte.
//   - Everything is in a Snapshot, and Restore refuses what is not one.
//
// # What it does not promise
//
//   - Durability. Everything lies in memory; the log and the snapshots of the
//     node that owns the store bring it back.
//   - Rolling back. A batch cannot be abandoned: what might be refused is
//     refused before the first write (see Tx.Txn). A panic within a batch is
//     not recovered and must end the process.
//   - Use from several goroutines. One goroutine owns a Store and everything
//     that comes from it.
//
// # How it works
//
// Rows lie in buntdb, opened in memory, without expiry, files or indexes.
// buntdb starts one goroutine of its own, which wakes once a second and finds
// nothing to do; Close ends it. The first byte of a row's key names its table,
// so that the order of rows is: history, records, rows of the machine.
//
//  1. A write finds the current record, builds the next one and sets its row.
//  2. It appends an event, with the record as it was before, to the open chunk
//     of the history. The open chunk lies beside buntdb, as it changes with
//     every event; snapshots, hashes and readers see it as if it were a row.
//  3. At the end of a revision the open chunk, once it has 64 events or 16 KiB,
//     becomes a row of the history named by its first revision. A revision
//     never spans two chunks.
//  4. Closing a chunk, AutoCompact and Compact move the compacted revision
//     ahead; whole chunks below it are dropped, two at a time.
//
// A read at a past revision undoes, on today's records, the events since then:
// the first event after revision R that touches a key holds what the key was
// at R. It costs time in proportion to the events since R.
//
// A snapshot is walked in pieces while writes go on: the first change of a row
// that the walk has not reached keeps the row as it was.
package store
