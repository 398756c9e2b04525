package transport

import (
	"errors"
	"fmt"

	"github.com/conch-lock/conch/raftnode"
	"storj.io/drpc/drpcerr"
)

// Reasons why nothing was sent, or not all of it. They are found by errors.Is.
var (
	// ErrClosed: the transport was closed.
	ErrClosed = errors.New("transport: closed")
	// ErrUnknownPeer: the node is not among the peers.
	ErrUnknownPeer = errors.New("transport: unknown peer")
	// ErrBusy: a snapshot of this group is on its way to that peer already, or
	// too many snapshots are being sent to or received by it.
	ErrBusy = errors.New("transport: too many snapshots at a time")
	// ErrTooLarge: the message is larger than Config.MaxMessageBytes.
	ErrTooLarge = errors.New("transport: message too large")
	// ErrAborted: a snapshot was not transferred whole.
	ErrAborted = errors.New("transport: snapshot aborted")
)

// Refusal says why a node did not accept a connection. The numbers travel
// between nodes and are append-only.
type Refusal uint64

// The refusals.
const (
	RefusedVersion     Refusal = 1 // the nodes speak different protocol versions
	RefusedCluster     Refusal = 2 // the nodes belong to different clusters
	RefusedNode        Refusal = 3 // the address belongs to another node
	RefusedUnknown     Refusal = 4 // the dialing node is not among the peers
	RefusedCertificate Refusal = 5 // the certificate does not belong to the node
	RefusedBusy        Refusal = 6 // too many snapshots at a time
	RefusedMessage     Refusal = 7 // a message broke the protocol
	RefusedFailed      Refusal = 8 // the receiver failed or panicked
	RefusedDirectory   Refusal = 9 // the dialing node's data directory is not the one it is known with
)

// RefusedError is a connection refused or ended by the other node on purpose.
type RefusedError struct {
	Peer    raftnode.NodeID // the node that refused
	Refusal Refusal         // why
	Text    string          // the same in the words of that node
}

// Error says who refused what, and why.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("transport: node %v refused: %s", e.Peer, e.Text)
}

// Unwrap makes a refusal for too many snapshots an ErrBusy.
func (e *RefusedError) Unwrap() error {
	if e.Refusal == RefusedBusy {
		return ErrBusy
	}
	return nil
}

// refuse returns an error that crosses the wire as a RefusedError.
func refuse(why Refusal, format string, args ...any) error {
	return drpcerr.WithCode(fmt.Errorf(format, args...), uint64(why))
}

// refusal returns err as the RefusedError that it carries, or nil.
func refusal(peer raftnode.NodeID, err error) *RefusedError {
	code := drpcerr.Code(err)
	if err == nil || code == 0 {
		return nil
	}
	return &RefusedError{Peer: peer, Refusal: Refusal(code), Text: err.Error()}
}
