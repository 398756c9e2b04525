package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/sdk"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if text != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s\nwant:\n%s", path, text, want)
	}
}

// Every command has help with an example, and only known commands are there.
func TestHelp(t *testing.T) {
	a, _, _ := runner(nil, nil, nil)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" {
			return
		}
		words := strings.Fields(c.CommandPath())[1:]
		name := strings.Join(append([]string{"conch"}, words...), "-")
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(c.Example, "conch ") {
				t.Errorf("%s has no example", c.CommandPath())
			}
			got := run(nil, append(words, "--help")...)
			if got.code != 0 || got.err != "" {
				t.Errorf("exit status %d, stderr %s", got.code, got.err)
			}
			golden(t, filepath.Join("help", name+".txt"), got.out)
		})
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(a.root())
}

// lockRecord is the record of a lock as a watch delivers it.
func lockRecord(t *testing.T, l *api.LockInfo) []byte {
	t.Helper()
	b, err := l.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sample is a cell with something of everything.
func sample(t *testing.T) *fakeCell {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	later := noon.Add(25 * time.Second)
	began, ended := ago(3*time.Hour), ago(time.Hour)
	labels := map[string]string{"host": "a", "pid": "123", "user": "ann", "cmd": "./backup.sh /srv"}
	return &fakeCell{
		locks: []sdk.LockInfo{
			{
				Name: "backup", Mode: sdk.ModeExclusive, Token: 91, Revision: 402, WaiterCount: 3,
				Holders: []sdk.Holder{{Session: 17, Token: 91, Since: ago(252 * time.Second), SinceRevision: 402, Labels: labels}},
				Waiters: []sdk.Waiter{
					{Session: 18, Position: 1, Since: ago(90 * time.Second), Labels: map[string]string{"host": "b"}, Mode: sdk.ModeExclusive},
					{Session: 21, Position: 2, Since: ago(3 * time.Second), Deadline: &later, Labels: map[string]string{}, Mode: sdk.ModeShared},
				},
			},
			{Name: "empty", Mode: sdk.ModeExclusive, Token: 7, Revision: 12, DelayedUntil: &later},
			{
				Name: "render", Mode: sdk.ModePermits, Capacity: 4, Token: 88, Revision: 399,
				Holders: []sdk.Holder{
					{Session: 5, Token: 80, Since: ago(26 * time.Hour), Permits: 1, Labels: map[string]string{"job": "nightly run"}},
					{Session: 6, Token: 88, Since: ago(time.Second), Permits: 2},
				},
			},
			{Name: "tricky\x1b[31m", Mode: sdk.ModeShared, Token: 90, Revision: 400, Holders: []sdk.Holder{{Session: 9, Token: 90, Since: ago(0)}}},
		},
		history: sdk.History{CompactedRevision: 100, Revision: 402, Tenures: []sdk.Tenure{
			{Name: "backup", Token: 60, Session: 3, Labels: map[string]string{"host": "b"}, FromRevision: 120, ToRevision: 200, FromTime: ago(3 * time.Hour), ToTime: &ended, Ended: sdk.ReasonExpired},
			{Name: "backup", Token: 91, Session: 17, Labels: labels, FromRevision: 402, FromTime: ago(252 * time.Second)},
		}},
		elections: []sdk.ElectionInfo{
			{
				Name: "primary", Term: 3, Token: 91, Revision: 402, CreateRevision: 120, CandidateCount: 3, AgingMillis: 60000, PreemptedAt: &later,
				Leader: &sdk.Leader{Session: 17, Token: 91, Value: sdk.Value("10.0.0.7:5432"), Since: ago(252 * time.Second), SinceRevision: 402, Labels: labels},
				Candidates: []sdk.Candidate{
					{Session: 18, Position: 1, Priority: 10, Effective: 11, Preempt: true, Since: ago(90 * time.Second), Value: sdk.Value("10.0.0.8:5432"), Labels: map[string]string{"host": "b"}},
					{Session: 21, Position: 2, Since: ago(3 * time.Second), Deadline: &later, Value: sdk.Value("two\nlines"), Labels: map[string]string{}},
				},
				Last: &sdk.Predecessor{Token: 60, Session: 3, Ended: sdk.ReasonExpired, Value: sdk.Value("10.0.0.6:5432")},
			},
			{Name: "vacant", Term: 1, Token: 7, Revision: 12, CreateRevision: 10, Last: &sdk.Predecessor{Token: 7, Session: 2, Ended: sdk.ReasonReleased}},
		},
		leaders: sdk.LeaderHistory{CompactedRevision: 100, Revision: 402, Tenures: []sdk.LeaderTenure{
			{Name: "primary", Term: 1, Token: 5, Session: 2, ToRevision: 120, ToTime: &began, Ended: sdk.ReasonClosed},
			{Name: "primary", Term: 2, Token: 60, Session: 3, Labels: map[string]string{"host": "b"}, Value: sdk.Value("10.0.0.6:5432"), FromRevision: 120, ToRevision: 402, FromTime: &began, ToTime: &ended, Ended: sdk.ReasonExpired},
			{Name: "primary", Term: 3, Token: 91, Session: 17, Labels: labels, Value: sdk.Value("10.0.0.7:5432"), FromRevision: 402, FromTime: &ended},
		}},
		changes: []sdk.LeaderChange{
			{Election: "primary", Change: sdk.Elected, Revision: 120, Term: 2, Token: 60, Leader: &sdk.Leader{Session: 3, Token: 60, Since: began, SinceRevision: 120}},
			{Election: "primary", Change: sdk.Proclaimed, Revision: 130, Time: began, Term: 2, Token: 60, Leader: &sdk.Leader{Session: 3, Token: 60, Value: sdk.Value("10.0.0.6:5432"), Since: began, SinceRevision: 120}},
			{Election: "primary", Change: sdk.Vacant, Revision: 140, Time: ended, Term: 2, Token: 60, Last: &sdk.Predecessor{Token: 60, Session: 3, Ended: sdk.ReasonExpired, Value: sdk.Value("10.0.0.6:5432")}},
			{Election: "primary", Change: sdk.Elected, Revision: 402, Time: ended, Term: 3, Token: 91, Leader: &sdk.Leader{Session: 17, Token: 91, Value: sdk.Value("10.0.0.7:5432"), Since: ended, SinceRevision: 402, Labels: labels}},
		},
		check: sdk.TokenCheck{Current: false, CurrentToken: 91, Revision: 402},
		sessions: []sdk.SessionInfo{
			{ID: 17, TTLMillis: 10000, RemainingMillis: 7345, Labels: labels, Locks: []string{"backup"}, LockCount: 1, Elections: []string{}, Keys: []string{"k1", "k2"}, KeyCount: 2, CreatedRevision: 401},
			{ID: 18, TTLMillis: 86400000, RemainingMillis: 500, Labels: map[string]string{}, Locks: []string{}, Elections: []string{}, Keys: []string{}, CreatedRevision: 401},
		},
		status: sdk.Status{
			Cell: "default", Revision: 402, Leader: "n1", Sessions: 12, Locks: 1, Waiters: 2, StateBytes: 1_300_000, QuotaBytes: 2 << 30, Node: "n2",
			Nodes: []sdk.NodeStatus{
				{Name: "n1", ID: "00f3a1b2c3d4e5f6", Endpoint: "127.0.0.1:7654", Peer: "127.0.0.1:7754", Role: "leader", Term: 3, Applied: 812, Version: "v0.1.0", Healthy: true},
				{Name: "n2", ID: "10f3a1b2c3d4e5f6", Endpoint: "127.0.0.1:7655", Peer: "127.0.0.1:7755", Role: "follower", Term: 3, Applied: 812, Version: "v0.1.0", Healthy: true},
				{Name: "n3", ID: "20f3a1b2c3d4e5f6", Peer: "127.0.0.1:7756", Role: "unknown"},
				{Name: "n4", ID: "30f3a1b2c3d4e5f6", Endpoint: "127.0.0.1:7657", Peer: "127.0.0.1:7757", Role: "unknown", Term: 3, Applied: 700, Version: "v0.1.0", HeardMillis: 2300},
			},
		},
		hashes: sdk.Hashes{Nodes: []sdk.NodeHash{
			{Name: "n1", ID: "00f3a1b2c3d4e5f6", Index: 812, Revision: 402, Hash: "5f2c9b"},
			{Name: "n3", ID: "20f3a1b2c3d4e5f6", Error: "it does not answer"},
		}},
		keys: sdk.RangeResult{Count: 5, More: true, Revision: 402, KVs: []sdk.KeyValue{
			{Key: "config/limit", Value: []byte("12"), CreateRevision: 5, ModRevision: 9, Version: 2},
			{Key: "config/motd", Value: []byte("two\nlines\n"), CreateRevision: 6, ModRevision: 6, Version: 1, Session: 17},
			{Key: "config/raw", Value: []byte{0xff, 0x00}, CreateRevision: 7, ModRevision: 7, Version: 1},
		}},
		txn: sdk.TxnResult{Succeeded: true, Revision: 403, Results: []sdk.OpResult{{Put: &sdk.PutResult{}}, {Delete: &sdk.DeleteResult{Deleted: 2}}}},
	}
}

// A script of commands and what they print: testdata/reports.txt. The cell is
// the sample.
func TestReports(t *testing.T) {
	var script strings.Builder
	commands := []string{
		"locks ls", "locks ls -o json", "locks show backup", "locks show backup -o json", "locks show render", "locks show empty",
		"locks show nobody", "locks show nobody -o json", "locks history backup", "locks history backup -o json",
		"locks break backup --token 91 --reason gone", "locks break backup --token 91 --reason gone -o json",
		"elections ls", "elections ls -o json", "elections show primary", "elections show primary -o json", "elections show vacant", "elections show nobody",
		"elections history primary", "elections history primary -o json",
		"elections observe primary", "elections observe primary -o json", "elections observe p --prefix",
		"elections proclaim primary v2", "elections proclaim primary v2 -o json", "elections proclaim vacant v2",
		"elections resign primary", "elections resign primary --token 91 -o json",
		"elections transfer primary --to 18", "elections transfer primary --to 10.0.0.8:5432 -o json", "elections transfer primary --to nobody",
		"token check backup 90", "token check backup 90 -o json",
		"sessions ls", "sessions ls -o json", "sessions show 17", "sessions show 17 -o json", "sessions end 17 --reason gone",
		"status", "status -o json", "hash", "hash -o json", "leader transfer n2", "leader transfer n2 -o json",
		"kv get config/limit", "kv get config/limit -o json", "kv get config/ --prefix --limit 3", "kv get config/ --prefix --limit 3 -o json", "kv get config/ --prefix --keys-only --limit 3",
		"kv get config/ --prefix --count-only", "kv get config/ --prefix --count-only -o json",
		"kv put config/limit 13", "kv put config/limit 13 -o json", "kv del config/limit", "kv del config/limit -o json", "kv compact", "kv compact 400 -o json",
	}
	for _, c := range commands {
		got := run(sample(t), strings.Fields(c)...)
		fmt.Fprintf(&script, "$ conch %s\n%s%s", c, got.out, got.err)
		if got.code != 0 {
			fmt.Fprintf(&script, "(exit status %d)\n", got.code)
		}
		script.WriteString("\n")
	}
	golden(t, "reports.txt", script.String())
}

func TestNothingToReport(t *testing.T) {
	for command, want := range map[string]string{
		"locks ls":                  "no locks\n",
		"locks ls -o json":          `{"locks":[]}` + "\n",
		"sessions ls":               "no sessions\n",
		"sessions ls -o json":       `{"sessions":[]}` + "\n",
		"kv get k --prefix":         "no keys\n",
		"kv get k --prefix -o json": `{"keys":[],"more":false,"count":0,"revision":0}` + "\n",
		"locks history x":           "no recorded holder of x\n",
		"elections ls":              "no elections\n",
		"elections ls -o json":      `{"elections":[]}` + "\n",
		"elections history x":       "no recorded leader of x\n",
	} {
		if got := run(&fakeCell{}, strings.Fields(command)...); got.code != 0 || got.out != want {
			t.Errorf("%s: exit status %d, %q, want %q", command, got.code, got.out, want)
		}
	}
	if got := run(&fakeCell{}, "kv", "get", "k"); got.code != 1 || !strings.Contains(got.err, `get "k": no such key`) {
		t.Errorf("kv get: exit status %d, %s", got.code, got.err)
	}
}

func TestWriteConditions(t *testing.T) {
	c := &fakeCell{txn: sdk.TxnResult{Results: []sdk.OpResult{{Range: &sdk.RangeResult{KVs: []sdk.KeyValue{{Key: "k", ModRevision: 9, Version: 2}}}}}}}
	got := run(c, "kv", "put", "k", "v", "--if-mod-revision", "5")
	if got.code != 1 || got.err != `conch: put "k": the condition does not hold, nothing was written: revision 9 changed it last, to version 2`+"\n" {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
	c.txn.Results[0].Range.KVs = nil
	if got := run(c, "kv", "del", "k", "--if-value", ""); got.code != 1 || !strings.Contains(got.err, "there is no such key") {
		t.Errorf("exit status %d, stderr %s", got.code, got.err)
	}
}

func TestLocksWatch(t *testing.T) {
	at := noon.Add(-time.Minute)
	labels := map[string]string{"host": "a"}
	granted := lockRecord(t, &api.LockInfo{
		Name: "backup", Token: 1, Holders: []*api.LockHolder{{Session: 17, Token: 1, SinceRevision: 8, Labels: labels}},
	})
	handed := lockRecord(t, &api.LockInfo{
		Name: "backup", Token: 3, Mode: api.Mode_SHARED,
		Holders: []*api.LockHolder{{Session: 18, Token: 2, SinceRevision: 9}, {Session: 19, Token: 3, SinceRevision: 10}},
		Ended:   []*api.Predecessor{{Token: 1, Session: 17, Ended: api.EndReason_END_EXPIRED}},
	})
	released := lockRecord(t, &api.LockInfo{Name: "backup", Token: 3, Ended: []*api.Predecessor{
		{Token: 2, Session: 18, Ended: api.EndReason_END_RELEASED}, {Token: 3, Session: 19, Ended: api.EndReason_END_BROKEN},
	}})
	c := &fakeCell{batches: []sdk.Batch{
		{Revision: 8, Events: []sdk.Event{{KV: sdk.KeyValue{Key: "backup", Value: granted, ModRevision: 8}, Time: at}}},
		{Revision: 10, Events: []sdk.Event{{KV: sdk.KeyValue{Key: "backup", Value: handed, ModRevision: 10}, Time: at.Add(time.Second)}}},
		{Revision: 11, Events: []sdk.Event{{KV: sdk.KeyValue{Key: "backup", Value: released, ModRevision: 11}, Time: at.Add(2 * time.Second)}}},
		{Revision: 12, Events: []sdk.Event{{Deleted: true, KV: sdk.KeyValue{Key: "backup", ModRevision: 12}}}},
	}}
	got := run(c, "locks", "watch") // the end of the batches ends it
	golden(t, "watch.txt", got.out+got.err+run(c, "locks", "watch", "backup", "-o", "json").out)
}

func TestKeyWatchAndHistory(t *testing.T) {
	c := &fakeCell{
		status: sdk.Status{Revision: 7, CompactedRevision: 4},
		keys:   sdk.RangeResult{KVs: []sdk.KeyValue{{Key: "k", Value: []byte("old"), ModRevision: 3, Version: 1}}, Revision: 7},
		batches: []sdk.Batch{
			{Revision: 6, Events: []sdk.Event{{KV: sdk.KeyValue{Key: "k", Value: []byte("new"), ModRevision: 6, Version: 2}, Time: noon}}},
			{Revision: 7, Events: []sdk.Event{{Deleted: true, KV: sdk.KeyValue{Key: "k", ModRevision: 7}, Time: noon}}},
			{Revision: 8, Events: []sdk.Event{{KV: sdk.KeyValue{Key: "k", Value: []byte("later"), ModRevision: 8, Version: 1}}}},
		},
	}
	if got, want := run(c, "kv", "history", "k"), "3  put k = old\n12:00:00  6  put k = new\n12:00:00  7  delete k\n"; got.out != want || got.code != 0 {
		t.Errorf("history: exit status %d, %s%s\nwant %s", got.code, got.out, got.err, want)
	}
	file := filepath.Join(t.TempDir(), "seen")
	t.Setenv("CONCH_VALUE", "of an outer command")
	c.batches[0].Events[0].Prev = &sdk.KeyValue{Value: []byte("old")}
	got := run(c, "kv", "watch", "k", "--", "sh", "-c", `echo "$CONCH_EVENT $CONCH_KEY $CONCH_REVISION ${CONCH_VALUE-none} ${CONCH_PREV_VALUE-none} $CONCH_ENDPOINTS" >> "$0"; test "$CONCH_EVENT" = put || exit 4`, file)
	seen, _ := os.ReadFile(file)
	if want := "put k 6 new old 127.0.0.1:7654\ndelete k 7 none none 127.0.0.1:7654\n"; got.code != 4 || string(seen) != want || got.err != "conch: sh failed with status 4 at revision 7\n" {
		t.Errorf("watch: exit status %d, %q want %q; stderr %s", got.code, seen, want, got.err)
	}
	if got, want := run(c, "kv", "watch", "k", "--prev", "-o", "json"), `{"event":"put","revision":6,"time":"2026-03-14T12:00:00Z","key":"k","value":"new","create_revision":0,"mod_revision":6,"version":2,"session":0,`+
		`"prev":{"key":"","value":"old","create_revision":0,"mod_revision":0,"version":0,"session":0}}`; !strings.HasPrefix(got.out, want) {
		t.Errorf("watch: %s, want %s", got.out, want)
	}
}

// A watch that fell behind goes on; any other error ends it.
func TestWatchFallsBehind(t *testing.T) {
	behind := &sdk.Error{Op: "watch", Name: "k", Code: sdk.CodeLagging, Definite: true, Revision: 7}
	c := &fakeCell{err: behind, batches: []sdk.Batch{{Revision: 6, Events: []sdk.Event{{KV: sdk.KeyValue{Key: "k", Value: []byte("v"), ModRevision: 6}}}}}}
	if got := run(c, "kv", "watch", "k"); got.code != 0 || got.out != "6  put k = v\n" || got.err != "conch: the watch fell behind; it goes on at revision 7\n" {
		t.Errorf("exit status %d, %s, %s", got.code, got.out, got.err)
	}
	c.err = &sdk.Error{Op: "watch", Name: "k", Code: sdk.CodeCompacted, Definite: true, Revision: 9}
	if got := run(c, "kv", "watch", "k"); got.code != 1 || !strings.Contains(got.err, "compacted") {
		t.Errorf("exit status %d, %s, %s", got.code, got.out, got.err)
	}
}

func TestErrorsOfTheCell(t *testing.T) {
	unknown := &sdk.Error{Op: "break lock", Name: "x", Code: sdk.CodeUnknownOutcome, Message: "the connection broke"}
	for _, tt := range []struct {
		err  error
		code int
		json string
	}{
		{unknown, 1, `{"code":"UNKNOWN_OUTCOME","message":"break lock \"x\": the connection broke","definite":false}`},
		{&sdk.Error{Code: sdk.CodeTokenMismatch, Message: "token 5 is not current", Definite: true, Holder: 17, Token: 91}, 1,
			`{"code":"TOKEN_MISMATCH","message":"token 5 is not current: held by session 17, token 91","definite":true,"holder":17,"token":91}`},
		{fmt.Errorf("x: %w", sdk.ErrNoLeader), 69, `{"code":"NO_LEADER","message":"x: the cell has no leader","definite":false}`},
		{errors.New("odd"), 1, `{"code":"FAILED","message":"odd","definite":false}`},
	} {
		got := run(&fakeCell{err: tt.err}, "locks", "break", "x", "--token", "5", "--reason", "r", "-o", "json")
		if got.code != tt.code || got.err != tt.json+"\n" {
			t.Errorf("exit status %d, %s\nwant %d, %s", got.code, got.err, tt.code, tt.json)
		}
	}
}

func TestParseTxn(t *testing.T) {
	good := "# a comment\nif lock backup = 91\nif value \"a key\" != \"x\\n\"\nif version k > 0\n\nput k \"some value\"\nput k v 17\nget k\nget prefix k/\nelse\ndel k\ndel prefix \"\"\n"
	txn, err := parseTxn(strings.NewReader(good))
	if err != nil || len(txn.If) != 3 || len(txn.Then) != 4 || len(txn.Else) != 2 {
		t.Errorf("%v: %d conditions, %d and %d operations", err, len(txn.If), len(txn.Then), len(txn.Else))
	}
	for text, says := range map[string]string{
		"put k":               `line 1 of standard input: "put k": put KEY VALUE`,
		"put k v x":           `put: session "x": a number from 1 on is allowed`,
		"get a b":             `"get a b": put KEY VALUE`,
		"get k\nif mod k = 1": "line 2 of standard input: conditions come before operations",
		"if mod k = x":        `mod "x": a number is allowed`,
		"if mod k ~ 1":        `"~": =, !=, < and > are allowed`,
		"if colour k = 1":     `"colour": value, version`,
		"if lock k > 1":       "only = is allowed",
		"if mod k":            "a condition is",
		"else\nelse":          "one line with else alone",
		`put "k v`:            "the quotes are not closed",
		"\n#\n":               "no transaction",
	} {
		if _, err := parseTxn(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) || codeOf(err) != exitUsage {
			t.Errorf("%q: error %v, want %s", text, err, says)
		}
	}
}

func TestBench(t *testing.T) {
	c := granting(newFakeLock())
	for _, load := range []string{"own", "contended", "kv"} {
		got := run(c, "bench", load, "--clients", "2", "--duration", "20ms", "-o", "json")
		if got.code != 0 || !strings.Contains(got.out, `"load":"`+load+`","clients":2,`) || !strings.Contains(got.out, `"p99":`) {
			t.Errorf("%s: exit status %d, %s%s", load, got.code, got.out, got.err)
		}
	}
	c.session.claim = nil
	c.err = errors.New("out of order")
	if got := run(c, "bench", "kv", "--clients", "2", "--duration", "10s"); got.code != 1 || !strings.Contains(got.err, "out of order") {
		t.Errorf("exit status %d, %s", got.code, got.err)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := run(nil, "completion", shell); got.code != 0 || !strings.Contains(got.out, "conch") {
			t.Errorf("%s: exit status %d", shell, got.code)
		}
	}
}

func TestVersion(t *testing.T) {
	if got := run(nil, "version"); got.code != 0 || !strings.HasPrefix(got.out, "conch ") {
		t.Errorf("exit status %d, %s", got.code, got.out)
	}
}
