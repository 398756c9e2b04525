// Package fence is the resource's side of a lock: it refuses writes that carry
// a token older than one that was seen before.
//
// # What is not promised
//
// A lock service cannot keep a paused client from writing late: the client may
// be stopped between looking at its lock and writing, for as long as it takes
// for somebody else to be granted the lock. Only the resource that is written
// to can refuse that write. A check is worth something only where it is
// atomic with the write: under the mutex that guards the data ([Guard.Do]), or
// in the transaction that changes it ([SQL.Check]). A check before the write,
// without either, only makes the gap smaller.
//
// # The rule
//
// Every grant of a cell carries a larger token than all grants before it. A
// resource remembers the largest token that it has seen and refuses smaller
// ones with [ErrStale]; an equal one is the same grant writing again. The
// tokens of one resource must come from one lock, or from one election, of one
// cell: those of different cells do not compare.
//
// [Guard] keeps the tokens in memory and forgets them with the process, so it
// fits resources that die with it. [SQL] keeps them in a table beside the
// data.
package fence
