// Package child runs a command under a lock and stops it when the lock is lost.
//
// The promise: the command and everything it started is gone before Run
// returns, and also when conch itself is killed with SIGKILL, at whatever
// moment. One process cannot promise that about its own death, so there are
// two:
//
//		conch ── conch __guard ── CMD ── …
//
//	 1. Run starts conch once more as a small guard, in a process group of its
//	    own, and keeps one end of a socket. The guard is a child subreaper: a
//	    descendant whose parent dies becomes a child of the guard.
//	 2. The guard starts CMD in a new process group. Standard input, output and
//	    error are passed down untouched, and so are further descriptors that
//	    conch inherited.
//	 3. Signals that conch receives are sent on to CMD's process group. SIGTERM and
//	    SIGHUP are followed by SIGCONT, as timeout(1), service managers and shells do
//	    it: a stopped command would not hear that it is to end, and keep the lock.
//	 4. When the lock is lost the group gets SIGTERM (and SIGCONT, so that a
//	    stopped process hears it) at once, and what is left after KillAfter gets
//	    SIGKILL. The guard knows the lock's deadline too, and does the same by
//	    itself when conch is stopped or too slow to do it in time. A guard that was
//	    stopped itself, or does not obey for another reason, is killed two seconds
//	    after KillAfter, and CMD with it: conch never waits for the guard to read.
//	 5. When the socket ends, conch is dead, nobody would notice the loss of the
//	    lock any more, and the guard kills every descendant.
//	 6. When the guard is killed, the kernel kills CMD (parent-death signal), and
//	    conch, a child subreaper as well, kills what it inherits.
//	 7. When CMD ends by itself, processes it left behind get a second to end
//	    too (the tee of a shell's process substitution needs that), then the
//	    same treatment as at a loss.
//
// Not promised: that nothing is left when conch and the guard are killed with
// SIGKILL in the same instant. CMD dies then, but not what CMD had started.
//
// With a terminal, CMD's process group becomes the foreground group when conch
// is alone in its own one, as it is when typed at a shell; in a pipeline or a
// script it becomes so when it first asks for the terminal. A stop by Ctrl-Z
// stops conch too, so that the shell sees it; the lock is not renewed while
// conch is stopped and is lost in due course.
package child
