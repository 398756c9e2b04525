package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/conch-lock/conch/sdk"
)

func TestElectRunsTheCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	l := newFakeLead()
	l.before = sdk.Predecessor{Token: 60, Session: 3, Ended: sdk.ReasonExpired, Value: sdk.Value("half done")}
	c := electing(l)
	t.Setenv("CONCH_LOCK", "of an outer command")
	t.Setenv("CONCH_TOKEN", "an older one")
	a, _, errs := runner(c, nil, map[string]string{"CONCH_ENDPOINTS": "127.0.0.1:1,127.0.0.1:2"})
	code := a.Run([]string{"elect", "primary", "--", "sh", "-c", `env | grep ^CONCH_ | sort > "$0"; exit 3`, file})
	if code != 3 || errs.Len() > 0 {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
	got, _ := os.ReadFile(file)
	want := "CONCH_ELECTION=primary\nCONCH_ENDPOINTS=127.0.0.1:1,127.0.0.1:2\n" +
		"CONCH_PREDECESSOR_ENDED=expired\nCONCH_PREDECESSOR_TOKEN=60\nCONCH_PREDECESSOR_VALUE=half done\nCONCH_SESSION=17\nCONCH_TOKEN=91\n"
	if string(got) != want {
		t.Errorf("environment\n%swant\n%s", got, want)
	}
	if !l.released || !c.session.closed {
		t.Errorf("resigned %t, session closed %t: both should be", l.released, c.session.closed)
	}
}

// loseWhen loses the leadership once the file is there.
func loseWhen(l *fakeLead, file string, why error) {
	waitForFile(file)
	l.lose(why)
}

