// Package coordinator is a node of a Conch cluster: the server around the state
// machine of a cell.
//
// # What it promises
//
//   - Every request gets exactly one answer, on the connection that it came
//     from, or the connection ends. An error says whether anything happened.
//   - What happens to a session is told to the stream that it is attached to,
//     in the order in which it happened. Of several streams of one node the
//     one that was opened last is told; what an earlier node may still tell is
//     the same.
//   - No client can make the node use memory without bound, or hold up the
//     consensus or another client: connections, frames, requests under way and
//     what waits to be written are bounded, one by one and together.
//   - Keep-alives, releases, cancellations and ends of sessions are not refused
//     for load, which they make smaller: a stream that sends too much of them is
//     read more slowly. Only a node whose loop is thousands of steps behind
//     refuses everything.
//   - When the log or the disk fails, the node serves nobody any more and
//     [Server.Done] and [Server.Err] say why.
//
// What it does not promise: that a pushed event arrives. A client that was away
// attaches its sessions again and is told what they hold.
//
// # The way of a request
//
//  1. The client port tells by the first bytes of a connection whether it talks
//     DRPC or HTTP (see listener).
//  2. The goroutine that reads a stream decodes a frame and checks each request
//     against its bounds. What is out of bounds is answered there.
//  3. The rest goes into the inbox of the cell's loop: one wake-up for however
//     many requests have gathered (see loop).
//  4. On the goroutine that drives the consensus a command is submitted to the
//     cell (package cell), and a linearizable read waits, together with all
//     others at hand, for one confirmation of the leader.
//  5. When the command's entry is applied, the answer goes into the queue of the
//     stream, and what other sessions have to be told into theirs.
//  6. All that is queued for a stream is written as one frame with one flush: by
//     the loop where that is little for few streams, or else by the stream's own
//     goroutine (see outbox).
//
// Unary methods and JSON over HTTP go the same way from step 2 on.
//
// Nothing but step 4 and 5 touches the state, and both run on one goroutine, so
// the tables of attachments, watches and waiting calls need no lock.
package coordinator
