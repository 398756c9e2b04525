// Package sim runs a whole cell in one goroutine, in virtual time, from one
// seed: the real replicas (raft, log, snapshots), the real state machine and
// the real cell code of several nodes, on file systems that lose what was not
// synced, over a network that delays, loses, doubles and reorders, with clocks
// that run at different rates, and clients that act like the SDK: they hold locks
// and stand in elections.
//
// What goes wrong, from the same seed always in the same way: nodes crash at
// any file operation, one or all at once, with any part of their unsynced
// writes surviving; nodes are paused with their input piling up; links are cut
// one way or both, flap and heal; disks are slow; leadership is transferred;
// clients pause, vanish, change the node and repeat requests. One fault pins
// all clients to a leader and then isolates or pauses it.
//
// What is checked, after every entry that is applied anywhere for the first
// time (by a witness: one more state machine that applies each entry once):
//
//   - every node applies the same bytes at the same index, and has the same
//     checksum over all of them;
//   - the invariants of sessions, locks and store hold;
//   - tokens only grow, and a claim never has two;
//   - a session that expires does so after its client's own safe deadline, for
//     every keep-alive that was ever acknowledged to it;
//   - a client that believes in an exclusive lock is the only one to do so;
//   - so is one that believes to lead an election, but where leaders may be
//     pre-empted;
//   - an election has one leader at a time and one new one a revision, whose terms
//     rise by one, and who is told its predecessor and that one's last value;
//   - observers that read on node after node, and come late now and then, see
//     every leader of every election in order, without gap or repeat, or are told
//     that the history is compacted;
//   - a read that begins after an effect was acknowledged sees it;
//   - in the end, with all faults healed, everybody makes progress and all
//     nodes have the same hash.
//
// A trace hash over all events tells whether two runs were the same.
package sim
