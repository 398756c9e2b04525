package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// asWriter makes this test program the command that runs under a lock. Its
// value is the address of the resource that it writes to.
const asWriter = "CONCH_E2E_WRITER"

// writer asks the resource whether to go on, which it may not be told for a
// long time, and writes. The exit status says what became of it.
func writer() int {
	signal.Ignore(syscall.SIGTERM) // as deaf as a command can be
	resource, token := os.Getenv(asWriter), os.Getenv("CONCH_TOKEN")
	if _, err := post(resource + "/begin?token=" + token); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	said, err := post(resource + "/write?token=" + token)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Println(said)
	return 0
}

func post(url string) (string, error) {
	resp, err := http.Post(url, "text/plain", nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.Status + " " + string(body), err
}

// resource is what the lock protects: it looks at the token of every write.
type resource struct {
	began chan sdk.Token // a writer has begun
	gate  chan struct{}  // closed when the first writer may write

	mu       sync.Mutex
	guard    fence.Guard
	written  []sdk.Token
	refused  []sdk.Token
	refusals chan error
}

func (r *resource) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	n, err := strconv.ParseUint(req.URL.Query().Get("token"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	token := sdk.Token(n)
	if req.URL.Path == "/begin" {
		r.began <- token
		if token == 1 {
			select {
			case <-r.gate:
			case <-req.Context().Done():
			}
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.guard.Do("resource", token, func() error {
		r.written = append(r.written, token)
		return nil
	})
	if err != nil {
		r.refused = append(r.refused, token)
		http.Error(w, err.Error(), http.StatusConflict)
		r.refusals <- err
	}
}

// TestStoppedHolder: a holder is stopped past its time with everything that
// belongs to it. The next one gets in, and the late write is refused.
func TestStoppedHolder(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc here, from which the processes of a command are known")
	}
	c := start(t)
	r := &resource{began: make(chan sdk.Token, 4), gate: make(chan struct{}), refusals: make(chan error, 4)}
	server := httptest.NewServer(r)
	defer server.Close()

	// 1. The first holder has begun.
	first := lockWriter(t, c, server.URL, "--kill-after=1m")
	if token := <-r.began; token != 1 {
		t.Fatalf("the first token of a new cell is %d, want 1", token)
	}

	// 2. It is stopped: conch, its guard and the command.
	family := append([]int{first.cmd.Process.Pid}, descendants(t, first.cmd.Process.Pid)...)
	if len(family) < 3 {
		t.Fatalf("the processes of the first holder are %v: want conch, its guard and the command", family)
	}
	signalAll(t, family, syscall.SIGSTOP)
	stopped := time.Now()

	// 3. The next one gets in and writes.
	second := lockWriter(t, c, server.URL)
	if token := <-r.began; token != 2 {
		t.Fatalf("the second token is %d, want 2", token)
	}
	t.Logf("the next holder got in %v after the first, with a TTL of 1s, was stopped", time.Since(stopped).Round(time.Millisecond))
	if code := second.wait(t); code != 0 || !strings.HasPrefix(second.out.String(), "200") {
		t.Errorf("the second ended with %d: %s%s", code, second.out.String(), second.errors.String())
	}

	// 4. The command of the first wakes up, before anybody can end it, and writes.
	signalAll(t, family[2:], syscall.SIGCONT)
	close(r.gate)
	select {
	case err := <-r.refusals:
		t.Logf("the late write: %v", err)
	case <-time.After(20 * time.Second):
		t.Error("the late write was not refused, or never came")
	}

	// 5. Then conch wakes up and says that the lock was lost.
	signalAll(t, family[:2], syscall.SIGCONT)
	if code := first.wait(t); code != 70 || !strings.Contains(first.errors.String(), "lost") {
		t.Errorf("the first ended with %d, want 70 and a message: %s", code, first.errors.String())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if fmt.Sprint(r.written, r.refused) != "[2] [1]" {
		t.Errorf("tokens %v were written and %v refused, want 2 and 1", r.written, r.refused)
	}
}

// command is a conch that runs.
type command struct {
	cmd         *exec.Cmd
	out, errors bytes.Buffer
}

// lockWriter starts a conch lock whose command is the writer.
func lockWriter(t *testing.T, c *cluster.Cluster, resource string, flags ...string) *command {
	t.Helper()
	args := append([]string{"lock", "resource", "--ttl=1s", endpoints(c)}, flags...)
	l := &command{cmd: exec.Command(binary, append(args, "--", os.Args[0])...)}
	l.cmd.Env = append(os.Environ(), asWriter+"="+resource)
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.errors
	l.cmd.SysProcAttr = cluster.ProcessAttributes()
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if l.cmd.ProcessState == nil {
			for _, pid := range append(descendants(t, l.cmd.Process.Pid), l.cmd.Process.Pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			_ = l.cmd.Wait()
		}
	})
	return l
}

// wait waits for the end and returns the exit status.
func (l *command) wait(t *testing.T) int {
	t.Helper()
	late := time.AfterFunc(30*time.Second, func() { _ = l.cmd.Process.Kill() })
	defer late.Stop()
	_ = l.cmd.Wait() // the status tells
	return l.cmd.ProcessState.ExitCode()
}

// descendants are the processes below one, parents before children.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …, and the name may have anything in it
		end := bytes.LastIndexByte(text, ')')
		fields := strings.Fields(string(text[end+1:]))
		child, err1 := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			children[parent] = append(children[parent], child)
		}
	}
	var out []int
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		out = append(out, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return out
}

func signalAll(t *testing.T, pids []int, sig syscall.Signal) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatalf("send %v to %d: %v", sig, pid, err)
		}
	}
}
