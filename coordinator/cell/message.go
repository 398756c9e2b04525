package cell

import (
	"sort"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/internal/planted"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/record"
	"github.com/conch-lock/conch/sessions"
)

// What the nodes of a cell say to each other beside consensus: a kind and its
// content. A message of an unknown kind or that cannot be read is dropped.
const (
	messageCommands byte = iota + 1 // commands for the leader, as in an entry
	messageHeard                    // keep-alives for the leader
	messageRefused                  // numbers of requests that the receiver of messageCommands did not take
)

// maxMessage is from what size on gathered commands are sent.
const maxMessage = 1 << 20

// note keeps the highest number heard of a session.
func note(heard map[sessions.ID]uint64, id sessions.ID, n uint64) {
	if known, ok := heard[id]; ok || len(heard) < machine.MaxHeard {
		heard[id] = max(known, n)
	}
}

func appendHeard(heard map[sessions.ID]uint64) []byte {
	ids := make([]sessions.ID, 0, len(heard))
	for id := range heard {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	b := record.AppendUint([]byte{messageHeard}, uint64(len(ids)))
	for _, id := range ids {
		b = record.AppendUint(b, id)
		b = record.AppendUint(b, heard[id])
	}
	return b
}

func appendRefused(numbers []uint64) []byte {
	b := record.AppendUint([]byte{messageRefused}, uint64(len(numbers)))
	for _, n := range numbers {
		b = record.AppendUint(b, n)
	}
	return b
}

// Receive implements [raftnode.Machine].
func (c *Cell) Receive(from raftnode.NodeID, payload []byte) {
	if len(payload) == 0 {
		return
	}
	r := record.NewReader(payload[1:])
	switch payload[0] {
	case messageCommands, messageHeard:
		c.asked[from] = c.now
	}
	switch payload[0] {
	case messageCommands:
		c.forwarded(from, payload[1:])
	case messageHeard:
		for range r.Count() {
			id, n := sessions.ID(r.Uint()), r.Uint()
			if r.Err() != nil {
				return
			}
			c.Hear(id, n)
		}
	case messageRefused:
		for range r.Count() {
			if q := c.pending.byNumber[r.Uint()]; q != nil && q.placed {
				c.hold(q)
			}
		}
	}
}

// forwarded takes commands of another node, or refuses them. Of each it does so
// once, whatever it is by the time another copy arrives: the node asks again
// under a new number, and a node's numbers rise.
func (c *Cell) forwarded(from raftnode.NodeID, commands []byte) {
	for len(commands) > 0 {
		one, rest, err := machine.Split(commands)
		if err != nil {
			return
		}
		whole := commands[:len(commands)-len(rest)]
		commands = rest
		cmd, err := machine.Decode(one)
		if err != nil || raftnode.NodeID(cmd.Origin) != from {
			continue
		}
		if cmd.Request <= c.from[from] && !planted.On(planted.ForwardedTwice) {
			continue
		}
		c.from[from] = cmd.Request
		if !c.leading || len(c.queue) > c.cfg.MaxQueue && !relief(cmd.Op) {
			c.refuse(from, cmd.Request)
			continue
		}
		c.queue = append(c.queue, whole...)
	}
	c.Flush()
}
