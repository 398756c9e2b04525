// Package planted has the bugs that are planted in Conch to see whether they
// are found.
//
// Each stands in the code where somebody might have made it, in one place:
//
//	if planted.On(planted.LogNotSynced) {
//		…
//	}
//
// The name says what is wrong when it is on. None ever is in an ordinary
// build: there On is false at compile time, and what hangs on it is not
// compiled; a test looks for traces of it in the program. With the build tag
// "planted" one bug is on, which the environment names:
//
//	CONCH_PLANTED=log-not-synced go run -tags planted ./chaos/simulate -from 1
//
// Command chaos/planted switches them on one after the other and runs the
// tests and the simulation until one of them fails. A bug that survives that
// is a gap in them. So a new bug comes with its line in the table of
// chaos/README.md, which says what finds it.
//
// On knows nothing but the environment at the start of the process, so that
// the packages of the state machine, which must be functions of the log, may
// ask it.
package planted
