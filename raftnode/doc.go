// Package raftnode hosts replicated groups: it makes several processes apply the same entries in the same order, and
// keeps what they have agreed on through crashes. It knows entries, never what they mean; that is the Machine's.
//
// # What it promises
//
//   - An entry handed to Machine.Apply is on the disks of a majority of the voters, and every replica applies the same
//     entry at that index, now and after any number of restarts.
//   - A machine is told that it does not lead any more (Unlead) before it applies anything decided by another leader.
//   - A read that ReadIndex confirms sees everything that was applied anywhere before the read was asked for.
//   - A replica that cannot write or sync stops for ever, at once and loudly. It never tries a failed sync again.
//   - A message that no correct peer sends is refused and counted. It never ends the process.
//   - Everything that waits is bounded.
//
// It does not promise that a proposal enters the log, or that its fate is known: a proposal is applied, given back
// (ProposalDropped), or of unknown outcome (Unlead). It trusts the nodes of its cluster not to lie. It does not promise
// that a group goes on when a majority of its voters has lost their disks.
//
// # The parts
//
// A Replica is one member's copy of a group: go.etcd.io/raft as a library without goroutines (RawNode), the log
// (raftnode/wal), the snapshots (raftnode/snapshot) and the Machine. It is a step function without goroutine, clock or
// randomness of its own, so that a simulation runs the very code that production runs. A Group gives a
// replica its turns. A Host is a data directory, the connections to the other nodes (raftnode/transport), and groups.
//
// # A turn
//
//  1. Messages of peers are checked and given to raft, before time passes: a heartbeat that waited must count before the
//     ticks that passed meanwhile, or a paused node would call an election over its own pause.
//  2. News of connections. A follower whose connection to the leader broke forgets the leader and, after a short random
//     delay, asks the others whether they would vote; they would not while they hear from the leader.
//  3. Ticks, never more than two at once.
//  4. Snapshots received from a leader, which are on disk and checked by now.
//  5. Requests: reads, transfers of leadership, changes of members.
//  6. Proposals, pulled from the machine while it leads; not while a round of many is under way, for a moment.
//  7. Whatever raft has ready, repeatedly, in this order:
//     a. the machine learns of a lost leadership;
//     b. messages that promise nothing are sent, the leader's entries among them, so that followers write meanwhile;
//     those that only tell of a commit are held back for the next round, or a moment, where nobody waits for them;
//     c. a leader applies the committed entries that it has on disk, before b when it has nothing to write;
//     d. hard state, entries and the mark of a snapshot are written in one frame with one sync;
//     e. promises are sent: votes, and acknowledgements of entries; a follower that has something to apply lets others have
//     the processor first;
//     f. the other committed entries are applied, and changes of members among them take effect;
//     g. raft is told, and the machine told to lead when it has applied an entry of its own term.
//  8. Answers to reads and requests.
//  9. A few pieces of a snapshot, when enough was applied since the last one.
//  10. In a quiet moment, a frame that makes the durability of the last one known in the log.
//  11. News of commits that nothing overtook in time, and what the machine has sent.
//
// # Snapshots
//
// A snapshot is pinned at the applied index and written piece by piece between turns. When its file is durable, the log
// is marked, the log in memory is compacted except for some trailing entries, and everything before the second newest
// snapshot is removed: should the newest be damaged, the one before it and the log still give the whole state.
//
// A follower that needs entries which are gone gets a snapshot on a connection of its own, and raft sees the message
// only when the file is durable there. Meanwhile, and until the follower replicates, the leader keeps the log from that
// snapshot on, since otherwise a busy group could compact faster than a follower can restore. Raft refuses a snapshot on a
// node that it does not name as a member, so a member younger than the newest snapshot makes the leader take another.
//
// # Beginnings and ends
//
// The initial members begin with the same snapshot at index 1, so that they agree without having spoken. A node added
// later begins with nothing, as a learner, and waits for a snapshot. Members change one at a time through joint
// consensus, and who is a member is kept in one place only: what the log says, as of the applied index, stored in every
// snapshot. A change is reported once a majority of the new members knows that it is over, so that a node that was removed
// can be switched off. The id of a removed node is refused for ever: a node that lost its disk has lost its promises too, and must
// come back as another. So that it does, every data directory has a number, which nodes tell each other when they connect
// and keep; a node that comes with another one than before is refused, and stops. See admission.go.
//
// On a restart the replica takes the newest snapshot the log has marked, and the log after it. The log decides: a
// snapshot it does not know was not finished, and is removed.
package raftnode
