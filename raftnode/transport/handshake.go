package transport

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/conch-lock/conch/raftnode"
	"storj.io/drpc/drpcstream"
)

// protocolVersion is raised with every change that older nodes cannot read.
// The version stands first in a hello, so that any two versions can tell each
// other apart.
const protocolVersion = 1

// helloMagic starts every hello and welcome.
const helloMagic = "CNPR"

// hello is the first message of a stream:
//
//	4 bytes magic, 2 bytes version, 8 bytes each: cluster, from, to, directory
//
// The answer is a welcome (magic, version), or a DRPC error whose code is a
// Refusal. The dialing node sends nothing more before it has that.
type hello struct {
	version   uint16
	cluster   uint64
	from, to  raftnode.NodeID
	directory uint64 // of from
}

const helloBytes = 4 + 2 + 4*8

func (h hello) encode() []byte {
	b := append(make([]byte, 0, helloBytes), helloMagic...)
	b = binary.BigEndian.AppendUint16(b, h.version)
	b = binary.BigEndian.AppendUint64(b, h.cluster)
	b = binary.BigEndian.AppendUint64(b, uint64(h.from))
	b = binary.BigEndian.AppendUint64(b, uint64(h.to))
	return binary.BigEndian.AppendUint64(b, h.directory)
}

func decodeHello(f *frame) (hello, error) {
	b := f.data
	if f.kind != kindHello || len(b) < 6 || string(b[:4]) != helloMagic {
		return hello{}, refuse(RefusedMessage, "a connection between nodes starts with a hello, this one did not")
	}
	h := hello{version: binary.BigEndian.Uint16(b[4:])}
	if h.version != protocolVersion {
		return h, refuse(RefusedVersion, "this node speaks version %d of the protocol between nodes, the dialing one version %d",
			protocolVersion, h.version)
	}
	if len(b) != helloBytes {
		return h, refuse(RefusedMessage, "a hello has %d bytes, this one has %d", helloBytes, len(b))
	}
	h.cluster = binary.BigEndian.Uint64(b[6:])
	h.from = raftnode.NodeID(binary.BigEndian.Uint64(b[14:]))
	h.to = raftnode.NodeID(binary.BigEndian.Uint64(b[22:]))
	h.directory = binary.BigEndian.Uint64(b[30:])
	return h, nil
}

// check returns why a hello is refused, apart from whether the node is known.
func (t *Transport) check(h hello) error {
	switch {
	case h.cluster != t.self.Cluster:
		return refuse(RefusedCluster, "this node belongs to cluster %x, the dialing one to cluster %x", t.self.Cluster, h.cluster)
	case h.to != t.self.Node:
		return refuse(RefusedNode, "this is node %v (%s), the dialing one looks for node %v: check the address that it has for it",
			t.self.Node, t.self.Name, h.to)
	case h.from == t.self.Node || h.from == 0:
		return refuse(RefusedNode, "the dialing node calls itself %v, and this one is %v", h.from, t.self.Node)
	}
	return nil
}

// ask asks the receiver whether the node may connect with its data directory.
func (t *Transport) ask(h hello) error {
	var err error
	if panicked := t.guard(h.from, func() { err = t.receiver.Admit(h.from, h.directory) }); panicked != nil {
		return panicked
	}
	if errors.Is(err, raftnode.ErrOtherDirectory) {
		return refuse(RefusedDirectory, "node %v (%s) knows node %v with another data directory than the one that it has now", t.self.Node, t.self.Name, h.from)
	}
	if err != nil {
		return refuse(RefusedFailed, "node %v cannot take note of node %v: %v", t.self.Node, h.from, err)
	}
	return nil
}

// introduce is the dialing side of the handshake.
func (t *Transport) introduce(s *drpcstream.Stream, to raftnode.NodeID) error {
	f := frame{kind: kindHello, data: hello{
		version: protocolVersion, cluster: t.self.Cluster, from: t.self.Node, to: to, directory: t.self.Directory,
	}.encode()}
	if err := newFrameWriter(s, t.codec).send(&f); err != nil {
		return err
	}
	var reply frame
	if err := s.MsgRecv(&reply, t.codec); err != nil {
		return err
	}
	if b := reply.data; reply.kind != kindWelcome || len(b) < 6 || string(b[:4]) != helloMagic {
		return fmt.Errorf("transport: node %v answered a hello with a message of kind %d", to, reply.kind)
	}
	return nil
}

// welcome is the other side of it.
func (t *Transport) welcome(s *drpcstream.Stream) error {
	f := frame{kind: kindWelcome, data: binary.BigEndian.AppendUint16([]byte(helloMagic), protocolVersion)}
	return newFrameWriter(s, t.codec).send(&f)
}