func waitForFile(file string) {
	for { // ends with the condition or the test's time
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// counting is a command that appends to the file runs, and goes on until it is
// stopped unless it is the last of n.
const counting = `cd "$0"; trap "exit 0" TERM; echo x >> runs; touch "run$(wc -l < runs | tr -d ' ')"; [ $(wc -l < runs) -lt $1 ] || exit 4; while :; do sleep 0.01; done`

func TestElectStandsAgain(t *testing.T) {
	dir := t.TempDir()
	first, second := newFakeLead(), newFakeLead()
	go loseWhen(first, filepath.Join(dir, "run1"), sdk.ErrTransferred)
	got := run(electing(first, second), "elect", "x", "--", "sh", "-c", counting, dir, "2")
	if got.code != 4 || got.err != "conch: leadership of x was lost: the leadership was handed over; sh was stopped; standing again\n" {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
	if first.released || !second.released {
		t.Errorf("resigned a lost leadership %t, and one that ended in order %t", first.released, second.released)
	}
}

func TestElectOnce(t *testing.T) {
	dir := t.TempDir()
	l := newFakeLead()
	go loseWhen(l, filepath.Join(dir, "run1"), sdk.ErrBroken)
	got := run(electing(l), "elect", "x", "--once", "--", "sh", "-c", counting, dir, "2")
	if got.code != 70 || !strings.HasPrefix(got.err, "conch: leadership of x was lost: ") || strings.Contains(got.err, "again") {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
}

// A SIGTERM that went on to the command is not forgotten when the leadership is
// lost before the command has ended.
func TestElectTerminatedAndLost(t *testing.T) {
	dir := t.TempDir()
	l := newFakeLead()
	go func() {
		waitForFile(filepath.Join(dir, "runs"))
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		loseWhen(l, filepath.Join(dir, "told"), sdk.ErrSessionExpired)
	}()
	got := run(electing(l, newFakeLead()), "elect", "x", "--", "sh", "-c",
		`cd "$0"; trap "touch told" TERM; echo x >> runs; while [ ! -e told ]; do sleep 0.01; done; while :; do sleep 0.01; done`, dir)
	if got.code != 70 || !strings.HasPrefix(got.err, "conch: leadership of x was lost: ") || strings.Contains(got.err, "again") {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
}

// After a session was lost it stands in another one, also when that takes a
// while to open.
func TestElectAfterALostSession(t *testing.T) {
	dir := t.TempDir()
	lost := newFakeLead()
	first := &fakeSession{}
	second := electing(newFakeLead()).session
	opened := 0
	c := &fakeCell{open: func() (session, error) {
		opened++
		switch opened {
		case 1:
			return first, nil
		case 2:
			return nil, sdk.ErrUnreachable
		}
		return second, nil
	}}
	first.stand = func(context.Context) (leading, error) {
		first.over = sdk.ErrSessionExpired // looked at once it does not lead any more
		go loseWhen(lost, filepath.Join(dir, "run1"), sdk.ErrSessionExpired)
		return lost, nil
	}
	got := run(c, "elect", "x", "--", "sh", "-c", counting, dir, "2")
	if got.code != 4 || opened != 3 || strings.Count(got.err, "standing again") != 2 || !strings.Contains(got.err, "conch: no endpoint could be reached; standing again\n") {
		t.Errorf("exit status %d, %d sessions, stderr %s", got.code, opened, got.err)
	}
}

func TestElectExitStatus(t *testing.T) {
	refusal := &sdk.Error{
		Op: "campaign", Name: "x", Code: sdk.CodeHeld, Definite: true, Holder: 17, Token: 91,
		Since: noon.Add(time.Minute), HolderLabels: map[string]string{"host": "a"},
	}
	for _, tt := range []struct {
		name string
		err  error
		args []string
		code int
		says string
	}{
		{"led", refusal, []string{"--try", "--", "true"}, 75, "conch: x is led by session 17 (host=a) since 12:01:00, token 91\n"},
		{"led, as success", refusal, []string{"--try", "-E", "0", "--", "true"}, 0, "is led by"},
		{"wait ran out", &sdk.Error{Op: "campaign", Name: "primary", Code: sdk.CodeWaitTimedOut, Definite: true}, []string{"--wait", "1s", "--", "true"}, 75, "ran out"},
		{"cluster gone while waiting", sdk.ErrSessionExpired, []string{"--once", "--", "true"}, 69, "the cluster was not reached for 10s while waiting"},
		{"another interval", &sdk.Error{Op: "campaign", Name: "x", Code: sdk.CodeAgingMismatch, Message: "aging of 1m0s is in use", Definite: true}, []string{"--aging", "2m", "--", "true"}, 1, "aging of 1m0s is in use"},
		{"unknown command", nil, []string{"--", "no-such-command-of-conch"}, 127, "no-such-command-of-conch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &fakeCell{session: &fakeSession{stand: func(context.Context) (leading, error) { return nil, tt.err }}}
			got := run(c, append([]string{"elect", "x"}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.err, tt.says) || got.out != "" {
				t.Errorf("exit status %d, stdout %q, stderr %s\nwant %d, %s", got.code, got.out, got.err, tt.code, tt.says)
			}
		})
	}
	a, _, errs := runner(nil, sdk.ErrUnreachable, nil)
	if code := a.Run([]string{"elect", "x", "--", "true"}); code != 69 {
		t.Errorf("unreachable: exit status %d, %s", code, errs)
	}
	if got := run(&fakeCell{err: sdk.ErrNoLeader}, "elect", "x", "--", "true"); got.code != 69 {
		t.Errorf("no session: exit status %d, %s", got.code, got.err)
	}
}

func TestSignalEndsTheCandidacy(t *testing.T) {
	c := &fakeCell{session: &fakeSession{stand: func(ctx context.Context) (leading, error) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}}}
	got := run(c, "elect", "x", "--", "true")
	if got.code != 143 || !strings.Contains(got.err, "leadership of x: stopped waiting: terminated") || !c.session.closed {
		t.Errorf("exit status %d, stderr %s, session closed %t", got.code, got.err, c.session.closed)
	}
}

// Without a command it says how it stands.
func TestStandings(t *testing.T) {
	for format, want := range map[string]string{
		"text": "x candidate\nx leader 91\nx lost 91 the leadership was handed over\nx candidate\nx leader 91\nx resigned 91\n",
		"json": `{"name":"x","standing":"candidate","session":17,"value":"v"}` + "\n" +
			`{"name":"x","standing":"leader","session":17,"value":"v","token":91,"term":3}` + "\n" +
			`{"name":"x","standing":"lost","session":17,"value":"v","token":91,"term":3,"reason":"the leadership was handed over"}` + "\n" +
			`{"name":"x","standing":"candidate","session":17,"value":"v"}` + "\n" +
			`{"name":"x","standing":"leader","session":17,"value":"v","token":91,"term":3}` + "\n" +
			`{"name":"x","standing":"resigned","session":17,"value":"v","token":91,"term":3}` + "\n",
	} {
		first, second := newFakeLead(), newFakeLead()
		a, out, _ := runner(electing(first, second), nil, nil)
		led := 0
		a.Out = writerFunc(func(p []byte) (int, error) {
			if strings.Contains(string(p), "leader 91") || strings.Contains(string(p), `"leader"`) {
				if led++; led == 1 {
					first.lose(sdk.ErrTransferred)
				} else {
					defer func() { _ = syscall.Kill(os.Getpid(), syscall.SIGINT) }()
				}
			}
			return out.Write(p)
		})
		if code := a.Run([]string{"elect", "x", "--value", "v", "-o", format}); code != 0 || out.String() != want || !second.released {
			t.Errorf("exit status %d, stdout\n%swant\n%sresigned %t", code, out, want, second.released)
		}
	}
}

// Commands under conch elect act for their own leadership, others for the
// present one.
func TestActsForTheLeader(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		args string
		call string
	}{
		{nil, "proclaim primary v", "proclaim primary 91 v"},
		{map[string]string{"CONCH_ELECTION": "primary", "CONCH_TOKEN": "60"}, "proclaim primary v", "proclaim primary 60 v"},
		{map[string]string{"CONCH_ELECTION": "another", "CONCH_TOKEN": "60"}, "proclaim primary v", "proclaim primary 91 v"},
		{map[string]string{"CONCH_ELECTION": "primary", "CONCH_TOKEN": "60"}, "resign primary --token 8 --reason r", "resign primary 8 r"},
		{map[string]string{"CONCH_ELECTION": "primary", "CONCH_TOKEN": "60", "CONCH_SESSION": "17"}, "resign primary --reason r", "resign as 17 primary 60 r"},
		{map[string]string{"CONCH_ELECTION": "another", "CONCH_TOKEN": "91", "CONCH_SESSION": "17"}, "resign primary --reason r", "resign primary 91 r"},
		{map[string]string{"CONCH_ELECTION": "primary", "CONCH_TOKEN": "60", "CONCH_SESSION": "17"}, "resign primary --token 8 --reason r", "resign primary 8 r"},
		{map[string]string{"CONCH_LEADER_TOKEN": "9"}, "resign primary --reason r", "resign primary 9 r"},
		{nil, "transfer primary --to 10.0.0.8:5432 --reason r", "transfer primary 91 to 18 r"},
		{nil, "transfer primary --to 99 --reason r", "transfer primary 91 to 99 r"},
	} {
		c := sample(t)
		a, _, errs := runner(c, nil, tt.env)
		if code := a.Run(append([]string{"elections"}, strings.Fields(tt.args)...)); code != 0 || !slices.Contains(c.calls, tt.call) {
			t.Errorf("%v %s: exit status %d, asked %q, want %q; %s", tt.env, tt.args, code, c.calls, tt.call, errs)
		}
	}
	c := sample(t)
	c.elections[0].Candidates[1].Value = c.elections[0].Candidates[0].Value
	if got := run(c, "elections", "transfer", "primary", "--to", "10.0.0.8:5432"); got.code != 1 || !strings.Contains(got.err, `2 candidates wait with the value "10.0.0.8:5432"`) {
		t.Errorf("exit status %d, %s", got.code, got.err)
	}
	a, _, errs := runner(sample(t), nil, map[string]string{"CONCH_ELECTION": "primary", "CONCH_TOKEN": "x"})
	if code := a.Run([]string{"elections", "resign", "primary"}); code != 64 || !strings.Contains(errs.String(), `CONCH_TOKEN "x"`) {
		t.Errorf("exit status %d, %s", code, errs)
	}
}

func TestObserveEndsWithTheReason(t *testing.T) {
	c := sample(t)
	c.err = &sdk.Error{Op: "observe", Name: "x", Code: sdk.CodeCompacted, Definite: true, Revision: 9}
	if got := run(c, "elections", "observe", "x", "--from-revision", "1"); got.code != 1 || !strings.Contains(got.err, "compacted") {
		t.Errorf("exit status %d, %s", got.code, got.err)
	}
	c.err = fmt.Errorf("x: %w", sdk.ErrNoLeader)
	if got := run(c, "elections", "ls"); got.code != 69 {
		t.Errorf("exit status %d, %s", got.code, got.err)
	}
}

// An election that nobody has led is waited for, and said to be unknown; or it
// is refused.
func TestObserveOfAnUnknownElection(t *testing.T) {
	if got := run(&fakeCell{}, "elections", "observe", "nobody", "--must-exist"); got.code != 1 || got.out != "" || !strings.HasPrefix(got.err, `conch: observe "nobody": `) {
		t.Errorf("exit status %d: %s%s", got.code, got.out, got.err)
	}
	if got := run(&fakeCell{}, "elections", "observe", "nobody"); got.code != 0 || !strings.Contains(got.err, `observe "nobody": `) || !strings.Contains(got.err, "waiting for its first leader") {
		t.Errorf("exit status %d: %s%s", got.code, got.out, got.err)
	}
	if got := run(&fakeCell{}, "elections", "observe", "x", "--prefix", "--must-exist"); got.code != 64 {
		t.Errorf("exit status %d: %s", got.code, got.err)
	}
}
