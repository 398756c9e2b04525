// Package shell breaks the part of Conch that the simulation leaves out: the
// server around the cell, its streams, the connections between the nodes, and
// the client with its reconnects and keep-alives. Real goroutines and real DRPC
// run in virtual time (testing/synctest), over a network and on disks in memory.
//
// It is a test, since virtual time is to be had in tests alone:
//
//	go test -race ./chaos/shell                              the short part
//	CONCH_SHELL_SEED=42 go test -race -v -run TestCell ./chaos/shell
//	CONCH_SHELL_SEEDS=500 go test -race -timeout 0 -run TestCell ./chaos/shell
//	make shell FOR=1h FROM=7000                              seeds from 7000 on, for an hour
//
// CONCH_SHELL_LENGTH=2m makes each run longer than the eight seconds for which
// faults usually come. Logs of nodes and clients of a run that failed are left with
// -artifacts.
//
// # A run
//
//  1. Three nodes start: coordinator.Start with listeners, a dialer and a file
//     system of this package. They are told nothing of that.
//  2. Clients made by sdk.Dial work (see workload): locks contended for, tried,
//     waited for and given up, elections and those who observe them, keys
//     written and watched, sessions that live for a moment and fall silent.
//     Their clocks run up to 4 % too fast or too slow. Some die all the time
//     with what the others wait for (see liveAndDie). In two seeds of three an
//     operator takes away what some hold, and ends their sessions (see operate).
//  3. Faults come, up to three at a time (see nemesis): nodes killed, cut from
//     power, stopped in good order; one or all; ways cut both ways or one way,
//     to clients or to nodes or to both; flapping, slow and narrow ways;
//     connections broken; leadership handed over; slow disks; clients cut off
//     for longer than their sessions live.
//  4. Everything heals. Every client must get a lock within a bound, every
//     observer and every watch must arrive at the end, all nodes must have one
//     hash, and when all clients are closed the cell must hold nothing for them.
//  5. Nodes and clients end, and no goroutine may be left: the bubble of virtual
//     time fails the test otherwise.
//
// # What a seed gives
//
// The plan: which faults when, what clients ask for, how long packets take. The
// order in which goroutines run is the scheduler's, and what select picks is
// chance, so that one seed gives one plan and not one history, and a seed that
// failed may pass: run it several times (-count 20). Where an exact replay is
// needed, package sim has it, which runs everything below the server.
//
// # What is not like a real network
//
// Nothing costs time but what is told to: the processor is infinitely fast, so
// that a node is never too busy. Connections are not encrypted. Packets are not
// lost one by one: a way that is cut, or slow, delivers late and in order, as
// TCP does. Clocks of nodes all run at one rate.
package shell
