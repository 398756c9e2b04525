package check

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Promptness is what a recorder knows of how soon things had to happen. Without
// it nothing is judged by time alone.
type Promptness struct {
	Nodes    int
	Election time.Duration // after which a follower that hears nothing asks for an election, at the least
	Faults   []Fault
}

// Fault is a time in which something was wrong.
type Fault struct {
	From, To Time     // To: [Forever] when it lasts
	Nodes    []string // that cannot do what they should: while they are a minority the cell has to work
	Client   string   // it hurts this one alone
	Cell     bool     // the cell need not work, whoever it hurts
	Stall    bool     // the machine stood still: this time does not count
}

// deadlines says until when something has to have happened.
type deadlines struct {
	*Promptness
	idle   []Fault            // when the cell need not work, or a client cannot, in order
	turns  []Time             // when a fault of a minority began or ended, in order: each may change the leader
	stalls []Fault            // in order
	own    map[string][]Fault // of clients
}

func newDeadlines(p *Promptness) *deadlines {
	d := &deadlines{Promptness: p, own: map[string][]Fault{}}
	for _, f := range p.Faults {
		switch {
		case f.Client != "":
			d.own[f.Client] = append(d.own[f.Client], f)
		case f.Stall:
			d.stalls = append(d.stalls, f)
		case f.Cell || len(f.Nodes) == 0:
			d.idle = append(d.idle, f)
		default:
			d.turns = append(d.turns, f.From, f.To)
		}
	}
	d.idle = append(d.idle, withoutMajority(p)...)
	slices.SortFunc(d.idle, func(a, b Fault) int { return cmp.Compare(a.From, b.From) })
	slices.SortFunc(d.stalls, func(a, b Fault) int { return cmp.Compare(a.From, b.From) })
	slices.Sort(d.turns)
	return d
}

// withoutMajority are the times in which so many nodes are hurt that the others
// are no majority.
func withoutMajority(p *Promptness) []Fault {
	type edge struct {
		at    Time
		nodes []string
		by    int
	}
	var edges []edge
	for _, f := range p.Faults {
		if len(f.Nodes) > 0 && !f.Stall {
			edges = append(edges, edge{f.From, f.Nodes, 1}, edge{f.To, f.Nodes, -1})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.by, a.by)) })
	var out []Fault
	hurt, since, without := map[string]int{}, Time(0), false
	for _, e := range edges {
		for _, n := range e.nodes {
			if hurt[n] += e.by; hurt[n] == 0 {
				delete(hurt, n)
			}
		}
		switch now := p.Nodes-len(hurt) <= p.Nodes/2; {
		case now && !without:
			since, without = e.at, true
		case !now && without:
			out, without = append(out, Fault{From: since, To: e.at}), false
		}
	}
	if without {
		out = append(out, Fault{From: since, To: Forever})
	}
	return out
}

// turn is how long a change of the leader may take: two elections and a second.
func (d *deadlines) turn() time.Duration { return 2*d.Election + time.Second }

// settled is from when on what a fault leaves behind is over: what was sent
// meanwhile is repeated after pauses that double, and so for as long again.
func (d *deadlines) settled(f Fault) Time {
	if f.To == Forever {
		return Forever
	}
	return f.To + max(d.turn(), f.To-f.From)
}

// due is until when something has to have happened that takes so long after a
// moment: the time with a change of the leader. Every fault of a minority may
// bring one more when it begins and when it ends, a machine that stands still
// holds up the time, and it begins anew after the cell or one of the clients
// could do nothing. clean says that there was nothing of all that; ok is false
// when it lasts.
func (d *deadlines) due(after Time, takes time.Duration, clients ...string) (due Time, clean, ok bool) {
	first := after
	restart := func(list []Fault) bool {
		for _, f := range list {
			if to := d.settled(f); f.From < due && to > after {
				after = to
				return true
			}
		}
		return false
	}
	for again := true; again; {
		if after == Forever {
			return 0, false, false
		}
		due = d.count(after, takes)
		again = restart(d.idle)
		for _, c := range clients {
			again = again || restart(d.own[c])
		}
	}
	clean = !slices.ContainsFunc(d.Faults, func(f Fault) bool {
		return (f.Client == "" || slices.Contains(clients, f.Client)) && f.From < due && d.settled(f) > first-d.turn()
	})
	return due, clean, true
}

// count is the deadline with the changes of the leader and the stalls until then.
func (d *deadlines) count(after Time, takes time.Duration) Time {
	held, turns := time.Duration(0), 0
	for {
		due := after + takes + held + time.Duration(1+turns)*d.turn()
		n, sum := 0, time.Duration(0)
		for _, t := range d.turns {
			if t >= after-d.turn() && t < due {
				n++
			}
		}
		for _, s := range d.stalls {
			if s.From < due && s.To > after {
				sum += s.To - max(s.From, after)
			}
		}
		if n == turns && sum == held {
			return due
		}
		turns, held = n, sum // neither becomes less: it comes to an end
	}
}

// never is a revision that was not reached.
const never = math.MaxUint64
