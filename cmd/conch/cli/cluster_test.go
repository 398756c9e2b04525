package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deadline bounds every wait for a condition.
const deadline = 30 * time.Second

// cluster is a conch dev in a process of its own.
type cluster struct {
	t         *testing.T
	cmd       *exec.Cmd
	endpoints string
	tmp       string // where its temporary data is
}

func startCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, tmp: t.TempDir()}
	c.cmd = conch(append([]string{"dev", "--listen", "127.0.0.1:0"}, args...)...)
	c.cmd.Env = append(c.cmd.Env, "TMPDIR="+c.tmp)
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	c.cmd.Stderr = &errs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.stop(); t.Logf("conch dev said: %s", errs.String()) })
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- text
	}()
	select {
	case text := <-line:
		endpoints, ok := strings.CutPrefix(text, "ready ")
		if !ok {
			t.Fatalf("conch dev printed %q and said: %s", text, errs.String())
		}
		c.endpoints = strings.TrimSpace(endpoints)
	case <-time.After(deadline):
		t.Fatalf("conch dev is not ready after %v", deadline)
	}
	return c
}

// stop ends it in good order and checks that nothing is left.
func (c *cluster) stop() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	hung := time.AfterFunc(deadline, func() { _ = c.cmd.Process.Signal(syscall.SIGQUIT) }) // shows where
	defer hung.Stop()
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("conch dev: %v", err)
	}
	if left, _ := os.ReadDir(c.tmp); len(left) > 0 {
		c.t.Errorf("conch dev left its data: %v", left)
	}
}

// conch is a process that plays conch, without the variables of its own that
// the test may have been started with.
func conch(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "CONCH_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "PLAY_CONCH=1")
	return cmd
}

// command is one that asks this cluster.
func (c *cluster) command(args ...string) *exec.Cmd {
	cmd := conch(args...)
	cmd.Env = append(cmd.Env, "CONCH_ENDPOINTS="+c.endpoints)
	return cmd
}

// does runs a command to its end.
func (c *cluster) does(args ...string) outcome {
	c.t.Helper()
	return finish(c.t, c.command(args...))
}

func finish(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// must is does, and fails unless the exit status is 0.
func (c *cluster) must(args ...string) string {
	c.t.Helper()
	got := c.does(args...)
	if got.code != 0 {
		c.t.Fatalf("conch %s: exit status %d: %s", strings.Join(args, " "), got.code, got.err)
	}
	return got.out
}

// asks is must with JSON.
func (c *cluster) asks(into any, args ...string) {
	c.t.Helper()
	text := c.must(append([]string{"-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		c.t.Fatalf("conch %s: %v in %s", strings.Join(args, " "), err, text)
	}
}

// await waits until condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain until %s", deadline, what)
		}
	}
}

// holder is a conch lock whose command has started and goes on until told.
type holder struct {
	t    *testing.T
	cmd  *exec.Cmd
	errs *bytes.Buffer
	pid  int // of the command
	dir  string
}

// hold starts conch lock NAME flags… with a command that runs for ever, and
// waits until it runs.
func (c *cluster) hold(name string, flags ...string) *holder {
	c.t.Helper()
	h := c.start("lock", name, flags...)
	h.runs()
	return h
}

// start starts conch lock or conch elect with a command that runs for ever.
func (c *cluster) start(command, name string, flags ...string) *holder {
	c.t.Helper()
	h := &holder{t: c.t, errs: &bytes.Buffer{}, dir: c.t.TempDir()}
	args := append([]string{command, name}, flags...)
	h.cmd = c.command(append(args, "--", "sh", "-c",
		`env | grep ^CONCH_ > env; echo $$ > pid.new; mv pid.new pid; while [ ! -e end ]; do sleep 0.01; done`)...)
	h.cmd.Dir, h.cmd.Stderr = h.dir, h.errs
	if err := h.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if h.cmd.ProcessState == nil {
			_ = h.cmd.Process.Kill()
			_ = h.cmd.Wait()
		}
	})
	return h
}

