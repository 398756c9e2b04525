// Package cli is the command line of Conch: flags and arguments in, calls of
// the client library or a server out, an exit status at the end.
//
// Every command is made the same way:
//
//  1. cobra parses the flags. A flag that was not given takes its value from
//     its environment variable, CONCH_ and its name in capitals.
//  2. Arguments are checked before anything is sent. What is wrong with them
//     is a usage error, exit status 64.
//  3. The command runs with the whole environment of the process in an App,
//     so that tests can put in their own streams, clock and cell.
//  4. Its error decides the exit status; see exit.go.
//
// Results go to standard output by package report, messages to standard error.
package cli
