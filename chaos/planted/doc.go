// Command planted switches on the bugs of package internal/planted, one after
// the other, and says what finds each.
//
// For every bug:
//
//  1. The simulation runs seeds from 1 on until one fails.
//  2. For bugs of files, the first 1000 injections of chaos/damage run; for those
//     of streams and of the client, 12 cells of chaos/shell.
//  3. The tests of the package run in which the bug stands.
//  4. If nothing found it, the tests of the packages that import that one run,
//     the nearest first, and in the end those with real processes.
//
// Everything is built with the tag "planted" and runs first without a bug: what
// fails even then would find every bug and prove nothing.
//
// Usage:
//
//	planted                            all bugs, a line for each, then the table
//	planted -bugs vote-not-written,…   these
//	planted -first                     each until the first that finds it
//	planted -simulation                nothing but it
//	planted -write chaos/README.md     put the table there, for all bugs alone
//
// It exits with 1 when a bug survives, and with 2 when something cannot be run.
package main
