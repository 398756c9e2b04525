package raftnode

import (
	"fmt"
	"io"
	"sync"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// network connects hosts of one process, each with a goroutine that delivers what is sent to it.
type network struct {
	mu    sync.Mutex
	ports map[NodeID]*port
}

// port is a Transport of a network.
type port struct {
	net  *network
	self NodeID
	r    Receiver
	in   chan func(Receiver)
	stop chan struct{}
	work sync.WaitGroup
}

func newNetwork() *network { return &network{ports: map[NodeID]*port{}} }

func (n *network) connect(self Identity, r Receiver) (Transport, error) {
	p := &port{net: n, self: self.Node, r: r, in: make(chan func(Receiver), 4096), stop: make(chan struct{})}
	n.mu.Lock()
	n.ports[self.Node] = p
	n.mu.Unlock()
	p.work.Go(func() {
		for {
			select {
			case f := <-p.in:
				f(r)
			case <-p.stop:
				return
			}
		}
	})
	return p, nil
}

// to runs f at another node; it reports false when that is not there or has too much to do.
func (p *port) to(id NodeID, f func(Receiver)) bool {
	p.net.mu.Lock()
	other := p.net.ports[id]
	p.net.mu.Unlock()
	if other == nil {
		return false
	}
	select {
	case other.in <- f:
		return true
	default:
		return false
	}
}

func (p *port) Flush() {}

func (p *port) Send(group GroupID, m *raftpb.Message) {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	sent := p.to(NodeID(m.GetTo()), func(r Receiver) {
		m := &raftpb.Message{}
		if err := proto.Unmarshal(b, m); err != nil {
			panic(err)
		}
		r.ReceiveMessage(group, p.self, m)
	})
	if !sent {
		p.to(p.self, func(r Receiver) { r.Unreachable(group, NodeID(m.GetTo())) })
	}
}

func (p *port) SendPayload(group GroupID, to NodeID, payload []byte) bool {
	return p.to(to, func(r Receiver) { r.ReceivePayload(group, p.self, payload) })
}

func (p *port) SendSnapshot(group GroupID, m *raftpb.Message, open func() (io.ReadCloser, error)) {
	p.work.Go(func() {
		err := func() error {
			p.net.mu.Lock()
			other := p.net.ports[NodeID(m.GetTo())]
			p.net.mu.Unlock()
			if other == nil {
				return fmt.Errorf("no node %x", m.GetTo())
			}
			r, err := open()
			if err != nil {
				return err
			}
			defer r.Close()
			return other.r.ReceiveSnapshot(group, p.self, proto.Clone(m).(*raftpb.Message), r)
		}()
		p.r.SnapshotSent(group, NodeID(m.GetTo()), m.GetSnapshot().GetMetadata().GetIndex(), err)
	})
}

func (p *port) SetPeers(map[NodeID]string) {}

func (p *port) Close() error {
	p.net.mu.Lock()
	delete(p.net.ports, p.self)
	others := make([]*port, 0, len(p.net.ports))
	for _, o := range p.net.ports {
		others = append(others, o)
	}
	p.net.mu.Unlock()
	for _, o := range others {
		p.to(o.self, func(r Receiver) { r.PeerLost(p.self) })
	}
	close(p.stop)
	p.work.Wait()
	return nil
}
