// Command bench compares Conch with its peers on one machine, in one run:
//
//	go run .                  # everything, some 45 minutes
//	go run . -quick           # one short round, a few minutes, for a first look
//	go run . -systems conch,etcd -work cycles,handover
//
// etcd is built from its Go module; ZooKeeper and Redis are used when their
// Debian packages are installed, and otherwise left out with a note that says how
// to install them. Consul is left out: Debian has no package of it, and there is
// no recipe for it here.
//
// A run is rounds, three by default, and a cell of the table is their median. In
// each round
//
//  1. the floor of the machine is measured;
//  2. each system in turn is started afresh as three processes on loopback, with
//     its data on the disk of -data, and the workloads run one after the other;
//  3. for idle sessions it is started afresh again, for each way to hold them.
//
// Only one system runs at a time, and one run in the same folders. Servers and clients share the machine, so the
// CPU of both is in the table. It ends by itself: -limit bounds the whole,
// processes are killed by the ids they were started with and by the kernel should
// this one die, and the folder with the data is removed.
//
// The table is written to standard output, and with the values of every round to
// the folder of -out, as results.md and results.json. A workload that fails is a
// note below the table, and the run ends with 1 after it was written; a lock that
// several clients hold ends the run at once. It needs Linux.
package main
