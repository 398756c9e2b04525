// Package clock builds programs whose clock goes wrong while they run: at another
// rate, with jumps of the monotonic or the wall clock.
//
// Go reads the time without the C library, so nothing can be put between from
// outside. [Source] is for package overlay: it replaces three files of the standard
// library for one build and adds a file to the main package, which watches a file
// named by the environment variable [Variable] and does to the clock what stands
// there ([Fault]). The source of the program is as it is; timers, tickers, sleeps
// and contexts follow the clock.
//
// What does not follow it: CLOCK_BOOTTIME, when the program reads that itself, as
// clients of Conch do.
package clock
