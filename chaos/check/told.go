package check

import "slices"

// Told is what a client was told of the end of what it held, waited for or lived
// in: that somebody took it away.
type Told struct {
	Client  string
	Session uint64
	Name    string // of the lock or election; empty: it was told of its session
	Token   uint64 // 0: it had not been told of the grant, or of its session
	Ended   string // broken, transferred, released (in the leader's name), ended
	At      Time
}

// truly: nobody is told that something was taken away for which nobody had asked by
// then. What a leader hands over itself it may be told of, too.
func (t *takings) truly(h *History, r *reporter) {
	for i := range h.Told {
		x := &h.Told[i]
		r.judge(takingsTold)
		asked := slices.ContainsFunc(h.Interventions, func(y Intervention) bool {
			if y.Outcome == Refused || y.Invoke > x.At || y.ends() != x.Ended {
				return false
			}
			return y.Kind == EndSession && y.Session == x.Session || y.Kind != EndSession && (y.Token == x.Token || x.Token == 0 && y.Name == x.Name)
		})
		if !asked && !(x.Ended == "transferred" && t.handed[x.Token]) {
			r.fail("it is told that this was taken away, and nobody had asked for it by then: %+v", *x)
		}
	}
}
