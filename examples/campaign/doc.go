// Campaign is a service with one primary and any number of standbys, a
// hand-over to a standby that is named, and a client that follows the primary.
//
// The service hands out numbers, each one once: 1, 2, 3, … Its members stand in
// an election with their name and address as value. Whoever leads is the
// primary. The last number is a key in the cell itself, and the primary writes
// the next one in a transaction that holds only while its token leads, so that
// a primary that was paused and woke up late hands out nothing.
//
// A member:
//
//  1. It listens. While it does not lead, it refuses requests and says so.
//  2. It stands in the election and waits. When it leads it reads the last
//     number and begins to hand out the next ones.
//  3. Asked to hand over, it stops handing out, names the session of a candidate
//     that waits, and stands again, at the end of the queue. In one revision the
//     other one leads.
//  4. When it loses the lead otherwise, it stops and stands again as well.
//
// A client observes the election and asks whoever leads. It learns of a new
// primary from the cell, without asking the members around.
//
// The show command does all of that with processes of its own: a hand-over, a
// primary that is killed with SIGKILL, and a look at the numbers.
package main
