package check

import (
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"
)

// lockStep is one step of a lock or election, as the sceptic sees it.
type lockStep struct {
	what     string // grant, end, lost, refused
	token    uint64
	mode     Mode
	permits  int
	capacity int
}

// lockState is who holds it, in the order of tokens, and the newest token.
type lockState struct {
	mode    Mode
	holders []Holder // without sessions
	newest  uint64
}

// lockOrder is the specification of one lock without revisions.
func lockOrder() *porcupine.Model {
	return &porcupine.Model{
		Init: func() any { return lockState{} },
		Step: func(state, input, _ any) (bool, any) { return stepLock(state.(lockState), input.(lockStep)) },
		Equal: func(a, b any) bool {
			x, y := a.(lockState), b.(lockState)
			return x.newest == y.newest && x.mode == y.mode && slices.Equal(x.holders, y.holders)
		},
		Hash: func(state any) uint64 {
			s := state.(lockState)
			sum := s.newest
			for _, h := range s.holders {
				sum = sum*31 + h.Token
			}
			return sum
		},
		DescribeOperation: func(input, _ any) string {
			s := input.(lockStep)
			return fmt.Sprintf("%s %d %s", s.what, s.token, s.mode)
		},
		DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

func stepLock(s lockState, x lockStep) (bool, any) {
	at := slices.IndexFunc(s.holders, func(h Holder) bool { return h.Token == x.token })
	switch x.what {
	case "grant":
		if x.token <= s.newest {
			return false, s
		}
		items := make([]Item, len(s.holders))
		for i, h := range s.holders {
			items[i] = Item{Mode: s.mode, Permits: h.Permits}
		}
		if together(Item{Mode: x.mode, Permits: x.permits, Capacity: x.capacity}, items, func(y Item) Item { return y }) != "" {
			return false, s
		}
		return true, lockState{x.mode, append(slices.Clone(s.holders), Holder{Token: x.token, Permits: x.permits}), x.token}
	case "end", "lost":
		if at < 0 {
			return false, s
		}
		return true, lockState{s.mode, slices.Delete(slices.Clone(s.holders), at, at+1), s.newest}
	case "refused":
		return at >= 0, s
	}
	return false, s
}

// lockParts are the operations of each lock and election.
//
// A claim of which the outcome is unknown is left out: the grant that it may
// have had explains nothing that others were told, and not having happened is
// one of its outcomes. A refusal tells of a holder, and counts when that one was
// told so. A grant of which no end was acknowledged ends at some time.
func lockParts(h *History, clients *callers, leftOut map[string]int) []part {
	steps := map[string][]porcupine.Operation{}
	ended := map[uint64]bool{}
	asked := h.requests()
	for i := range asked {
		if o := &asked[i]; o.Outcome == Done && o.ends() {
			ended[o.Token] = true
		}
	}
	granted := map[uint64]*Operation{}
	add := func(o *Operation, name string, s lockStep) {
		steps[name] = append(steps[name], clients.operation(o, s, nil))
	}
	for i := range asked {
		o := &asked[i]
		if !o.granted() || granted[o.Token] != nil {
			continue
		}
		granted[o.Token] = o
		for _, x := range o.Claim {
			s := lockStep{what: "grant", token: o.Token, mode: x.Mode, permits: x.Permits, capacity: x.Capacity}
			if s.mode == "" {
				s.mode = Exclusive
			}
			add(o, o.thing(x), s)
			if !ended[o.Token] {
				lost := *o
				lost.Return = Forever
				add(&lost, o.thing(x), lockStep{what: "lost", token: o.Token})
			}
		}
	}
	once := map[uint64]bool{}
	for i := range asked {
		o := &asked[i]
		switch {
		case o.Outcome == Done && o.ends():
			g := granted[o.Token]
			if g == nil {
				leftOut["ends of grants that nobody was told of"]++
				continue
			}
			if once[o.Token] {
				continue // repeated
			}
			once[o.Token] = true
			for _, x := range g.Claim {
				add(o, g.thing(x), lockStep{what: "end", token: o.Token})
			}
		case o.Outcome == Refused && o.Code == "HELD" && (o.Kind == Acquire || o.Kind == Campaign):
			g := granted[o.Token]
			if g == nil {
				leftOut["refusals for holders that nobody was told of"]++
				continue
			}
			for _, x := range o.Claim {
				if slices.ContainsFunc(g.Claim, func(y Item) bool { return g.thing(y) == o.thing(x) }) {
					add(o, o.thing(x), lockStep{what: "refused", token: o.Token})
				}
			}
		case o.Outcome == Unknown && (o.Kind == Acquire || o.Kind == Campaign):
			leftOut["claims of unknown outcome"]++
		}
	}
	return inOrderOfNames(steps, lockOrder())
}

// ends says whether an operation ends a grant.
func (o *Operation) ends() bool { return o.Kind == Release || o.Kind == Resign || o.Kind == Transfer }

// thing names what an operation is about: a lock and an election may share a name.
func (o *Operation) thing(x Item) string {
	if o.Kind == Campaign {
		return "election " + x.Name
	}
	return "lock " + x.Name
}
