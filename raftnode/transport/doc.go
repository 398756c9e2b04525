// Package transport carries messages between the nodes of a cluster over DRPC.
//
// Every node dials every other node and sends on the connection that it dialed;
// it receives on the connections that were dialed to it. A pair of nodes has so
// two connections, each used one way, and neither waits for the other. DRPC
// runs one stream a connection, so a snapshot, which is large, gets a third
// connection for as long as it travels: heartbeats never stand behind it.
//
// What it promises:
//
//  1. Messages of one lane (see Lane) arrive in the order in which they were
//     sent, at most once, unchanged, from the node they say they are from.
//  2. Nothing here grows without bound. What does not fit in a queue, is larger
//     than a message may be, or was queued when its connection was lost, is
//     dropped; the receiver hears of it (Unreachable) when Raft's are among it.
//  3. A connection closed by the other side, as the kernel does when a process
//     is killed, is reported at once (PeerLost), even when nothing is being
//     sent. Silence is not reported: nobody can tell a lost network from a lost
//     machine, and Raft has its election timeout for both.
//  4. A stranger costs one goroutine and some kilobytes for a few seconds:
//     connections are counted, the handshake has a deadline and a budget of
//     bytes, and nothing is handed to the node before it is complete.
//
// What it does not promise: that a message arrives. Raft and the users of
// SendPayload repeat what matters to them.
//
// The way of a message:
//
//  1. Send puts it in the peer's queue, in the lane of its kind, or drops it.
//  2. Flush takes what is queued, urgent lane first, up to a batch, marshals each
//     message behind the others and writes once, as far as that needs no
//     waiting; the peer's writer does the rest.
//  3. The receiving node's goroutine for that connection unmarshals it, checks
//     where it says that it is from and to, and calls the receiver. A receiver
//     that blocks makes the sender's queue fill: that is the flow control.
//
// Messages are marshaled after Send has returned, so a message handed to Send
// must not be changed any more. Raft keeps to that for all
// messages and entries of a Ready.
//
// The methods of the receiver are called from goroutines of the transport, those
// of different peers at the same time. They should hand over and return: one
// that blocks holds up the messages of that peer, and nobody else's. One that
// panics costs its peer the connection; the panic is logged and counted. None
// may call SetPeers or Close.
package transport
