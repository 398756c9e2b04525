//go:build linux

package child

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

// screen is a process on a terminal of its own.
type screen struct {
	t    *testing.T
	keys *os.File
	cmd  *exec.Cmd

	mu   sync.Mutex
	text strings.Builder
}

// startScreen runs args as the leader of a session with a new terminal.
func startScreen(t *testing.T, args ...string) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, keys: master, cmd: exec.Command(args[0], args[1:]...)}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.Env = append(os.Environ(), "CHILD_RUN=1", "CONCH="+exe, "PS1=", "HISTFILE=")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		<-read // all of the terminal's users are gone
		master.Close()
	})
	return s
}

func (s *screen) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) await(text string) {
	s.t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(s.shown(), text); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited %v in vain for %q on the terminal:\n%s", patience, text, s.shown())
		}
	}
}

func (s *screen) typed(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, keys); err != nil {
		s.t.Fatal(err)
	}
}

// Alone in its group, conch hands the terminal over at the start.
func TestTerminalIsHandedOver(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := startScreen(t, exe, "/bin/sh", "-c", `stty -echo; echo ready; read x; echo "got <$x>"`)
	s.await("ready")
	s.typed("hello\n")
	s.await("got <hello>")
	s.await("result: code=0")
}

func TestInterruptKeyReachesTheCommand(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := startScreen(t, exe, "/bin/sh", "-c", `echo ready; exec sleep 1000`)
	s.await("ready")
	s.typed("\x03")
	s.await("result: code=130")
}

// In a script the shell shares conch's group: the terminal is handed over when
// the command asks for it, and comes back afterwards.
func TestTerminalIsHandedOverOnDemand(t *testing.T) {
	s := startScreen(t, "/bin/sh", "-c", `"$CONCH" sh -c 'echo ready; read x; echo "got <$x>"'; read y; echo "then <$y>"`)
	s.await("ready")
	s.typed("one\n")
	s.await("got <one>")
	s.await("result: code=0")
	s.typed("two\n")
	s.await("then <two>")
}

// Without the terminal handed over, Ctrl-C reaches conch and is sent on.
func TestInterruptKeyInAScript(t *testing.T) {
	s := startScreen(t, "/bin/sh", "-c", `trap : INT; "$CONCH" sh -c 'trap "exit 9" INT; echo ready; while :; do sleep 0.01; done'; echo "status $?"`)
	s.await("ready")
	s.typed("\x03")
	s.await("status 9")
}

// Ctrl-Z stops the job as the shell sees it, fg continues it.
func TestStopKey(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	s := startScreen(t, bash, "--norc", "--noprofile", "-i")
	s.typed(`"$CONCH" sh -c 'echo rea""dy; read x; echo "got <$x>"'` + "\n")
	s.await("ready")
	s.typed("\x1a")
	s.await("Stopped")
	s.typed("echo at the sh\"\"ell\n")
	s.await("at the shell")
	s.typed("fg\n")
	s.typed("again\n")
	s.await("got <again>")
	s.await("result: code=0")
}

// Nobody could continue a session leader: Ctrl-Z then has no effect.
func TestStopKeyWithoutAShell(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := startScreen(t, exe, "/bin/sh", "-c", `stty -echo; echo ready; read x; echo "got <$x>"`)
	s.await("ready")
	s.typed("\x1a")
	s.typed("still here\n")
	s.await("got <still here>")
}
