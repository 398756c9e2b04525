package sessions

import (
	"sort"

	"github.com/conch-lock/conch/record"
)

// replies remembers what a session was answered; nil is nothing at all.
//
// A sequence at or below acked was answered and the client has the answer. Of
// the others, those whose request is over stand in kept, sorted; none of them is
// forgotten, or a late copy of the request would take effect again. An outcome
// that follows an earlier answer (a queued claim that timed out, say) stands in
// late as well, since acknowledging the answer does not mean having the outcome;
// late forgets its oldest: a client that missed the push asks within seconds.
type replies struct {
	acked Sequence
	kept  []reply
	bytes int // of all kept
	late  []reply
}

type reply struct {
	sequence Sequence
	data     []byte
}

// maxLate is how many late outcomes a session remembers.
const maxLate = 64

// mark is the sequence up to which the client has its answers.
func (p *replies) mark() Sequence {
	if p == nil {
		return 0
	}
	return p.acked
}

// full says that no more should be added.
func (p *replies) full() bool {
	return p != nil && (len(p.kept) >= MaxReplies || p.bytes >= MaxReplyBytes)
}

func (p *replies) find(q Sequence) ([]byte, bool) {
	if p == nil {
		return nil, false
	}
	i := sort.Search(len(p.kept), func(i int) bool { return p.kept[i].sequence >= q })
	if i < len(p.kept) && p.kept[i].sequence == q {
		return p.kept[i].data, true
	}
	for i := len(p.late) - 1; i >= 0; i-- {
		if p.late[i].sequence == q {
			return p.late[i].data, true
		}
	}
	return nil, false
}

func (p *replies) keep(q Sequence, data []byte) {
	i := sort.Search(len(p.kept), func(i int) bool { return p.kept[i].sequence >= q })
	if i < len(p.kept) && p.kept[i].sequence == q {
		p.bytes += len(data) - len(p.kept[i].data)
		p.kept[i].data = data
		return
	}
	p.kept = append(p.kept, reply{})
	copy(p.kept[i+1:], p.kept[i:])
	p.kept[i] = reply{q, data}
	p.bytes += len(data)
}

func (p *replies) keepLate(q Sequence, data []byte) {
	if len(p.late) == maxLate {
		copy(p.late, p.late[1:])
		p.late = p.late[:maxLate-1]
	}
	p.late = append(p.late, reply{q, data})
}

// ack forgets kept replies up to and including q, which is above acked.
func (p *replies) ack(q Sequence) {
	p.acked = q
	n := 0
	for n < len(p.kept) && p.kept[n].sequence <= q {
		p.bytes -= len(p.kept[n].data)
		n++
	}
	if n > 0 {
		left := copy(p.kept, p.kept[n:])
		clear(p.kept[left:])
		p.kept = p.kept[:left]
	}
}

func (p *replies) append(b []byte) []byte {
	if p == nil {
		p = new(replies) // stays on the stack
	}
	b = record.AppendUint(b, p.acked)
	for _, list := range [2][]reply{p.kept, p.late} {
		b = record.AppendUint(b, uint64(len(list)))
		for _, x := range list {
			b = record.AppendUint(b, x.sequence)
			b = record.AppendString(b, x.data)
		}
	}
	return b
}

func readReplies(r *record.Reader) *replies {
	p := replies{acked: Sequence(r.Uint())}
	for _, list := range [2]*[]reply{&p.kept, &p.late} {
		for range r.Count() {
			q, data := Sequence(r.Uint()), append([]byte(nil), r.Bytes()...)
			if r.Err() != nil {
				return nil
			}
			*list = append(*list, reply{q, data})
		}
	}
	if p.acked == 0 && len(p.kept) == 0 && len(p.late) == 0 {
		return nil
	}
	for _, x := range p.kept {
		p.bytes += len(x.data)
	}
	return &p
}
