// Package cell is one cell as one node sees it: the state machine of the cell,
// between the consensus that feeds it and the server that asks it.
//
// A request goes through it like this:
//
//  1. [Cell.Submit] takes the operation and the function that wants the reply.
//  2. On the leader it waits for the next turn of the consensus, which takes
//     everything that waits as one entry. On another node it is sent on to the
//     leader; while no leader is known it waits for one.
//  3. When the entry is applied, here as on every node, the node that took the
//     request finds it by its number and answers.
//
// A request whose entry may be lost, because the leader changed or does not
// answer, is proposed again under the same session and sequence (the machine
// knows a repetition); one that has no sequence ends as unknown. What may be in a
// log is never told as not having happened. Of each request that another node
// sends, however many copies arrive, a node takes or refuses the first.
//
// Keep-alives are not commands: the leader gathers them, whoever took them, and
// every entry that it proposes says whom it heard and how much time has passed
// (see [ticker]).
//
// The package has no goroutine, clock or randomness of its own: everything
// happens in calls from the goroutine that drives the consensus, in production
// as under simulation.
package cell
