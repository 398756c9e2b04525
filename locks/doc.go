// Package locks decides who holds and who waits.
//
// A [Claim] asks for one or several locks as a whole, each in a mode:
// exclusive, shared, or some permits of a capacity. It is granted as a whole or
// waits as a whole. What happens to a claim, in order:
//
//  1. It is accepted and takes its place at the end of the queue of each of its
//     locks. The order of acceptance is one order for the whole cell, so no set
//     of waiting claims can block each other in a circle.
//  2. It is granted when it is first in every one of its queues, every one of
//     its locks admits it beside its holders, and no delay runs. That is
//     decided in the same step as whatever made it true: a release, the end of
//     a session, the withdrawal of another claim, the passing of a delay.
//  3. It gets the next token of the cell's one counter.
//  4. It ends: released, cancelled, broken, or with its session. Whoever is
//     next is granted in that very step.
//
// A claim that does not want to wait is refused when it cannot be granted at
// once; it never overtakes a waiting one.
//
// Whoever builds on the table may rank claims, so that some stand before others
// that were accepted earlier, and may say which one goes first when a lock is
// free ([Table.Next]); locks do neither.
//
// Names are unrelated to each other: "a" and "a/b" are two locks.
//
// The table knows waiting and held locks. A lock that nobody holds or awaits is
// forgotten here; its last record, with how the last tenure ended, stays in the
// store until compaction.
//
// The package is pure: no clock, no randomness, no goroutine, no I/O. A refusal
// is a value; iteration is in a stated order.
package locks
