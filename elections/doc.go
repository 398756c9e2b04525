// Package elections decides who leads.
//
// An election is an exclusive lock with an audience: whoever holds it leads, and
// everybody can see who that is and what it proclaims. Candidates are claims
// with a value; their queue and their grants are those of package locks. What
// happens in an election, in order:
//
//  1. A candidate stands, with a value of at most 64 KiB. It leads at once when
//     nobody does, and waits otherwise: while somebody waits, somebody leads.
//  2. Whoever becomes leader gets the next token of the cell's one counter, the
//     next term of the election, and is told its predecessor: how its tenure
//     ended, its token, and the last value that it proclaimed, also when nobody
//     led in between.
//  3. The leader may proclaim another value, which makes a new revision and
//     leaves token and term as they are.
//  4. It resigns, hands over to a candidate that it names, is broken by an
//     operator, is pre-empted, or its session ends. Whoever leads next does so
//     from that very revision, so that observers see one change.
//
// # The order of candidates
//
// Candidates lead in the order in which they stood, unless they ask for more. A
// priority of -1000 to 1000 (0 unless stated) is worth as many aging intervals of
// waiting: the effective priority of a candidate is the one it stated plus one
// for each interval that it has waited, in cluster time, growing steadily; the
// highest leads next, and of equal ones the one that stood first. All wait at
// the same pace, so the order of two candidates never changes while both wait,
// and nobody waits for ever behind newcomers: a candidate is overtaken only by
// those that stand within (their priority - its own) intervals after it. The
// interval is 1 s to 365 days, a minute unless stated; who stands in an election
// that is led waits by the one in use there, and is refused when it states
// another: an election with two would have no order.
//
// Pre-emption happens only when a candidate asks for it. A candidate that does
// ends the tenure of a leader of strictly lower stated priority (waiting and
// leading do not raise that) once that leader has led for the minimum tenure
// that it asked for when it stood: 0 to 30 days, 0 unless stated. The tenure
// ends as transferred, in one revision with the new leader's beginning. Of
// several, the one with the highest stated priority leads, of equal ones the one
// that is first in the queue. A candidate that would be pre-empted in the moment
// of its grant is passed over in favour of the one that would do it; one that
// wants to be safe of that asks for a minimum tenure.
//
// A leader that is pre-empted or broken learns of it when it is told, like any
// holder of a lock that is broken: until then it believes that it leads. The
// token is for that. A leader that hands over or resigns knows beforehand.
//
// # Terms: how an observer knows that it missed nobody
//
// The record of an election is written in each revision that changes its leader
// or the leader's value, and in no other. It carries the term, which is the
// number of leaders that the election has had: 1 for the first, one more for
// each. A record with the same term is a proclamation, or says that the leader
// is gone and nobody leads; one with the next term is the next leader, and tells
// how the one before ended. There is never more than one new leader in a
// revision. So who has seen term 7 and sees term 8 has missed nobody, and who
// sees term 9 knows of exactly one that it missed: no trust in whoever
// delivered the records is needed.
//
// A free election keeps its record, with the predecessor for whoever leads next,
// for as long as that matters: when the last leader was lost (expired, ended,
// broken), until there is another one, however long that takes. When it went in
// order (resigned, or its owner closed the session), the record is forgotten
// once the history of its last change is compacted. Terms then begin at 1 again,
// and the create revision of the record is a new one, which tells the two lives
// apart; tokens go on growing.
//
// # What is not here
//
// No delay after a leader is lost: whoever needs a pause before it acts waits
// itself. No vote: the cell is asked, not the candidates.
//
// The package is pure: no clock, no randomness, no goroutine, no I/O. A refusal
// is a value; iteration is in a stated order.
package elections
