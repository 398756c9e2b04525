// Conch is a distributed lock service: its server and its command line.
package main

import (
	"os"

	"github.com/conch-lock/conch/cmd/conch/child"
	"github.com/conch-lock/conch/cmd/conch/cli"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case child.GuardArg:
			os.Exit(child.Guard(os.Args[2:]))
		case "serve", "dev":
			relax()
		}
	}
	os.Exit(cli.New().Run(os.Args[1:]))
}
