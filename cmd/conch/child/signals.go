package child

import (
	"os"
	"os/signal"
	"syscall"
)

// Listen starts to receive the signals that Run sends on to CMD. A signal that
// was ignored when conch was started stays ignored, in CMD too: that is what
// nohup(1) is for. stop ends it.
func Listen() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 64)
	for _, s := range forwarded() {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	return c, func() { signal.Stop(c) }
}

// forwarded lists the signals that go to CMD's process group.
func forwarded() []syscall.Signal {
	return []syscall.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP, syscall.SIGCONT,
	}
}
