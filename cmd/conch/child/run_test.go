//go:build linux

package child

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := write("plain", "exit 0\n", 0o644)
	bare := write("bare", "exit $1\n", 0o755) // no #! line
	lost := write("lost", "#!/no/such/interpreter\n", 0o755)
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"done", []string{"true"}, 0},
		{"status", []string{"sh", "-c", "exit 3"}, 3},
		{"highest status", []string{"sh", "-c", "exit 255"}, 255},
		{"killed", []string{"sh", "-c", "kill -KILL $$"}, 137},
		{"terminated", []string{"sh", "-c", "kill -TERM $$"}, 143},
		{"not found in PATH", []string{"no-such-command-of-conch"}, 127},
		{"not found", []string{"/no/such/file"}, 127},
		{"its interpreter not found", []string{lost}, 127},
		{"not executable", []string{plain}, 126},
		{"a folder", []string{dir}, 126},
		{"script without interpreter", []string{bare, "9"}, 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := startConchArgs(t, tt.args)
			if code, _ := c.exit(); code != tt.want {
				t.Errorf("exit status %d, want %d; stderr: %s", code, tt.want, c.read("stderr"))
			}
		})
	}
}

func TestNotExecutableInPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tool"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	_, err := Lookup("tool")
	start, ok := err.(*StartError)
	if !ok || start.ExitCode() != 126 {
		t.Fatalf("Lookup: %v, want a *StartError of status 126", err)
	}
}

