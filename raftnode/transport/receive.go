package transport

import (
	"github.com/conch-lock/conch/raftnode"
	"go.etcd.io/raft/v3/raftpb"
)

// register keeps a connection taken from the peer, to close it when the peer is
// removed. It reports false when it was removed already.
func (p *peer) register(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.taken[c] = struct{}{}
	return true
}

func (p *peer) unregister(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, c)
}

// receive hands messages to the receiver until the connection ends.
func (p *peer) receive(in *incoming) {
	p.mu.Lock()
	old := p.in
	p.in = in.conn
	p.mu.Unlock()
	if old != nil {
		// The peer gave it up, or has been started anew, and that did not get
		// here.
		old.fail(errReplaced)
		_ = old.Close()
	}
	// It is alive: no need to wait before connecting to it.
	p.dialNow()

	var err error
	if panicked := p.t.guard(p.id, func() { err = p.deliver(in) }); panicked != nil {
		err = panicked
	}
	cause := in.conn.why()
	if refusal(p.id, err) != nil {
		p.log.Error().Err(err).Msg("connection from peer closed")
		in.refuse(err)
	}

	p.mu.Lock()
	if p.in == in.conn {
		p.in = nil
	}
	p.mu.Unlock()
	if closedByPeer(cause) {
		p.reportLost()
	}
}

func (p *peer) deliver(in *incoming) error {
	var f frame
	pongs := newFrameWriter(in.stream, p.t.codec)
	for {
		b, err := in.messages.Next()
		if err == nil {
			err = p.t.codec.Unmarshal(b, &f)
		}
		if err != nil {
			if in.conn.why() == nil {
				err = refuse(RefusedMessage, "unreadable message: %v", err)
			}
			return err
		}
		switch f.kind {
		case kindRaft:
			if err := p.checkMessage(f.msg); err != nil {
				return err
			}
			p.receivedMessages.Add(1)
			p.t.receiver.ReceiveMessage(f.group, p.id, f.msg)
		case kindApp:
			p.receivedMessages.Add(1)
			p.t.receiver.ReceivePayload(f.group, p.id, f.data)
			f.data = nil // it is the receiver's now
		case kindPing:
			f.kind = kindPong
			if err := pongs.send(&f); err != nil {
				return err
			}
		default:
			return refuse(RefusedMessage, "message of kind %d among Raft's", f.kind)
		}
	}
}

// checkMessage checks what the connection can answer for: who speaks to whom.
func (p *peer) checkMessage(m *raftpb.Message) error {
	if from := raftnode.NodeID(m.GetFrom()); from != p.id {
		return refuse(RefusedMessage, "a %v from node %v came from node %v", m.GetType(), from, p.id)
	}
	if to := raftnode.NodeID(m.GetTo()); to != p.t.self.Node {
		return refuse(RefusedMessage, "a %v for node %v came to node %v", m.GetType(), to, p.t.self.Node)
	}
	return nil
}
