// Command etcdserver is the etcd server of the version that go.mod names, built
// from its Go module. It is a module of its own, so that what a server of etcd
// depends on enters neither Conch nor the benchmark.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
