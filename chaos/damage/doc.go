// Command damage damages the files of a minority of the nodes of a cell and
// looks whether anything that was acknowledged is lost.
//
// Usage:
//
//	go run ./chaos/damage -injections 10000
//	go run ./chaos/damage -injections 1 -seed 1234      one of them again
//
// It runs the code that production runs (raftnode's replica, log, snapshots, the
// cell and its state machine) in one goroutine, in virtual time, on disks in
// memory.
//
//  1. A cell of three writes keys, with one node cut off now and then, so that
//     the nodes have different logs and snapshots. It falls idle, and all nodes
//     stop. That is a stage; many injections begin from clones of its disks.
//  2. The files of one node are damaged: bits flipped, sectors zeroed, a file
//     truncated, removed, or put back to what it was earlier, in the log or in a
//     snapshot.
//  3. That node and one other start, without the third: what the damaged node has
//     forgotten nobody reminds it of, and two are a majority. They may elect a
//     leader and commit. Then the third starts.
//  4. The damaged node may refuse to start, and must say why: naming a file or
//     what is missing. Then it stays down, as there is no way back for it. If it
//     starts, it must take part.
//  5. Everything that was ever acknowledged must be there in the end, and all
//     nodes that run must have the same state.
//
// What it leaves out is what no log can tell: a whole directory put back to an
// older copy, which package wal says it does not promise to find. With -whole
// that is done instead, and the other two nodes start first.
package main
