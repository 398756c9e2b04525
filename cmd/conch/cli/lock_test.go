package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/conch-lock/conch/sdk"
)

func TestLockRunsTheCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env")
	l := newFakeLock()
	l.before = sdk.Predecessor{Token: 60, Session: 3, Ended: sdk.ReasonExpired}
	c := granting(l)
	a, _, errs := runner(c, nil, map[string]string{"CONCH_ENDPOINTS": "127.0.0.1:1,127.0.0.1:2"})
	t.Setenv("CONCH_TOKEN", "an older one")
	code := a.Run([]string{"lock", "backup", "--", "sh", "-c", `env | grep ^CONCH_ | sort > "$0"; exit 3`, file})
	if code != 3 || errs.Len() > 0 {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
	got, _ := os.ReadFile(file)
	want := "CONCH_ENDPOINTS=127.0.0.1:1,127.0.0.1:2\nCONCH_LOCK=backup\n" +
		"CONCH_PREDECESSOR_ENDED=expired\nCONCH_PREDECESSOR_TOKEN=60\nCONCH_SESSION=17\nCONCH_TOKEN=91\n"
	if string(got) != want {
		t.Errorf("environment\n%swant\n%s", got, want)
	}
	if !l.released || !c.session.closed {
		t.Errorf("released %t, session closed %t: both should be", l.released, c.session.closed)
	}
}

func TestLockExitStatus(t *testing.T) {
	refusal := &sdk.Error{
		Op: "lock", Name: "backup", Code: sdk.CodeHeld, Definite: true, Holder: 17, Token: 91,
		Since: noon.Add(time.Minute), Position: 3, HolderLabels: map[string]string{"pid": "123", "host": "a"},
	}
	timedOut := *refusal
	timedOut.Code = sdk.CodeWaitTimedOut
	tests := []struct {
		name string
		err  error
		args []string
		code int
		says string
	}{
		{"held", refusal, []string{"--try", "--", "true"}, 75,
			"conch: backup is held by session 17 (host=a pid=123) since 12:01:00, token 91, you would be 3rd\n"},
		{"held, other status", refusal, []string{"--try", "-E", "9", "--", "true"}, 9, "is held by"},
		{"held, as success", refusal, []string{"--try", "-E", "0", "--", "true"}, 0, "is held by"},
		{"held, as JSON", refusal, []string{"--try", "-o", "json", "--", "true"}, 75,
			`{"code":"HELD","message":"backup is held by session 17 (host=a pid=123) since 12:01:00, token 91, you would be 3rd",` +
				`"definite":true,"holder":17,"token":91,"since":"2026-03-14T12:01:00Z","position":3}` + "\n"},
		{"wait ran out", &timedOut, []string{"--wait", "1s", "--", "true"}, 75,
			"conch: backup was not granted in time: held by session 17 (host=a pid=123) since 12:01:00, token 91, you were 3rd\n"},
		{"no leader", sdk.ErrNoLeader, []string{"--", "true"}, 69, "no leader"},
		{"cluster gone while waiting", sdk.ErrSessionExpired, []string{"--", "true"}, 69, "the cluster was not reached for 10s while waiting"},
		{"refused by the server", &sdk.Error{Op: "lock", Name: "backup", Code: sdk.CodeInvalidArgument, Message: "permits: not yet", Definite: true},
			[]string{"--permits", "1", "--capacity", "2", "--", "true"}, 64, "permits: not yet"},
		{"overloaded", &sdk.Error{Code: sdk.CodeOverloaded, Message: "too much", Definite: true}, []string{"--", "true"}, 1, "too much"},
		{"unknown command", nil, []string{"--", "no-such-command-of-conch"}, 127, "no-such-command-of-conch"},
		{"not executable", nil, []string{"--", "/etc/passwd"}, 126, "/etc/passwd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &fakeCell{session: &fakeSession{claim: func(_ context.Context, try bool) (held, error) {
				if want := tt.args[0] == "--try"; try != want {
					t.Errorf("try %t, want %t", try, want)
				}
				return nil, tt.err
			}}}
			got := run(c, append([]string{"lock", "backup"}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.err, tt.says) || got.out != "" {
				t.Errorf("exit status %d, stdout %q, stderr %s\nwant %d, %s", got.code, got.out, got.err, tt.code, tt.says)
			}
		})
	}
}

