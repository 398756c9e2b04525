package raftnode

import "sync"

// Bounds of what waits for a group's next turn. What is over is dropped, refused, or, for the news of peers, merged.
const (
	maxInboxMessages = 8192
	maxInboxPayloads = 16384
	maxInboxBytes    = 64 << 20 // of messages and payloads, each
	maxInboxDo       = 16384
	maxInboxRequests = 64
)

// inbox gathers what arrives for a group between two turns.
type inbox struct {
	signal func() // asks for a turn

	mu           sync.Mutex
	closed       bool
	in           Inputs
	do           []func()
	messageBytes int
	payloadBytes int
	dropped      uint64 // messages and payloads
}

// put runs add, unless the inbox is closed, and asks for a turn. It returns add's answer.
func (b *inbox) put(add func() error) error {
	err := b.add(add)
	if err == nil {
		b.signal()
	}
	return err
}

// add is put for who asks for the turn himself.
func (b *inbox) add(add func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrStopped
	}
	return add()
}

// take empties the inbox into in and do, whose space is used again, and returns what was in it.
func (b *inbox) take(in Inputs, do []func()) (Inputs, []func()) {
	in.reset()
	clear(do)
	b.mu.Lock()
	defer b.mu.Unlock()
	in, b.in = b.in, in
	do, b.do = b.do, do[:0]
	b.messageBytes, b.payloadBytes = 0, 0
	return in, do
}

// close makes every later put fail.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// message takes a raft message, and asks for no turn; when there is no room it is lost, as on a network.
func (b *inbox) message(m PeerMessage) error {
	return b.add(func() error {
		size := entryOverhead
		for _, e := range m.Message.GetEntries() {
			size += len(e.GetData()) + entryOverhead
		}
		if len(b.in.Messages) >= maxInboxMessages || b.messageBytes+size > maxInboxBytes {
			b.dropped++
			return ErrBusy
		}
		b.messageBytes += size
		b.in.Messages = append(b.in.Messages, m)
		return nil
	})
}

// payload takes an application message; when there is no room it is lost, as on a network.
func (b *inbox) payload(p PeerPayload) error {
	return b.put(func() error {
		if len(b.in.Payloads) >= maxInboxPayloads || b.payloadBytes+len(p.Payload) > maxInboxBytes {
			b.dropped++
			return ErrBusy
		}
		b.payloadBytes += len(p.Payload)
		b.in.Payloads = append(b.in.Payloads, p)
		return nil
	})
}

// addNode adds a node to a list of news, once.
func addNode(list []NodeID, id NodeID) []NodeID {
	for _, known := range list {
		if known == id {
			return list
		}
	}
	return append(list, id)
}

// reset empties the inputs and keeps their space.
func (in *Inputs) reset() {
	clear(in.Messages)
	clear(in.Payloads)
	clear(in.Snapshots)
	clear(in.SnapshotsSent)
	clear(in.Reads)
	clear(in.Transfers)
	clear(in.Changes)
	in.Messages, in.Payloads = in.Messages[:0], in.Payloads[:0]
	in.Snapshots, in.SnapshotsSent = in.Snapshots[:0], in.SnapshotsSent[:0]
	in.Unreachable, in.Lost = in.Unreachable[:0], in.Lost[:0]
	in.Reads, in.Transfers, in.Changes = in.Reads[:0], in.Transfers[:0], in.Changes[:0]
}
