package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// How a fail-over is probed.
const (
	probeEvery  = 10 * time.Millisecond
	probeWithin = time.Second // an attempt that takes longer is given up
	failWithin  = time.Minute // a cluster that does not answer by then never will

	stepDownWithin = 5 * time.Second
)

// Fault is what happens to the leader.
type Fault string

// The faults.
const (
	// Killed: SIGKILL. The system closes its connections, and whoever is at the
	// other end can notice at once. The server is started again at the end.
	Killed Fault = "SIGKILL"
	// Stopped: SIGSTOP. Nothing is closed; there is only silence, as when a
	// machine or its network is gone. The server goes on at the end.
	Stopped Fault = "SIGSTOP"
)

// FailOver takes the leader away. Timed is from then to the first acknowledgement
// of a write that was begun afterwards: one is begun every 10 ms, by the clients
// in turn, so that a client that hangs does not hide that the cluster serves.
func FailOver(ctx context.Context, cluster system.Cluster, clients []system.Client, fault Fault) ([]table.Sample, error) {
	var stores []system.KV
	for i, c := range clients {
		kv, ok := c.(system.KV)
		if !ok {
			return nil, system.ErrNotOffered
		}
		stores = append(stores, kv)
		if err := kv.Put(ctx, fmt.Sprintf("failover-%d", i), []byte("before")); err != nil { // connected, and the key is there
			return nil, err
		}
	}
	leader, err := cluster.Leader(ctx)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if fault == Stopped {
		err = cluster.Servers()[leader].Signal(syscall.SIGSTOP)
	} else {
		cluster.Servers()[leader].Kill()
	}
	var took time.Duration
	if err == nil {
		took, err = firstWrite(ctx, begin, stores)
	}
	if err = errors.Join(err, repair(ctx, cluster, leader, fault)); err != nil {
		return nil, err
	}
	return []table.Sample{{
		Row:   table.Row{Kind: "failover", Work: string(fault) + " of the leader", Measure: "to the first write acknowledged", Unit: "ms", Better: table.Less},
		Value: millis(took),
	}}, nil
}

// repair has the server take part again.
func repair(ctx context.Context, cluster system.Cluster, server int, fault Fault) error {
	if fault != Stopped {
		return cluster.Restart(ctx, server)
	}
	if err := cluster.Servers()[server].Signal(syscall.SIGCONT); err != nil {
		return err
	}
	// It may still take itself for the leader. Should it really be elected again
	// it is no mistake, so this is not waited for without end.
	ctx, cancel := context.WithTimeout(ctx, stepDownWithin)
	defer cancel()
	_ = system.Until(ctx, func(ctx context.Context) error {
		leader, err := cluster.Leader(ctx)
		if err == nil && leader == server {
			err = fmt.Errorf("server %d still leads", server)
		}
		return err
	})
	return nil
}

// firstWrite is how long after begin a write was first acknowledged.
func firstWrite(ctx context.Context, begin time.Time, stores []system.KV) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, failWithin)
	defer cancel()
	var tries sync.WaitGroup
	defer tries.Wait()
	defer cancel()             // before waiting
	room := make(chan int, 64) // bounds the attempts under way; a client has at most 64/len(stores)
	for i := range cap(room) {
		room <- i % len(stores)
	}
	served, last := make(chan time.Duration, 1), make(chan error, 1)
	next := time.NewTicker(probeEvery)
	defer next.Stop()
	for {
		select {
		case took := <-served:
			return took, nil
		case <-ctx.Done():
			select {
			case err := <-last:
				return 0, errors.Join(ctx.Err(), err)
			default:
				return 0, ctx.Err()
			}
		case <-next.C:
		}
		var i int
		select {
		case i = <-room:
		default:
			continue
		}
		tries.Go(func() {
			try, cancel := context.WithTimeout(ctx, probeWithin)
			defer cancel()
			err := stores[i].Put(try, fmt.Sprintf("failover-%d", i), []byte("after"))
			if took := time.Since(begin); err == nil {
				select {
				case served <- took:
				default:
				}
			} else {
				select {
				case last <- err:
				default:
				}
			}
			room <- i
		})
	}
}
