// Demo shows the main job of Conch on this machine, with real processes, and
// checks the outcome: several batch runners compete for one lock while the
// leader of the cluster is killed with SIGKILL.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// patience is how long the whole demonstration may take.
const patience = 55 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	beside := "."
	if self, err := os.Executable(); err == nil {
		beside = filepath.Dir(self)
	}
	var d demo
	flag.StringVar(&d.conch, "conch", filepath.Join(beside, "conch"), "the conch `program`")
	flag.StringVar(&d.batchjob, "batchjob", filepath.Join(beside, "batchjob"), "the batchjob `program`")
	flag.IntVar(&d.files, "files", 48, "how many files to book")
	flag.IntVar(&d.runners, "runners", 5, "how many runners compete")
	flag.DurationVar(&d.pace, "pace", 100*time.Millisecond, "how long a runner spends on a file")
	flag.Parse()
	if flag.NArg() > 0 || d.files < 6 || d.runners < 1 {
		fmt.Fprintln(os.Stderr, "demo: no arguments, at least 6 files and 1 runner are allowed; see --help")
		os.Exit(64)
	}
	d.out = os.Stdout
	if err := d.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "\nFAILED: %v\n", err)
		os.Exit(1)
	}
}
