package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/conch-lock/conch/bench/floor"
)

// The words that make this program one of its own helpers.
const (
	roleFloor  = "floor-node"
	roleHolder = "holder"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is this program in one of its roles.
func run(ctx context.Context, args []string) error {
	role := ""
	if len(args) > 0 {
		role = args[0]
	}
	switch role {
	case roleFloor:
		return floorNode(args[1:])
	case roleHolder:
		return holder(ctx, args[1:])
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("-limit %v has passed", o.limit))
	defer cancel()
	return compare(ctx, o)
}

// floorNode runs one process of the bare quorum commit.
func floorNode(args []string) error {
	f := flag.NewFlagSet(roleFloor, flag.ContinueOnError)
	listen, file, followers := f.String("listen", "", ""), f.String("file", "", ""), f.String("followers", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	return floor.Node(*listen, *file, *followers)
}
