// Package group runs a command as a process group that ends with it, with the
// context, and with whoever started it.
//
// What go run, go test and make start does not hear what those are told, and it
// goes on when they are killed; a signal that the kernel sends for a dead parent
// reaches its children and not theirs. So the group is led by a process that does
// nothing else, the keeper:
//
//  1. Run starts its own program once more as the keeper, which [Keep] makes of it,
//     and holds the other end of the keeper's standard input. The keeper takes no
//     notice of signals but SIGKILL.
//  2. The command is started into the keeper's group, so that there is no moment
//     in which it runs unwatched.
//  3. When it has ended, or has been ended with the context, the keeper is dismissed
//     and what is left of the group is killed.
//  4. When the keeper's input ends instead, whoever started it is dead, however that
//     came about. It tells the group to end and kills what is left after some
//     patience, and itself.
//
// A process that leaves the group is not reached. Nodes of package internal/cluster
// do so, and end with their parent.
package group