func TestLockUnreachable(t *testing.T) {
	a, _, errs := runner(nil, sdk.ErrUnreachable, nil)
	if code := a.Run([]string{"lock", "x", "--", "true"}); code != 69 || !strings.Contains(errs.String(), "no endpoint") {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
}

func TestLossStopsTheCommand(t *testing.T) {
	dir := t.TempDir()
	l := newFakeLock()
	go func() { // ends with the condition or the test's time
		for {
			if _, err := os.Stat(filepath.Join(dir, "runs")); err == nil {
				l.lose(sdk.ErrBroken)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	got := run(granting(l), "lock", "x", "--", "sh", "-c",
		`cd "$0"; trap "touch stopped; exit 0" TERM; touch runs; while :; do sleep 0.01; done`, dir)
	if got.code != 70 || got.err != "conch: lock x was lost: the lock was broken by an operator; sh was stopped\n" {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
	if _, err := os.Stat(filepath.Join(dir, "stopped")); err != nil {
		t.Errorf("the command did not get SIGTERM: %v", err)
	}
	if l.released {
		t.Error("a lost lock was released")
	}
}

func TestDeadlineStopsTheCommand(t *testing.T) {
	dir := t.TempDir()
	l := newFakeLock()
	go l.expireWhen(filepath.Join(dir, "runs"))
	got := run(granting(l), "lock", "x", "--kill-after", "50ms", "--", "sh", "-c",
		`trap "" TERM; touch "$0/runs"; while :; do sleep 0.01; done`, dir)
	if got.code != 70 || got.err != "conch: lock x was lost: its time ran out; sh was killed\n" {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
}

func TestLossBeforeTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "started")
	l := newFakeLock()
	l.lose(sdk.ErrSessionEnded)
	got := run(granting(l), "lock", "x", "--", "touch", file)
	if got.code != 70 || !strings.Contains(got.err, "lock x was lost before touch was started") {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the command was started without the lock")
	}
}

// Of --try and --wait the one that was given beats the one of the environment.
func TestTryAndWaitFromTheEnvironment(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		args []string
		code int
		try  bool
	}{
		{map[string]string{"CONCH_WAIT": "1s"}, []string{"--try"}, 0, true},
		{map[string]string{"CONCH_TRY": "1"}, []string{"--wait", "1s"}, 0, false},
		{map[string]string{"CONCH_TRY": "1", "CONCH_WAIT": "1s"}, nil, 64, false},
	} {
		try := false
		c := &fakeCell{session: &fakeSession{claim: func(_ context.Context, t bool) (held, error) {
			try = t
			return newFakeLock(), nil
		}}}
		a, _, errs := runner(c, nil, tt.env)
		if code := a.Run(append(append([]string{"lock", "x"}, tt.args...), "--", "true")); code != tt.code || try != tt.try {
			t.Errorf("%v %v: exit status %d, try %t; %s", tt.env, tt.args, code, try, errs)
		}
	}
}

func TestUnconfirmedReleaseIsSaid(t *testing.T) {
	l := newFakeLock()
	l.refuse = errors.New("no answer")
	got := run(granting(l), "lock", "x", "--", "true")
	if got.code != 0 || !strings.Contains(got.err, "the release was not confirmed") {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
}

func TestLeftoversAreNamed(t *testing.T) {
	got := run(granting(newFakeLock()), "lock", "x", "--", "sh", "-c", "sleep 1000 & exit 2")
	if got.code != 2 || !strings.Contains(got.err, "stopped what sh left behind: ") || !strings.Contains(got.err, "(sleep)") {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
}

func TestSignalEndsTheWait(t *testing.T) {
	c := &fakeCell{session: &fakeSession{claim: func(ctx context.Context, _ bool) (held, error) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}}}
	got := run(c, "lock", "x", "--", "true")
	if got.code != 143 || !strings.Contains(got.err, "lock x: stopped waiting: terminated") || !c.session.closed {
		t.Errorf("exit status %d, stderr %s, session closed %t", got.code, got.err, c.session.closed)
	}
}

// A grant that comes together with the signal is given back.
func TestSignalRacesTheGrant(t *testing.T) {
	l := newFakeLock()
	c := &fakeCell{session: &fakeSession{claim: func(ctx context.Context, _ bool) (held, error) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return l, nil
	}}}
	if got := run(c, "lock", "x", "--", "true"); got.code != 143 || !l.released {
		t.Errorf("exit status %d, released %t", got.code, l.released)
	}
}

func TestHoldWithoutACommand(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		l := newFakeLock()
		a, out, _ := runner(granting(l), nil, nil)
		a.Out = writerFunc(func(p []byte) (int, error) { // interrupted once it has said that it holds
			defer func() { _ = syscall.Kill(os.Getpid(), syscall.SIGINT) }()
			return out.Write(p)
		})
		code := a.Run([]string{"lock", "x", "--and", "y", "-o", format})
		want := map[string]string{"text": "x y 91\n", "json": `{"name":"x","names":["y"],"token":91,"session":17}` + "\n"}[format]
		if code != 0 || out.String() != want || !l.released {
			t.Errorf("exit status %d, stdout %q want %q, released %t", code, out, want, l.released)
		}
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestHoldIsLost(t *testing.T) {
	l := newFakeLock()
	l.lose(sdk.ErrSessionExpired)
	if got := run(granting(l), "lock", "x"); got.code != 70 || got.err != "conch: lock x was lost: the session expired\n" {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
}

// Somebody at a terminal is told for whom they wait.
func TestTellsWhomItWaitsFor(t *testing.T) {
	granted := make(chan struct{})
	c := &fakeCell{
		locks: []sdk.LockInfo{{
			Name: "x", Holders: []sdk.Holder{{Session: 5, Token: 8, Since: noon.Add(-time.Minute)}},
			Waiters: []sdk.Waiter{{Session: 9, Position: 1}, {Session: 17, Position: 2}},
		}},
		session: &fakeSession{claim: func(context.Context, bool) (held, error) {
			<-granted
			return newFakeLock(), nil
		}},
	}
	a, _, errs := runner(c, nil, nil)
	a.ErrTerminal = true
	a.Err = writerFunc(func(p []byte) (int, error) {
		defer close(granted)
		return errs.Write(p)
	})
	if code := a.Run([]string{"lock", "x", "--", "true"}); code != 0 ||
		errs.String() != "conch: waiting, 2nd in line: x is held by session 5 since 11:59:00, token 8\n" {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
}
