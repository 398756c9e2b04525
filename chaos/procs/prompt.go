//go:build linux

package main

import (
	"time"

	"github.com/conch-lock/conch/chaos/check"
)

// electionTime is after which a node that hears nothing asks for an election, as
// nodes have it by default.
const electionTime = 600 * time.Millisecond

// plain are the faults of a node that the others get over with a change of the
// leader at the most. Under all others it may go on leading and be of little use,
// or its clock may go wrong.
func plain(kind string) bool {
	switch kind {
	case "SIGKILL", "SIGTERM", "SIGSTOP", "isolated", "peers cut", "clients cut", "power cut", "file damaged", "a sync fails", "ss -K":
		return true
	}
	return false
}

// promptness is what judges how soon things happened: what was wrong when.
func (r *runner) promptness() *check.Promptness {
	out := &check.Promptness{Nodes: r.cfg.nodes, Election: electionTime}
	for _, o := range r.outages.seen() {
		f := check.Fault{From: o.from, To: o.to, Client: o.client, Stall: o.stall}
		if o.to == 0 {
			f.To = check.Forever
		}
		if o.client == "" && !o.stall {
			f.Nodes, f.Cell = o.nodes, o.cell || len(o.nodes) == 0 || !plain(o.what)
		}
		out.Faults = append(out.Faults, f)
	}
	return out
}
