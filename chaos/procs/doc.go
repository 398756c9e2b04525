// Command procs breaks a cluster of real conch processes and looks whether
// anybody was harmed.
//
// Usage:
//
//	go run ./chaos/procs -for 5m -seed 7            three nodes
//	go run ./chaos/procs -for 5m -seed 7 -nodes 5   five
//	go run ./chaos/procs -for 5m -power             with disks that are cut from power, stall, fail and fill (root)
//	go run ./chaos/procs -for 5m -clock             with clocks that go wrong
//	go run ./chaos/procs -for 1m -crowd             with a crowd in the end
//	go run ./chaos/procs -cuts 250                  power cuts alone, one after the other (root)
//
// As root each node runs in a network namespace of its own, joined by a bridge;
// otherwise all run on the loopback address, and the faults of the network are
// left out. The seed decides which faults come in which order, and what the clients
// try. It does not decide how the processes run, and so when what a fault needs is
// free: the same seed gives the same plan and not the same history.
//
//  1. A cluster is started. A client is stopped between looking at its lock and
//     writing, once to a store without a fence check, where the late write must
//     get through, and once to a store with one, where it must not.
//  2. Clients of several kinds work: locks contended for, shared, permits, tried
//     and given up, taken in sessions of half a second; elections; keys, alone
//     and in transactions; some stay with one node, some go where the leader is,
//     some are processes of their own. An operator breaks locks, unseats leaders,
//     hands over and ends sessions. Watchers and observers follow all of it while
//     history is compacted behind them. Everything is recorded.
//  3. Faults come, up to four at a time: processes killed, ended, stopped, frozen
//     and started, one or all; links cut one way or both, around one node or in any
//     shape, flapping, losing, delaying, doubling and reordering packets;
//     connections of clients and of nodes broken; leadership handed over; power
//     cut; a sync that fails; a file damaged near the end; logs that nobody reads;
//     clients stopped and killed, or robbed by an operator while they hear
//     nothing. Every kind comes once before chance has most of them.
//  4. Now and then everything heals, and every client must get a lock within
//     fifteen seconds. In the end as well, and then package check judges the
//     whole history, and what the cell tells of its locks is held against it.
//     The nodes are asked to end.
//
// Every end of a node is judged by its exit status and its last words: 0 when it
// was asked to end, 1 with the reason when its disk failed or was full, or it had
// no more files or memory, and killed only when somebody killed it. A panic, also
// one that was caught, and a race in the log of a node are violations; with the race
// detector (-binary) the first race ends a node.
//
// The exit code is 0 when nothing was violated, 1 when something was (the folder
// with the logs stays) or, in a run of five minutes or more, when a kind of fault
// never took effect or there was nothing of a kind to judge, 2 when the run itself
// failed, which does not keep what had happened until then from being judged. A run
// that is killed leaves links, namespaces, mounts and its temporary folder behind,
// which the next one removes.
//
// It needs Linux, for nftables, bridges, TUN devices and file systems that can be
// shut down.
package main
