// Fencedwriter shows what a fencing token is for, with real processes and a
// real SQL database.
//
// Two writers pay money into one account. Each takes the account's lock, reads
// the balance, adds its amount and writes the sum back. The race command stops
// the first with SIGSTOP at the worst moment: after it has made sure that the
// lock is its own, and before it writes. Its session runs out, the second
// writer gets the lock, pays in and is done. Then the first wakes up, knows
// nothing of all that, and writes.
//
// No lock service can prevent that moment. The database can: the writer's
// transaction begins by showing the token of its lock (package sdk/fence), and
// a token older than the largest one seen is refused in the same transaction
// that would have written. With --fence=off nobody looks at the token, and the
// second payment is lost.
package main
