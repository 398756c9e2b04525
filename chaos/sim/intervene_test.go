package sim

import (
	"strings"
	"testing"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// TestForced: an operator who was told that a tenure has ended, and a holder who
// was not, are found out.
func TestForced(t *testing.T) {
	m := machine.New(machine.Limits{})
	defer m.Close()
	var index uint64
	apply := func(ops ...machine.Op) machine.Output {
		index++
		h := machine.Header{Millis: int64(index)}
		b := h.Append(nil)
		for i, op := range ops {
			b = machine.Command{Origin: 1, Request: uint64(i) + 1, Op: op}.Append(b)
		}
		m.Begin()
		if err := m.Apply(index, 1, b); err != nil {
			t.Fatal(err)
		}
		return m.Commit()
	}
	request := func(session sessions.ID, q sessions.Sequence) machine.Request {
		return machine.Request{Session: session, Sequence: q}
	}
	apply(&machine.OpenSession{Nonce: [16]byte{1}, TTL: 10_000}, &machine.OpenSession{Nonce: [16]byte{2}, TTL: 10_000})
	apply(
		&machine.Acquire{Request: request(1, 1), Items: []locks.Item{{Name: brittle}}},
		&machine.Campaign{Request: request(1, 2), Name: "e"},
		&machine.Campaign{Request: request(2, 1), Name: "e"},
	)
	for _, op := range []machine.Op{
		&machine.Break{Name: brittle, Token: 1, Reason: "x"},
		&machine.Transfer{Leadership: machine.Leadership{Name: "e", Token: 2}, To: 2, Reason: "x"},
		&machine.Resign{Leadership: machine.Leadership{Name: "e", Token: 3}, Reason: "x"},
	} {
		out := apply(op)
		p := out.Results[0].Reply
		o, ok := endedBy(op)
		if p.Code != machine.OK || !ok {
			t.Fatalf("%T: code %d: %s", op, p.Code, p.Message)
		}
		if wrong := forced(o, p.Revision, out); wrong != "" {
			t.Errorf("%T: %s", op, wrong)
		}
		deaf := out
		deaf.Events = nil
		if wrong := forced(o, p.Revision, deaf); !strings.Contains(wrong, "is not told") {
			t.Errorf("%T, nobody told: %q", op, wrong)
		}
		idle := out
		idle.Changes = nil
		if wrong := forced(o, p.Revision, idle); !strings.Contains(wrong, "did not do it") {
			t.Errorf("%T, nothing done: %q", op, wrong)
		}
		if wrong := forced(o, p.Revision+1, out); !strings.Contains(wrong, "did not do it") {
			t.Errorf("%T, at another revision: %q", op, wrong)
		}
		o.token++
		if wrong := forced(o, p.Revision, out); !strings.Contains(wrong, "did not do it") {
			t.Errorf("%T, another token: %q", op, wrong)
		}
	}
	if _, ok := endedBy(&machine.Resign{Leadership: machine.Leadership{Request: request(1, 3), Name: "e", Token: 2}}); ok {
		t.Error("a leader that resigns is taken for an operator")
	}
}
