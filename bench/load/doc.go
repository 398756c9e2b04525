// Package load is the workloads. Each is written once, against the interfaces of
// package system, and does the same to every system:
//
//  1. clients are connected before anything is measured;
//  2. all work, and a warm-up passes that is not counted;
//  3. for a bounded time operations that end are counted and timed, and the CPU
//     of the servers and of this process, which is the clients, is read before
//     and after;
//  4. every client ends the operation it is in, and is closed.
//
// Latencies are kept one by one, not in buckets. An operation that fails fails
// the workload: there is no rate of a system that loses requests.
package load
