// Package check reads recorded histories and says which promise they break.
//
// A [History] is what clients asked for and were told, what watchers and
// observers received, and the cell's own account of every revision (the audit).
// It comes from real processes, from the simulation or from a test: this package
// does not know how, and it imports nothing of Conch, so that no defect of Conch
// can be a defect of its judge.
//
// There are two kinds of judges.
//
// The first trusts revisions and checks everything. [Checkers] has one checker
// for each property that can be checked on a history. Those of locks, elections
// and keys replay the audit, revision by revision, against a specification that
// was written from docs/semantics.md alone (keymodel.go, ledger.go): what a revision does must
// be legal, it must be the doing of somebody, and every answer must be what the
// specification says at its revision. [RealTime] requires that revisions agree
// with the order in which things happened. All of it takes O(n log n).
//
// The second is a sceptic ([Sceptic]) and does not look at revisions at all: for
// each lock, election and key it searches for an order of the operations that
// explains the answers, with github.com/anishathalye/porcupine. An operation
// whose outcome is unknown may have happened at any time after it was asked for,
// or never. A picture is written of a part that has no such order.
//
// Every checker counts what it judged ([Judge]): a history that has nothing of a
// kind proves nothing of it.
//
// What a recorder must keep to:
//
//  1. One clock for everything. Invoke is read before a call, Return after it.
//  2. An operation that did not answer stays in the history with the outcome
//     Unknown and Return Forever, and so do those that a killed client had under
//     way. Leaving one out is the one way to make a sound history look broken.
//  3. What is written to keys is unique: a value names its writer and attempt.
//  4. A name (a lock, an election, a key) takes part in at most MostOperations
//     operations: a workload that does more goes on with another name.
//  5. A claim with a lock delay says so.
//
// Every checker is tested with histories that break what it looks for, and with
// one that does not.
package check
