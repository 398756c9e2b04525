// Package sim runs a whole cell in one goroutine, in virtual time, from one
// seed: the real replicas (raft, log, snapshots), the real state machine and
// the real cell code of several nodes, on file systems that lose what was not
// synced, over a network that delays, loses, doubles and reorders, with clocks
// that run at different rates, and clients that act like the SDK: they claim
// locks of all kinds, stand in elections, and read and write keys.
//
// # A run
//
//  1. The seed draws a setting ([Config] can overrule parts of it): which kinds of
//     faults there are and how dense, what clients do, and sizes that are small,
//     so that snapshots, compaction and new segments come often.
//  2. It draws the plan: which fault happens when. Every part of the world has a
//     source of chance of its own, so that leaving a fault out changes as little
//     as can be.
//  3. Faults go on for a minute. Then everything heals, and the cell has to get
//     on: a leader, a lock for every client, all nodes equal, no session left.
//
// The same seed gives the same run, to the last event: a trace hash tells.
//
// # What goes wrong
//
// Nodes crash at any file operation, between write, fsync, send and apply, within
// a snapshot, in a joint configuration, one or all at once, with any part of
// their unsynced writes surviving; they are paused with their input piling up;
// links are cut one way or both, flap, and split the cell; disks are slow, full,
// fail to write or sync, are damaged (bits, sectors, ends, files) or lost while a
// node is down; clocks change their rate and jump; leadership is transferred;
// members join, are promoted, leave and are replaced; clients pause, vanish, move
// to another node and repeat requests. One fault pins clients to a leader and
// then isolates it, pauses it, or has it wake up alone, while two go on reading there. [Fault] lists the kinds, [Situation] what must have
// happened in a long run.
//
// No more than a minority of the voters ever loses its data. Damage of the very
// last batch of a log with nothing after it is left out: it looks like a write
// that a crash tore, as package wal says.
//
// # What is checked
//
// A witness, one more state machine, applies every entry when the first node
// does. Each property has a checker of its own ([Property]), and a test that
// breaks it:
//
//   - every node applies the same bytes at the same index (logCheck), and has the
//     same checksum over all of them;
//   - a term has one leader, who has everything that was committed before, and
//     who was removed never comes back; no node promises anything in a term before
//     one in which it did so, or votes for two in one (raftCheck, complete);
//   - snapshots of one entry are the same bytes on all nodes, and give the same
//     state back (snapshotCheck);
//   - the invariants of sessions, locks, elections and store hold, and those who
//     hold a lock go together (compatible);
//   - tokens only grow, and a claim never has two (tokenCheck);
//   - locks are granted in the order in which claims were accepted (firstCome);
//   - a claim waits as long as it was ready to, and nobody is granted a lock during
//     its delay (waitCheck);
//   - a repeated request gets the same answer, whichever node it goes through, and
//     no value is put twice (onceCheck);
//   - a session that expires does so after its client's own safe deadline, for
//     every keep-alive that was ever applied, and soon after its time when all is
//     well (lifeCheck);
//   - a client that believes in a lock, or to lead an election where nobody is
//     pre-empted, is the only one to do so (clash);
//   - an election has one leader at a time, terms that rise by one, and each is
//     told its predecessor (leaders); what a leader proclaimed stands in the record,
//     and who resigned or handed over leads no more (carriedOut);
//   - every transaction finds, decides, answers and leaves what the specification of
//     keys says, every other change of a key is the end of its session, and no key
//     outlives that (keyCheck);
//   - who watches on node after node, and comes late now and then, gets every
//     change of every revision in order and once, with what was there before, or
//     is told that the history is compacted (changeCheck, observer);
//   - what is asked after something was told is answered at no older revision,
//     reads included, and a read is true of its revision (floorCheck, keyCheck);
//   - somebody leads and writes are answered soon after everything healed (prompt);
//   - with one node down or slow, clients of the others wait three times as long
//     as before at most (slowdown);
//   - damage is repaired or refused by name, never silent (silent), and after a
//     failed write or sync nobody is promised anything (broken).
package sim
