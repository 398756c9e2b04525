// Package sdk is the Go client of Conch, a distributed lock service.
//
// # What is not promised
//
// That a paused client notices in time. A process that is stopped, swapped
// out or starved may wake up after its session ended and somebody else was
// granted the lock, and may write before it looks at its clock. No client
// library can prevent that. What prevents the damage is the token: every
// grant carries a number that is larger than the number of every earlier
// grant, and the resource that is written to must refuse a number smaller
// than the largest one it has seen. Package sdk/fence does that check for
// resources written in Go and for SQL databases.
//
// # What is promised
//
// A client that looks at [Lock.Err], [Lock.Done] or [Lock.Context] learns of
// the end of its lock before the cell grants it to somebody else: its own
// deadline counts from the moment a keep-alive was sent, the cell's from when
// it was heard, and the client gives up a tenth of the time to live on top. A
// nil error of [Session.Lock] means that the lock is held. A request whose
// reply was lost is repeated with its own number and takes effect once. A
// call that was cancelled leaves no waiter behind.
//
// # How to use it
//
//  1. [Dial] a [Client] with the endpoints of any nodes of the cell. It keeps
//     one connection, whatever the number of sessions, locks and watches.
//  2. Open a session with [Client.NewSession]. It is kept alive in the
//     background until it is closed or lost.
//  3. Take locks with [Session.Lock] and [Session.TryLock], hand [Lock.Token]
//     to the resource, stop when [Lock.Done] is closed, and [Lock.Unlock].
//
// [Client.Do] does 2 and 3 around a function.
//
// # Elections
//
// An election is an exclusive lock with an audience: whoever leads has a token
// like the holder of a lock, and a value that everybody can see.
//
//   - [Session.Campaign] stands as a candidate and waits to lead. A [Leadership]
//     is a grant as a [Lock] is, with the same promises; it can proclaim another
//     value, resign, and hand over to a candidate by name. It is told how its
//     predecessor ended and what that proclaimed last.
//   - [Client.Lead] is the loop of a worker of which one must run: it stands,
//     runs a function while it leads, and stands again.
//   - [Client.Observe] and [Client.ObservePrefix] yield every leader in order,
//     without a gap and without a repeat, and hold the number of each leader's
//     term against the one before.
//
// # Contexts
//
// The context of a call bounds how long that call waits, and nothing else. It
// does not end the session, the lock that was acquired under it, or the
// release that it began: these go on in the background until the cell has
// acknowledged them or the session is over.
//
// # Losing a session
//
// A session is [Healthy] while keep-alives are acknowledged, in [Jeopardy]
// when the connection is gone or half of the safe time has passed without an
// acknowledgement, and [Lost] for good when it is over. [Session.States]
// tells of each change, so that an application can finish or save its work in
// jeopardy, while the lock is still its own.
//
// # Errors
//
// Refusals of the cell are [*Error] values that say who holds the lock, with
// which token and since when; errors.Is finds the sentinels of this package
// in them ([ErrHeld], [ErrWaitTimedOut], [ErrSessionExpired], …).
// [ErrUnknownOutcome] means that a request which cannot be repeated safely
// was under way when its connection broke: it may or may not have happened.
package sdk
