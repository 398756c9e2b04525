// Package etcdmodel takes etcd as the model of Conch's keys: the same random
// sequence of puts, deletes, ranges, transactions and compactions goes to a real
// etcd, to package coordinator/store, and over the client library to a cell of
// real processes, and every result must be the same: revisions, versions, counts,
// order, refusals.
//
// There is only a test here, in a module of its own, so that a server of etcd is
// in nobody's way. Where Conch is different on purpose, the generator does not go
// there, and TestDifferences holds the difference with its reason instead, as
// docs/kv-and-etcd.md tells it:
//
//	go test ./...                            # a few sequences
//	go test -run Random -runs 100 -steps 1000 .
//	go test -run Random -seed 7 -runs 1 .    # the one that failed
package etcdmodel
