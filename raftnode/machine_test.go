package raftnode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// tally is a machine that remembers every payload applied.
type tally struct {
	index, term uint64
	values      []string
	queue       [][]byte // to propose
	proposed    []string // handed to raft as leader and not yet applied, dropped or given up
	dropped     []string
	unknown     []string // proposed when leadership was lost
	leads       uint64   // term in which it was told to lead; 0: it was told not to
	leader      NodeID   // as told by Unlead
	received    []string
	restores    int
	patient     NodeID // need not hear of commits at once
	onApply     func(Entry)
	trouble     []string
}

func (m *tally) Apply(entries []Entry) {
	for _, e := range entries {
		if e.Index != m.index+1 {
			m.trouble = append(m.trouble, fmt.Sprintf("entry %d applied after %d", e.Index, m.index))
		}
		if m.leads != 0 && e.Term > m.leads {
			m.trouble = append(m.trouble, fmt.Sprintf("leads in term %d and applies entry %d of term %d", m.leads, e.Index, e.Term))
		}
		m.index, m.term = e.Index, e.Term
		if e.Data != nil {
			m.values = append(m.values, string(e.Data))
			if len(m.proposed) > 0 && m.proposed[0] == string(e.Data) {
				m.proposed = m.proposed[1:]
			} else if len(m.proposed) > 0 && m.leads == e.Term {
				m.trouble = append(m.trouble, fmt.Sprintf("applied %q while %q was expected", e.Data, m.proposed[0]))
			}
		}
		if m.onApply != nil {
			m.onApply(e)
		}
	}
}

func (m *tally) Applied() (uint64, uint64) { return m.index, m.term }

func (m *tally) Lead(term uint64) {
	if m.term != term {
		m.trouble = append(m.trouble, fmt.Sprintf("leads in term %d having applied term %d", term, m.term))
	}
	m.leads = term
}

func (m *tally) Unlead(leader NodeID) {
	m.leads, m.leader = 0, leader
	m.unknown = append(m.unknown, m.proposed...)
	m.proposed = nil
}

func (m *tally) Propose(now time.Duration, maxBytes int) [][]byte {
	if m.leads == 0 {
		m.trouble = append(m.trouble, "asked for proposals while not leading")
	}
	q := m.queue
	m.queue = nil
	for _, p := range q {
		m.proposed = append(m.proposed, string(p))
	}
	return q
}

func (m *tally) Eager(node NodeID) bool { return node != m.patient }

func (m *tally) ProposalDropped(p []byte) {
	m.dropped = append(m.dropped, string(p))
	for i, v := range m.proposed {
		if v == string(p) {
			m.proposed = append(m.proposed[:i:i], m.proposed[i+1:]...)
			return
		}
	}
}

func (m *tally) Receive(from NodeID, payload []byte) {
	m.received = append(m.received, fmt.Sprintf("%v:%s", from, payload))
}

func (m *tally) Snapshot() SnapshotSource {
	var b []byte
	for _, v := range m.values {
		b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
	}
	return &tallySource{rest: b}
}

func (m *tally) Restore(r io.Reader, index, term uint64) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var values []string
	for in := bytes.NewReader(b); in.Len() > 0; {
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return err
		}
		v := make([]byte, n)
		if _, err := io.ReadFull(in, v); err != nil {
			return err
		}
		values = append(values, string(v))
	}
	m.values, m.index, m.term = values, index, term
	m.restores++
	return nil
}

type tallySource struct {
	rest   []byte
	closed bool
}

func (s *tallySource) Next(buf []byte) ([]byte, bool) {
	n := copy(buf[:min(len(buf), 100)], s.rest)
	s.rest = s.rest[n:]
	return buf[:n], len(s.rest) == 0
}

func (s *tallySource) Close() { s.closed = true }