// runs waits until its command runs, and, if it ran before, until it does so
// again.
func (h *holder) runs() {
	h.t.Helper()
	before := h.pid
	await(h.t, "the command of "+strings.Join(h.cmd.Args[1:3], " ")+" runs", func() bool {
		text, err := os.ReadFile(filepath.Join(h.dir, "pid"))
		if err != nil {
			return false
		}
		h.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil && h.pid != before
	})
}

// env is a variable of its command.
func (h *holder) env(name string) string {
	text, _ := os.ReadFile(filepath.Join(h.dir, "env"))
	for _, kv := range strings.Split(string(text), "\n") {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// exit waits for its end.
func (h *holder) exit() outcome {
	h.t.Helper()
	end := time.AfterFunc(deadline, func() { _ = h.cmd.Process.Kill() })
	defer end.Stop()
	_ = h.cmd.Wait()
	return outcome{code: h.cmd.ProcessState.ExitCode(), err: h.errs.String()}
}

func (h *holder) alive() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

type lockJSON struct {
	Token   uint64
	Holders []struct {
		Session, Token uint64
		Labels         map[string]string
	}
	Waiters []struct{ Session, Position uint64 }
}

type electionJSON struct {
	Token  uint64
	Leader struct {
		Session uint64
		Value   string
	}
	Candidates []struct {
		Session, Position uint64
		Value             string
	}
}

func TestCluster(t *testing.T) {
	begin := time.Now()
	c := startCluster(t)
	t.Logf("ready after %v", time.Since(begin))

	t.Run("a lock from acquire to history", func(t *testing.T) {
		h := c.hold("backup", "--label", "job=nightly")
		var lock lockJSON
		c.asks(&lock, "locks", "show", "backup")
		if len(lock.Holders) != 1 || lock.Holders[0].Labels["job"] != "nightly" || lock.Holders[0].Labels["pid"] != strconv.Itoa(h.cmd.Process.Pid) {
			t.Errorf("locks show: %+v", lock)
		}
		token := strconv.FormatUint(lock.Token, 10)
		if got := c.does("token", "check", "backup", token); got.code != 0 {
			t.Errorf("token check: exit status %d: %s%s", got.code, got.out, got.err)
		}
		if got := c.does("token", "check", "backup", "999999"); got.code != 1 {
			t.Errorf("token check of a wrong one: exit status %d: %s%s", got.code, got.out, got.err)
		}
		if out := c.must("locks", "ls"); !strings.Contains(out, "backup") {
			t.Errorf("locks ls: %s", out)
		}
		got := c.does("lock", "backup", "--try", "--", "true")
		if got.code != 75 || !strings.Contains(got.err, "backup is held by session ") || !strings.Contains(got.err, "token "+token+", you would be 1st") {
			t.Errorf("try: exit status %d: %s", got.code, got.err)
		}
		if got := c.does("lock", "backup", "--wait", "50ms", "-E", "9", "--", "true"); got.code != 9 || !strings.Contains(got.err, "held by session ") {
			t.Errorf("wait: exit status %d: %s", got.code, got.err)
		}
		if err := os.WriteFile(filepath.Join(h.dir, "end"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := h.exit(); got.code != 0 || got.err != "" {
			t.Errorf("holder: exit status %d: %s", got.code, got.err)
		}
		var history struct{ Tenures []struct{ Ended string } }
		c.asks(&history, "locks", "history", "backup")
		if len(history.Tenures) != 1 || history.Tenures[0].Ended != "released" {
			t.Errorf("history: %+v", history)
		}
		if got := c.does("token", "check", "backup", token); got.code != 1 {
			t.Errorf("token check after the release: exit status %d: %s%s", got.code, got.out, got.err)
		}
	})

	t.Run("exit status", func(t *testing.T) {
		for script, want := range map[string]int{"exit 3": 3, "kill -KILL $$": 137} {
			if got := c.does("lock", "x", "--", "sh", "-c", script); got.code != want {
				t.Errorf("%s: exit status %d, want %d: %s", script, got.code, want, got.err)
			}
		}
	})

	t.Run("broken", func(t *testing.T) {
		h := c.hold("broken")
		var lock lockJSON
		c.asks(&lock, "locks", "show", "broken")
		if got := c.does("locks", "break", "broken", "--token", "999999", "--reason", "test"); got.code != 1 || !h.alive() {
			t.Errorf("break with a wrong token: exit status %d, %s", got.code, got.err)
		}
		c.must("locks", "break", "broken", "--token", strconv.FormatUint(lock.Token, 10), "--reason", "test")
		if got := h.exit(); got.code != 70 || !strings.Contains(got.err, "lock broken was lost") || h.alive() {
			t.Errorf("exit status %d: %s", got.code, got.err)
		}
	})

	t.Run("session ended", func(t *testing.T) {
		h := c.hold("ended")
		var lock lockJSON
		c.asks(&lock, "locks", "show", "ended")
		c.must("sessions", "end", strconv.FormatUint(lock.Holders[0].Session, 10), "--reason", "test")
		if got := h.exit(); got.code != 70 || h.alive() {
			t.Errorf("exit status %d: %s", got.code, got.err)
		}
	})

	t.Run("killed", func(t *testing.T) {
		h := c.hold("killed", "--ttl", "2s")
		if err := h.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		h.exit()
		await(t, "the command is gone", func() bool { return !h.alive() })
		if got := c.does("lock", "killed", "--wait", "20s", "--", "true"); got.code != 0 {
			t.Errorf("exit status %d: %s", got.code, got.err)
		}
	})

	t.Run("stopped past its time to live", func(t *testing.T) {
		h := c.hold("stopped", "--ttl", "2s")
		if err := h.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		await(t, "the guard stops the command", func() bool { return !h.alive() })
		if got := c.does("lock", "stopped", "--wait", "20s", "--", "true"); got.code != 0 {
			t.Errorf("next one: exit status %d: %s", got.code, got.err)
		}
		if err := h.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if got := h.exit(); got.code != 70 {
			t.Errorf("exit status %d: %s", got.code, got.err)
		}
	})

	t.Run("interrupted while waiting", func(t *testing.T) {
		h := c.hold("busy")
		waiter := c.command("lock", "busy", "--", "true")
		if err := waiter.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, "it is in line", func() bool {
			var lock lockJSON
			c.asks(&lock, "locks", "show", "busy")
			return len(lock.Waiters) == 1
		})
		_ = waiter.Process.Signal(syscall.SIGINT)
		_ = waiter.Wait()
		if code := waiter.ProcessState.ExitCode(); code != 130 {
			t.Errorf("exit status %d, want 130", code)
		}
		var lock lockJSON
		c.asks(&lock, "locks", "show", "busy")
		if len(lock.Waiters) != 0 || !h.alive() {
			t.Errorf("it is still in line: %+v", lock)
		}
	})

	t.Run("several locks at once", func(t *testing.T) {
		h := c.hold("left", "--and", "right")
		for _, name := range []string{"left", "right"} {
			if got := c.does("lock", name, "--try", "--", "true"); got.code != 75 {
				t.Errorf("%s: exit status %d: %s", name, got.code, got.err)
			}
		}
		_ = h.cmd.Process.Signal(syscall.SIGTERM)
		if got := h.exit(); got.code != 143 {
			t.Errorf("exit status %d: %s", got.code, got.err)
		}
	})

	t.Run("shared", func(t *testing.T) {
		c.hold("doc", "--shared")
		if got := c.does("lock", "doc", "--shared", "--try", "--", "true"); got.code != 0 {
			t.Errorf("shared beside shared: exit status %d: %s", got.code, got.err)
		}
		if got := c.does("lock", "doc", "--try", "--", "true"); got.code != 75 {
			t.Errorf("exclusive beside shared: exit status %d: %s", got.code, got.err)
		}
	})

	t.Run("no update is lost", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "count")
		if err := os.WriteFile(file, []byte("0\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				got := finish(t, c.command("lock", "count", "--", "sh", "-c", `n=$(cat "$0"); sleep 0.01; echo $((n+1)) > "$0"; echo $CONCH_TOKEN >> "$0.tokens"`, file))
				if got.code != 0 {
					t.Errorf("exit status %d: %s", got.code, got.err)
				}
			})
		}
		all.Wait()
		if got, _ := os.ReadFile(file); string(got) != "10\n" {
			t.Errorf("counted to %q, not 10", got)
		}
		tokens, _ := os.ReadFile(file + ".tokens")
		last := 0
		for _, word := range strings.Fields(string(tokens)) {
			token, err := strconv.Atoi(word)
			if err != nil || token <= last {
				t.Errorf("tokens %q do not rise", tokens)
				break
			}
			last = token
		}
	})

	t.Run("watch", func(t *testing.T) {
		watch := c.command("locks", "watch", "seen", "--from-revision", "1")
		out, err := watch.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := watch.Start(); err != nil {
			t.Fatal(err)
		}
		c.must("lock", "seen", "--", "true")
		lines := bufio.NewScanner(out)
		for _, want := range []string{"granted exclusive to session ", "released by session "} {
			if !lines.Scan() || !strings.Contains(lines.Text(), want) {
				t.Errorf("line %q, want %q", lines.Text(), want)
			}
		}
		_ = watch.Process.Signal(syscall.SIGINT)
		if err := watch.Wait(); err != nil {
			t.Errorf("an interrupted watch: %v", err)
		}
	})

	t.Run("an election from standing to history", func(t *testing.T) {
		observe := c.command("elections", "observe", "primary")
		out, err := observe.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := observe.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		next := func(want string) {
			t.Helper()
			if !lines.Scan() || !strings.Contains(lines.Text(), want) {
				t.Errorf("observed %q, want %q", lines.Text(), want)
			}
		}
		next("nobody leads")

		// 1. One leads, two wait.
		a := c.start("elect", "primary", "--value", "a", "--ttl", "2s")
		a.runs()
		standing := func(n int) electionJSON {
			t.Helper()
			var e electionJSON
			await(t, fmt.Sprintf("%d wait", n), func() bool {
				c.asks(&e, "elections", "show", "primary")
				return len(e.Candidates) == n
			})
			return e
		}
		standing(0)
		b := c.start("elect", "primary", "--value", "b", "--ttl", "2s")
		standing(1)
		d := c.start("elect", "primary", "--value", "d", "--ttl", "2s")
		e := standing(2)
		if e.Leader.Value != "a" || a.env("CONCH_TOKEN") != strconv.FormatUint(e.Token, 10) || a.env("CONCH_SESSION") != strconv.FormatUint(e.Leader.Session, 10) || a.env("CONCH_ELECTION") != "primary" {
			t.Errorf("elections show: %+v; the command has token %s of session %s", e, a.env("CONCH_TOKEN"), a.env("CONCH_SESSION"))
		}
		next("  a")
		if got := c.does("elect", "primary", "--try", "--", "true"); got.code != 75 || !strings.Contains(got.err, "primary is led by session ") {
			t.Errorf("try: exit status %d: %s", got.code, got.err)
		}
		if got := c.does("elect", "primary", "--wait", "50ms", "-E", "9", "--", "true"); got.code != 9 || !strings.Contains(got.err, "led by session ") {
			t.Errorf("wait: exit status %d: %s", got.code, got.err)
		}

		// 2. A command under the leadership proclaims for it.
		proclaim := c.command("elections", "proclaim", "primary", "a, ready")
		proclaim.Env = append(proclaim.Env, "CONCH_ELECTION=primary", "CONCH_TOKEN="+a.env("CONCH_TOKEN"))
		if got := finish(t, proclaim); got.code != 0 {
			t.Errorf("proclaim: exit status %d: %s", got.code, got.err)
		}
		next("  a, ready")

		// 3. What cannot be done is said, and nothing happens.
		for says, args := range map[string][]string{
			"not the token of the current leader": {"elections", "proclaim", "primary", "x", "--token", "999999"},
			"not the token":                       {"elections", "resign", "primary", "--token", "999999"},
			"999999":                              {"elections", "transfer", "primary", "--to", "999999"},
			"no election":                         {"elections", "show", "nobody-ever-led"},
			"no history of an election":           {"elections", "history", "nobody-ever-led"},
			"no history of a lock":                {"locks", "history", "nobody-ever-held"},
		} {
			if got := c.does(args...); got.code != 1 {
				t.Errorf("%q: exit status %d: %s (%s)", args, got.code, got.err, says)
			}
		}

		// 4. Handed over to the last in line: one change, and the old leader
		// stands again.
		c.must("elections", "transfer", "primary", "--to", "d", "--reason", "test")
		d.runs()
		next("  d")
		if d.env("CONCH_PREDECESSOR_ENDED") != "transferred" || d.env("CONCH_PREDECESSOR_VALUE") != "a, ready" || d.env("CONCH_PREDECESSOR_TOKEN") != a.env("CONCH_TOKEN") {
			t.Errorf("d was told of its predecessor: %s, %q, %s", d.env("CONCH_PREDECESSOR_ENDED"), d.env("CONCH_PREDECESSOR_VALUE"), d.env("CONCH_PREDECESSOR_TOKEN"))
		}
		await(t, "the command of a is gone", func() bool { return !a.alive() })
		standing(2)

		// 5. The leader is killed: the next in line leads, and was told how.
		begin := time.Now()
		if err := d.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		d.exit()
		b.runs()
		t.Logf("b runs %v after d was killed", time.Since(begin))
		next("  b")
		if b.env("CONCH_PREDECESSOR_ENDED") != "expired" || b.env("CONCH_PREDECESSOR_VALUE") != "d" {
			t.Errorf("b was told of its predecessor: %s, %q", b.env("CONCH_PREDECESSOR_ENDED"), b.env("CONCH_PREDECESSOR_VALUE"))
		}

		// 6. The command of b ends by itself, and a leads again.
		if err := os.WriteFile(filepath.Join(b.dir, "end"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := b.exit(); got.code != 0 || got.err != "" {
			t.Errorf("b: exit status %d: %s", got.code, got.err)
		}
		a.runs()
		next("  a")
		_ = a.cmd.Process.Signal(syscall.SIGTERM)
		if got := a.exit(); got.code != 143 || !strings.Contains(got.err, "leadership of primary was lost: ") || !strings.HasSuffix(got.err, "standing again\n") {
			t.Errorf("a: exit status %d: %s", got.code, got.err)
		}
		next("nobody leads, the last one released")
		_ = observe.Process.Signal(syscall.SIGINT)
		if err := observe.Wait(); err != nil {
			t.Errorf("an interrupted observer: %v", err)
		}

		var history struct {
			Tenures []struct {
				Term, Token  uint64
				Value, Ended string
			}
		}
		c.asks(&history, "elections", "history", "primary")
		told := ""
		for i, x := range history.Tenures {
			told += x.Value + " " + x.Ended + "; "
			if x.Term != uint64(i+1) || i > 0 && x.Token <= history.Tenures[i-1].Token {
				t.Errorf("terms and tokens do not rise: %+v", history.Tenures)
			}
		}
		if told != "a, ready transferred; d expired; b released; a released; " {
			t.Errorf("history: %s", told)
		}
		if out := c.must("elections", "ls", "prim"); !strings.Contains(out, "primary  4 ") {
			t.Errorf("elections ls: %s", out)
		}
	})

	t.Run("elect once", func(t *testing.T) {
		h := c.start("elect", "short", "--once")
		h.runs()
		c.must("elections", "resign", "short", "--reason", "test")
		if got := h.exit(); got.code != 70 || !strings.Contains(got.err, "leadership of short was lost") || h.alive() {
			t.Errorf("exit status %d: %s", got.code, got.err)
		}
	})

	t.Run("resigned by its own command", func(t *testing.T) {
		h := c.start("elect", "own", "--once")
		h.runs()
		cmd := c.command("elections", "resign", "own", "--reason", "enough")
		for _, name := range []string{"CONCH_ELECTION", "CONCH_TOKEN", "CONCH_SESSION"} {
			cmd.Env = append(cmd.Env, name+"="+h.env(name))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := h.exit(); got.code != 70 || !strings.Contains(got.err, "enough") || h.alive() {
			t.Errorf("exit status %d: %s", got.code, got.err)
		}
		var history struct{ Tenures []struct{ Ended string } }
		if c.asks(&history, "elections", "history", "own"); len(history.Tenures) != 1 || history.Tenures[0].Ended != "released" {
			t.Errorf("history: %+v", history)
		}
	})

	t.Run("priority", func(t *testing.T) {
		low := c.start("elect", "ranked", "--value", "low")
		low.runs()
		high := c.start("elect", "ranked", "--value", "high", "--priority", "5", "--preempt")
		high.runs()
		await(t, "the command of low is gone", func() bool { return !low.alive() })
	})

	t.Run("standings", func(t *testing.T) {
		stand := c.command("elect", "watched", "-o", "json", "--value", "v")
		out, err := stand.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := stand.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for i, want := range []string{"candidate", "leader", "lost", "candidate", "leader"} {
			if !lines.Scan() || !strings.Contains(lines.Text(), `"standing":"`+want+`"`) {
				t.Errorf("line %q, want %s", lines.Text(), want)
			}
			if i == 1 {
				c.must("elections", "resign", "watched")
			}
		}
		_ = stand.Process.Signal(syscall.SIGINT)
		if !lines.Scan() || !strings.Contains(lines.Text(), `"resigned"`) {
			t.Errorf("line %q, want resigned", lines.Text())
		}
		if err := stand.Wait(); err != nil {
			t.Error(err)
		}
	})

	t.Run("status, leader, hash, sessions", func(t *testing.T) {
		var status struct {
			Leader string
			Nodes  []struct {
				Name    string
				Healthy bool
			}
		}
		await(t, "three nodes are healthy", func() bool {
			c.asks(&status, "status")
			healthy := 0
			for _, n := range status.Nodes {
				if n.Healthy {
					healthy++
				}
			}
			return healthy == 3 && status.Leader != ""
		})
		other := "n1"
		if status.Leader == "n1" {
			other = "n2"
		}
		if out := c.must("leader", "transfer", other); out != "led by "+other+"\n" {
			t.Errorf("leader transfer: %s", out)
		}
		if out := c.must("hash"); !strings.HasSuffix(out, "all equal\n") {
			t.Errorf("hash: %s", out)
		}
		c.must("sessions", "ls")
	})

	t.Run("keys", func(t *testing.T) {
		c.must("kv", "put", "k", "1", "--if-absent")
		if got := c.does("kv", "put", "k", "2", "--if-absent"); got.code != 1 {
			t.Errorf("exit status %d: %s", got.code, got.err)
		}
		if out := c.must("kv", "get", "k"); out != "1\n" {
			t.Errorf("kv get: %q", out)
		}
		txn := c.command("kv", "txn")
		txn.Stdin = strings.NewReader("if value k = 1\nput k 3\nget k\n")
		if got := finish(t, txn); got.code != 0 {
			t.Errorf("txn: exit status %d: %s%s", got.code, got.out, got.err)
		}
		c.must("kv", "del", "k", "--if-value", "3")
		if got := c.does("kv", "get", "k"); got.code != 1 {
			t.Errorf("exit status %d: %s", got.code, got.err)
		}
		if out := c.must("kv", "history", "k"); strings.Count(out, "\n") != 3 || !strings.HasSuffix(out, "delete k\n") {
			t.Errorf("history: %s", out)
		}
		txn = c.command("kv", "txn", "-o", "json")
		txn.Stdin = strings.NewReader("if version dir/a = 0\nput dir/a 1\nput dir/b 2\nget prefix dir/\n")
		if got := finish(t, txn); got.code != 0 || !strings.Contains(got.out, `"keys":[{"key":"dir/a"`) {
			t.Errorf("txn: exit status %d: %s%s", got.code, got.out, got.err)
		}
		txn = c.command("kv", "txn", "-o", "json")
		txn.Stdin = strings.NewReader("del prefix dir/\n")
		if got := finish(t, txn); got.code != 0 || !strings.Contains(got.out, `"deleted":2`) {
			t.Errorf("txn: exit status %d: %s%s", got.code, got.out, got.err)
		}
		for _, k := range []string{"s/1", "s/2", "s/3"} {
			c.must("kv", "put", k, "v")
		}
		if out := c.must("kv", "get", "s/", "--prefix", "--count-only"); out != "3\n" {
			t.Errorf("count: %q", out)
		}
		if out := c.must("kv", "get", "s/", "--prefix", "--keys-only", "--descending", "--limit", "2"); out != "s/3\ns/2\n" {
			t.Errorf("descending: %q", out)
		}
		c.must("kv", "compact")
		if got := c.does("kv", "watch", "k", "--from-revision", "1"); got.code != 1 || !strings.Contains(got.err, "compacted") {
			t.Errorf("watch of what is gone: exit status %d: %s%s", got.code, got.out, got.err)
		}
	})

	t.Run("keys of a user", func(t *testing.T) { keysOfAUser(t, c) })

	t.Run("a command for each change of a key", func(t *testing.T) {
		dir := t.TempDir()
		var first struct{ Revision uint64 }
		c.asks(&first, "kv", "put", "w", "1")
		c.must("kv", "put", "w", "2")
		c.must("kv", "del", "w")
		watch := c.command("kv", "watch", "w", "--prev", "--from-revision", strconv.FormatUint(first.Revision, 10), "--",
			"sh", "-c", `echo "$CONCH_EVENT ${CONCH_VALUE-none} ${CONCH_PREV_VALUE-none}" >> seen; test "${CONCH_VALUE-none}" != last || exit 5`)
		var errs bytes.Buffer
		watch.Dir, watch.Stderr = dir, &errs
		if err := watch.Start(); err != nil {
			t.Fatal(err)
		}
		c.must("kv", "put", "w", "last")
		_ = watch.Wait()
		seen, _ := os.ReadFile(filepath.Join(dir, "seen"))
		if want := "put 1 none\nput 2 1\ndelete none 2\nput last none\n"; string(seen) != want || watch.ProcessState.ExitCode() != 5 {
			t.Errorf("exit status %d, saw %q, want %q: %s", watch.ProcessState.ExitCode(), seen, want, errs.String())
		}
	})

	t.Run("bench", func(t *testing.T) {
		for _, load := range []string{"own", "contended", "kv"} {
			out := c.must("bench", load, "--clients", "4", "--duration", "300ms")
			t.Log(strings.ReplaceAll(out, "\n", " "))
		}
	})

	c.stop()
	if got := c.does("status", "--timeout", "500ms"); got.code != 69 {
		t.Errorf("status without a cluster: exit status %d: %s", got.code, got.err)
	}
}

// The data of a folder is there again.
func TestDevKeepsItsData(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	args := []string{"--data-dir", dir, "--nodes", "1", "--listen", "127.0.0.1:" + strconv.Itoa(port)}
	c := startCluster(t, args...)
	c.must("kv", "put", "k", "kept")
	c.stop()
	c = startCluster(t, args...)
	if out := c.must("kv", "get", "k"); out != "kept\n" {
		t.Errorf("kv get: %q", out)
	}
}

// freePort is one that is free together with its peer port.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		specs, err := devRequest{nodes: 1, listen: "127.0.0.1:0"}.specs()
		closeListeners(specs)
		if err != nil {
			t.Fatal(err)
		}
		specs, err = devRequest{nodes: 1, listen: specs[0].ListenClient}.specs()
		closeListeners(specs)
		if err != nil {
			continue
		}
		_, text, _ := strings.Cut(specs[0].ListenClient, ":")
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no two ports are free")
	return 0
}