// Words, environment, streams and further descriptors arrive byte for byte.
func TestPassesEverythingOn(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `exec "$0" "$@" 9<nine <zero`, exe, "/bin/sh", "-c",
		`printf '%s|%s|' "$1" "$ODD"; cat; cat <&9; echo err >&2; echo; ls -1 /proc/self/fd | sort -n | tr '\n' ' '`,
		"sh", "a b\xff\n$x")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "CHILD_RUN=1", "ODD=\xfe=1")
	for name, text := range map[string]string{"nine": "from nine", "zero": "from zero,"} {
		if err := os.WriteFile(filepath.Join(cmd.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	want := "a b\xff\n$x|\xfe=1|from zero,from nine\n"
	if !strings.HasPrefix(string(out), want) {
		t.Errorf("stdout %q, want %q first", out, want)
	}
	// 0, 1, 2, 9 and the one with which ls reads the folder: nothing of conch's leaks.
	bare := exec.Command("/bin/sh", "-c", `exec 9<"$0"; ls -1 /proc/self/fd | sort -n | tr '\n' ' '`, exe)
	plain, err := bare.Output()
	if err != nil {
		t.Fatal(err)
	}
	if fds := strings.TrimPrefix(string(out), want); fds != string(plain) {
		t.Errorf("open descriptors %s, without conch they are %s", fds, plain)
	}
	if !strings.HasPrefix(errs.String(), "err\n") {
		t.Errorf("stderr %q, want err first", errs.String())
	}
}

func TestSignalsReachTheGroup(t *testing.T) {
	for name, sig := range map[string]unix.Signal{
		"INT": unix.SIGINT, "TERM": unix.SIGTERM, "HUP": unix.SIGHUP,
		"QUIT": unix.SIGQUIT, "USR1": unix.SIGUSR1, "USR2": unix.SIGUSR2,
	} {
		t.Run(name, func(t *testing.T) {
			if signal.Ignored(sig) {
				t.Skipf("SIG%s is ignored here, as under nohup: so it is by every command", name)
			}
			// The shell and a process that it started both hear the signal.
			c := startConch(t, `
				trap 'echo outer > outer; exit 42' `+name+`
				echo $$ >> pids
				sh -c 'trap "echo inner > inner; exit 0" `+name+`; echo $$ >> pids; while :; do sleep 0.01; done'
				exit 1`)
			pids := c.pids(2)
			c.signal(sig)
			if code, _ := c.exit(); code != 42 {
				t.Errorf("exit status %d, want 42", code)
			}
			if c.read("outer") == "" || c.read("inner") == "" {
				t.Errorf("outer %q inner %q: both should have heard SIG%s", c.read("outer"), c.read("inner"), name)
			}
			c.gone(pids...)
		})
	}
}

// A command that stopped itself hears that it is to end, and so does what it
// started.
func TestSignalToEndReachesAStoppedCommand(t *testing.T) {
	for name, sig := range map[string]unix.Signal{"TERM": unix.SIGTERM, "HUP": unix.SIGHUP} {
		for _, stop := range []string{"STOP", "TSTP"} {
			t.Run(name+"/"+stop, func(t *testing.T) {
				if signal.Ignored(sig) || signal.Ignored(unix.SIGTSTP) {
					t.Skip("signals are ignored here, as under nohup: so they are by every command")
				}
				c := startConch(t, `trap 'exit 42' `+name+`
					sleep 1000 & echo $! >> pids; echo $$ >> pids
					kill -`+stop+` $!; kill -`+stop+` $$; exit 1`)
				pids := c.pids(2)
				for _, pid := range pids {
					c.await("it is stopped", func() bool { return state(pid) == "T" })
				}
				c.signal(sig)
				if code, result := c.exit(); code != 42 || !strings.Contains(result, "lost=false killed=false") {
					t.Errorf("exit status %d (%s), want 42", code, result)
				}
				c.gone(pids...)
			})
		}
	}
}

func TestDeathBySignalIsPassedOn(t *testing.T) {
	c := startConch(t, "echo $$ >> pids; exec sleep 1000")
	c.pids(1)
	c.signal(unix.SIGTERM)
	if code, result := c.exit(); code != 143 || !strings.Contains(result, "lost=false killed=false") {
		t.Errorf("exit status %d (%s), want 143", code, result)
	}
}

// What nohup did for conch it did for the command.
func TestIgnoredSignalStaysIgnored(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `trap '' HUP; exec "$0" "$@"`, exe,
		"/bin/sh", "-c", `kill -HUP $$; kill -HUP $PPID; echo survived`)
	cmd.Env = append(os.Environ(), "CHILD_RUN=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "survived") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestLossStopsTheGroup(t *testing.T) {
	c := startConch(t, `sleep 1000 & echo $! >> pids; echo $$ >> pids; wait`)
	pids := c.pids(2)
	c.lose()
	code, result := c.exit()
	if code != 143 || result != "code=143 lost=true killed=false guard-died=false left=0" {
		t.Errorf("exit status %d (%s)", code, result)
	}
	c.gone(pids...)
}

func TestLossLetsTheCommandCleanUp(t *testing.T) {
	c := startConch(t, `trap 'echo bye > bye; exit 5' TERM; echo $$ >> pids; while :; do sleep 0.01; done`)
	c.pids(1)
	c.lose()
	if code, result := c.exit(); code != 5 || !strings.Contains(result, "lost=true killed=false") {
		t.Errorf("exit status %d (%s)", code, result)
	}
	if c.read("bye") == "" {
		t.Error("the command did not get to clean up")
	}
}

func TestLossKillsWhatStays(t *testing.T) {
	// One that ignores SIGTERM, one outside of the process group.
	c := startConch(t, `trap '' TERM; echo $$ >> pids
		setsid sh -c 'trap "" TERM; echo $$ >> pids; while :; do sleep 0.01; done' &
		while :; do sleep 0.01; done`, "CHILD_KILL_AFTER=100ms")
	pids := c.pids(2)
	begin := time.Now()
	c.lose()
	code, result := c.exit()
	if code != 137 || !strings.Contains(result, "lost=true killed=true") {
		t.Errorf("exit status %d (%s)", code, result)
	}
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("killed after %v, not 100ms", took)
	}
	c.gone(pids...)
}

func TestLossReachesAStoppedCommand(t *testing.T) {
	c := startConch(t, `trap 'exit 5' TERM; echo $$ >> pids; kill -STOP $$; exit 1`)
	pid := c.pids(1)[0]
	c.await("it is stopped", func() bool { return state(pid) == "T" })
	c.lose()
	if code, _ := c.exit(); code != 5 {
		t.Errorf("exit status %d, want 5", code)
	}
}

// state is the letter that ps shows for the process.
func state(pid int) string {
	b, _ := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
	_, rest, _ := strings.Cut(string(b), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}

func TestDeadlineHoldsWhileConchIsStopped(t *testing.T) {
	c := startConch(t, `echo $$ >> pids; exec sleep 1000`, "CHILD_ROLLING=1s")
	pids := c.pids(1)
	c.signal(unix.SIGSTOP)
	c.gone(pids...)
	if s := state(c.cmd.Process.Pid); s != "T" {
		t.Fatalf("conch is in state %s: it should be stopped still", s)
	}
	c.signal(unix.SIGCONT)
	if code, result := c.exit(); code != 143 || !strings.Contains(result, "lost=true") {
		t.Errorf("exit status %d (%s)", code, result)
	}
}

func TestDeadlineThatIsRenewedDoesNotStop(t *testing.T) {
	c := startConch(t, `sleep 0.8; exit 7`, "CHILD_ROLLING=300ms")
	if code, result := c.exit(); code != 7 || !strings.Contains(result, "lost=false") {
		t.Errorf("exit status %d (%s), want 7", code, result)
	}
}

func TestDeadlinePassedBeforeTheStart(t *testing.T) {
	c := startConch(t, `exec sleep 1000`, "CHILD_DEADLINE=-1s")
	if code, result := c.exit(); code != 143 || !strings.Contains(result, "lost=true") {
		t.Errorf("exit status %d (%s), want 143", code, result)
	}
}

// A family: the command, a child in its group, one in a session of its own, a
// daemon whose parent is gone; all of them ignore what can be ignored.
const family = `
	trap '' TERM HUP INT
	loop='trap "" TERM HUP INT; echo $$ >> pids; while :; do sleep 0.01; done'
	sh -c "$loop" &
	setsid sh -c "$loop" &
	(setsid sh -c "$loop" & exit) &
	echo $$ >> pids
	while :; do sleep 0.01; done`

func TestNoOrphanWhenConchIsKilled(t *testing.T) {
	c := startConch(t, family)
	pids := append(c.pids(4), c.guardPID())
	c.signal(unix.SIGKILL)
	c.gone(pids...)
}

func TestNoOrphanWhenConchIsKilledAtOnce(t *testing.T) {
	// Killed somewhere during the start, each time a little later.
	for i := range 20 {
		c := startConch(t, `echo $$ >> pids; exec sleep 1000`)
		deadline := time.Now().Add(time.Duration(i) * time.Millisecond)
		for time.Now().Before(deadline) {
			if state(c.cmd.Process.Pid) == "" {
				break
			}
		}
		c.signal(unix.SIGKILL)
		<-c.done
		c.await("nothing is left", func() bool { return !anyIn(c.dir) })
	}
}

// anyIn says whether some process has dir as its working folder.
func anyIn(dir string) bool {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if cwd, err := os.Readlink("/proc/" + e.Name() + "/cwd"); err == nil && cwd == dir {
			return true
		}
	}
	return false
}

func TestNoOrphanWhenTheGuardIsKilled(t *testing.T) {
	c := startConch(t, family)
	pids := c.pids(4)
	if err := unix.Kill(c.guardPID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	code, result := c.exit()
	if code != 137 || !strings.Contains(result, "guard-died=true") {
		t.Errorf("exit status %d (%s), want 137", code, result)
	}
	c.gone(pids...)
}

func TestStoppedGuardIsGivenUpAtALoss(t *testing.T) {
	c := startConch(t, `echo $$ >> pids; exec sleep 1000`, "CHILD_KILL_AFTER=10ms")
	pids := c.pids(1)
	if err := unix.Kill(c.guardPID(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.lose()
	if _, result := c.exit(); !strings.Contains(result, "lost=true killed=true guard-died=true") {
		t.Errorf("result %s", result)
	}
	c.gone(pids...)
}

func TestGuardOutlivesSignalsMeantForConch(t *testing.T) {
	c := startConch(t, `trap '' TERM HUP INT QUIT USR1 USR2; echo $$ >> pids; while [ ! -e end ]; do sleep 0.01; done; exit 6`)
	c.pids(1)
	for _, s := range forwarded() {
		if s == unix.SIGTSTP {
			continue
		}
		if err := unix.Kill(c.guardPID(), s); err != nil {
			t.Fatal(err)
		}
	}
	c.create("end")
	if code, result := c.exit(); code != 6 || !strings.Contains(result, "guard-died=false") {
		t.Errorf("exit status %d (%s), want 6", code, result)
	}
}

func TestLeftoversAreStopped(t *testing.T) {
	c := startConch(t, `sleep 1000 & echo $! >> pids; setsid sleep 1000 & echo $! >> pids; exit 3`)
	code, result := c.exit()
	if code != 3 || result != "code=3 lost=false killed=false guard-died=false left=2" {
		t.Errorf("exit status %d (%s)", code, result)
	}
	c.gone(c.pids(2)...)
}

func TestLeftoverThatEndsByItselfIsLeftAlone(t *testing.T) {
	c := startConch(t, `(sleep 0.1; echo done > tail) & exit 3`)
	code, result := c.exit()
	if code != 3 || !strings.Contains(result, "left=0") || c.read("tail") == "" {
		t.Errorf("exit status %d (%s), tail %q", code, result, c.read("tail"))
	}
}

func TestLossWhileLeftoversRun(t *testing.T) {
	// It names itself when CMD has ended: before that it would be no leftover.
	c := startConch(t, `sh -c 'trap "" TERM; while kill -0 '$$' 2>/dev/null; do sleep 0.01; done; echo $$ >> pids; while :; do sleep 0.01; done' & exit 0`,
		"CHILD_KILL_AFTER=50ms")
	pids := c.pids(1)
	c.lose()
	if code, result := c.exit(); code != 0 || !strings.Contains(result, "lost=true killed=true") {
		t.Errorf("exit status %d (%s)", code, result)
	}
	c.gone(pids...)
}

func TestGuardRefusesStrangers(t *testing.T) {
	for _, args := range [][]string{{}, {"3"}, {"x", "--", "true"}, {"999", "--", "true"}, {"1", "--", "true"}} {
		if code := Guard(args); code != 64 {
			t.Errorf("Guard(%q) = %d, want 64", args, code)
		}
	}
}
