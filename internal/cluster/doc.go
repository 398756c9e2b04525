// Package cluster runs a cluster of real conch processes on this machine, for
// end-to-end tests and demonstrations: three servers or more that are started, killed,
// stopped and started again as an operator, or bad luck, would do it.
//
// Nothing of it stays behind: Close kills every process, and on Linux the
// kernel kills them when the process that started them dies.
//
//  1. New chooses ports and folders and starts nothing.
//  2. Start starts all nodes and returns when each is ready.
//  3. Leader, Healthy and Node.Kill, Node.Signal and Node.Start do the rest.
package cluster
