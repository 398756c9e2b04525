// Package sessions keeps the sessions of a cell: who is there, until when, and
// what each was answered.
//
// A session is a client's standing with the cell. Locks, claims, candidacies
// and keys belong to it and end with it. It lives while the cell hears it
// within its TTL, counted in cluster time.
//
// Cluster time ([Time]) moves only by applying a Tick from the log, so a
// deadline falls due at the same entry on every replica, whoever leads. While
// no Tick commits, nobody expires. The cluster counts a TTL from the Tick that
// carried the keep-alive, the client from when it sent it: the client always
// stops believing first.
//
// A request carries the number of its session and a sequence that the session
// never uses twice. The table remembers the reply of each sequence until the
// client says, by a watermark that comes with its later requests, that it has
// it: a repeated request takes effect once and gets the same bytes.
//
// What is not promised: that a client which was paused notices in time. It may
// believe in a session that the cell has ended; the fencing token is for that.
//
// The package is pure: no clock, no randomness, no goroutine, no I/O. Every
// method is a function of the table and its arguments, and iteration is in a
// stated order.
package sessions
