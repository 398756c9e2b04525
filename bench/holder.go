package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/conch-lock/conch/bench/load"
	"github.com/conch-lock/conch/bench/system"
)

// heldLine is what a holder says once it has the lock.
const heldLine = "held"

// holder takes a lock, says so, and holds it until it is killed.
func holder(ctx context.Context, args []string) error {
	f := flag.NewFlagSet(roleHolder, flag.ContinueOnError)
	name, endpoints, lock := f.String("system", "", ""), f.String("endpoints", "", ""), f.String("lock", "", "")
	recipe, ttl := f.Int("recipe", 0, ""), f.Duration("ttl", 0, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	sys := systemNamed(*name)
	if sys == nil {
		return fmt.Errorf("no system is called %q", *name)
	}
	fleet, err := sys.Dial(ctx, strings.Split(*endpoints, ","), *recipe, 1, *ttl)
	if err != nil {
		return err
	}
	defer fleet.Close()
	unlock, err := fleet.Clients[0].Lock(ctx, *lock)
	if err != nil {
		return err
	}
	fmt.Println(heldLine)
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return unlock(end)
}

// holderOf starts this program as a holder.
func holderOf(self string, sys system.System, cluster system.Cluster, recipe int) load.Holder {
	return func(ctx context.Context, lock string, ttl time.Duration) (func(), error) {
		cmd := exec.Command(self, roleHolder, "-system", sys.Name(), "-endpoints", strings.Join(cluster.Endpoints(), ","),
			"-recipe", strconv.Itoa(recipe), "-lock", lock, "-ttl", ttl.String())
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		kill := func() {
			_ = cmd.Process.Kill() // fails only when it has ended already
			_ = cmd.Wait()         // it was killed: how it ended is known
		}
		stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // ends the reading below
		defer stop()
		line, err := bufio.NewReader(out).ReadString('\n')
		if strings.TrimSpace(line) != heldLine {
			kill()
			return nil, errors.Join(errors.New("the holder did not get the lock"), ctx.Err(), err)
		}
		return kill, nil
	}
}
