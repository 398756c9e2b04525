package load

import (
	"context"
	"fmt"
	"time"

	"github.com/conch-lock/conch/bench/system"
	"github.com/conch-lock/conch/bench/table"
)

// Idle opens sessions at a cluster that has had no other load, leaves them
// alone for a whole time to live, and then measures what keeping them alive
// costs the servers, for another one at least: clients renew sessions together
// now and then, and a shorter time has more or fewer of these moments in it.
func Idle(ctx context.Context, length time.Duration, cluster system.Cluster, sys system.System, recipe, sessions int, ttl time.Duration) ([]table.Sample, error) {
	before, _, err := usage(cluster)
	if err != nil {
		return nil, err
	}
	opening := time.Now()
	open, err := sys.Idle(ctx, cluster.Endpoints(), recipe, sessions, ttl)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	opened := time.Since(opening)
	if err := pass(ctx, ttl, nil); err != nil { // the load of opening is over, and every session has had to be renewed
		return nil, err
	}
	begin, clientsBegin, err := usage(cluster)
	if err != nil {
		return nil, err
	}
	measured := time.Now()
	if err := pass(ctx, max(length, ttl), nil); err != nil {
		return nil, err
	}
	end, clientsEnd, err := usage(cluster)
	if err != nil {
		return nil, err
	}
	took := time.Since(measured)
	lost, err := open.Lost(ctx)
	if err != nil {
		return nil, err
	}
	row := func(measure, unit string, better table.Better) table.Row {
		return table.Row{Kind: "idle", Work: fmt.Sprintf("%s idle, TTL %v", count(sessions, "session"), ttl), Measure: measure, Unit: unit, Better: better}
	}
	grown := float64(end.Memory - before.Memory)
	return []table.Sample{
		{Row: row("CPU of all servers", "% of a core", table.Less), Value: 100 * (end.CPU - begin.CPU).Seconds() / took.Seconds()},
		{Row: row("CPU of all clients", "% of a core", table.Less), Value: 100 * (clientsEnd.CPU - clientsBegin.CPU).Seconds() / took.Seconds()},
		{Row: row("memory of all servers", "MB", table.Less), Value: megabytes(end.Memory)},
		{Row: row("growth of that for a session and server", "KB", table.Less), Value: grown / 1000 / float64(sessions) / float64(len(cluster.Servers()))},
		{Row: row("opened", "1/s", table.More), Value: float64(sessions) / opened.Seconds()},
		{Row: row("lost", "", table.Less), Value: float64(lost)},
	}, nil
}
