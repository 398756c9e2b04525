package cli

import (
	"errors"
	"strings"
	"testing"
)

// What is wrong with a command line is said without a cluster, with status 64.
func TestUsageErrors(t *testing.T) {
	long := strings.Repeat("n", 513)
	tests := []struct {
		args []string
		says string
	}{
		{[]string{"nonsense"}, `unknown command "nonsense"`},
		{[]string{"locks"}, "locks: one of break, history, ls, show, watch is needed"},
		{[]string{"locks", "sho"}, `locks has no command "sho": there are break, history, ls, show, watch`},
		{[]string{"status", "--nonsense"}, "unknown flag: --nonsense"},
		{[]string{"status", "extra"}, `"extra" is one argument too many`},
		{[]string{"status", "-o", "yaml"}, `--output "yaml": text and json are allowed`},
		{[]string{"status", "--timeout", "0s"}, "--timeout 0s: more than 0 is allowed"},
		{[]string{"status", "--timeout", "soon"}, `invalid argument "soon" for "--timeout"`},
		{[]string{"status", "--endpoints", "a"}, `--endpoints: "a": it is not HOST:PORT`},
		{[]string{"status", "--endpoints", "a:0"}, `"a:0": port 0 cannot be reached`},
		{[]string{"status", "--cell", ""}, "the name of a cell is not empty"},
		{[]string{"status", "--cert", "x"}, `--cert "x" and --key "": both or none are allowed`},
		{[]string{"status", "--cacert", "/no/such/file"}, "--cacert: open /no/such/file"},

		{[]string{"lock"}, "NAME is missing"},
		{[]string{"lock", "x", "ls", "-l"}, "unknown shorthand flag"},
		{[]string{"lock", "x", "ls"}, "put -- before the command: conch lock x -- ls"},
		{[]string{"lock", "x", "--"}, "there is no command after --"},
		{[]string{"lock", "", "--", "true"}, `NAME "": a name is 1 to 512 bytes of UTF-8 without control characters: it is empty`},
		{[]string{"lock", long, "--", "true"}, "it has 513 bytes"},
		{[]string{"lock", "a\tb", "--", "true"}, `NAME "a\tb": a name is 1 to 512 bytes of UTF-8 without control characters: it has the control character U+0009 at byte 1`},
		{[]string{"lock", "a\x7f", "--", "true"}, "U+007F at byte 1"},
		{[]string{"lock", "\xff", "--", "true"}, "it is not UTF-8"},
		{[]string{"lock", "x", "--and", "\n", "--", "true"}, `--and "\n"`},
		{[]string{"lock", "x", "--and", "x", "--", "true"}, `--and "x": that lock is named twice`},
		{[]string{"lock", "x", "--ttl", "499ms", "--", "true"}, "--ttl 499ms: 500ms to 24h0m0s are allowed"},
		{[]string{"lock", "x", "--ttl", "25h", "--", "true"}, "--ttl 25h0m0s"},
		{[]string{"lock", "x", "--ttl", "1s500us", "--", "true"}, "whole milliseconds"},
		{[]string{"lock", "x", "--wait", "-1s", "--", "true"}, "--wait -1s: 0 or more is allowed"},
		{[]string{"lock", "x", "--wait", "1s", "--try", "--", "true"}, "--try and --wait 1s"},
		{[]string{"lock", "x", "--permits", "2", "--", "true"}, "--permits 2 --capacity 0"},
		{[]string{"lock", "x", "--permits", "3", "--capacity", "2", "--", "true"}, "--permits 3 --capacity 2"},
		{[]string{"lock", "x", "--permits", "1", "--capacity", "2", "--shared", "--", "true"}, "--shared and --permits 1"},
		{[]string{"lock", "x", "--lock-delay", "2h", "--", "true"}, "--lock-delay 2h0m0s: 0 to 1h0m0s are allowed"},
		{[]string{"lock", "x", "--kill-after", "-1s", "--", "true"}, "--kill-after -1s"},
		{[]string{"lock", "x", "-E", "256", "--", "true"}, "-E 256: 0 to 255 are allowed"},
		{[]string{"lock", "x", "--label", "novalue", "--", "true"}, `--label "novalue": KEY=VALUE is allowed`},
		{[]string{"lock", "x", "--label", "k=" + strings.Repeat("v", 257), "--", "true"}, "a value at most 256"},

		{[]string{"locks", "show", "\x00"}, `NAME "\x00"`},
		{[]string{"locks", "ls", "a\nb"}, `PREFIX "a\nb"`},
		{[]string{"locks", "history", "x", "--limit", "-1"}, "--limit -1"},
		{[]string{"locks", "break", "x"}, "--token is missing"},
		{[]string{"locks", "break", "x", "--token", "0"}, `--token "0": a number from 1 on is allowed`},
		{[]string{"locks", "break", "x", "--token", "1"}, "--reason is missing"},
		{[]string{"locks", "break", "x", "--token", "1", "--reason", strings.Repeat("r", 257)}, "at most 256 bytes of UTF-8 are allowed, not 257"},
		{[]string{"elect"}, "NAME is missing"},
		{[]string{"elect", "x", "ls"}, "put -- before the command: conch elect x -- ls"},
		{[]string{"elect", "x", "--"}, "there is no command after --"},
		{[]string{"elect", "a\tb"}, `NAME "a\tb"`},
		{[]string{"elect", "x", "--ttl", "1ms"}, "--ttl 1ms"},
		{[]string{"elect", "x", "--value", strings.Repeat("v", 64<<10+1)}, "--value: it has 65537 bytes: at most 65536 are allowed"},
		{[]string{"elect", "x", "--wait", "1s", "--try"}, "--try and --wait 1s"},
		{[]string{"elect", "x", "--wait", "-1s"}, "--wait -1s"},
		{[]string{"elect", "x", "--priority", "1001"}, "--priority 1001: -1000 to 1000 are allowed"},
		{[]string{"elect", "x", "--tenure", "721h"}, "--tenure 721h0m0s: 0 to 720h0m0s are allowed"},
		{[]string{"elect", "x", "--aging", "1ms"}, "--aging 1ms"},
		{[]string{"elect", "x", "--kill-after", "-1s"}, "--kill-after -1s"},
		{[]string{"elect", "x", "-E", "-1"}, "-E -1"},
		{[]string{"elect", "x", "--label", "novalue"}, `--label "novalue"`},
		{[]string{"elections"}, "elections: one of history, ls, observe, proclaim, resign, show, transfer is needed"},
		{[]string{"elections", "show", ""}, `NAME ""`},
		{[]string{"elections", "observe", ""}, `NAME ""`},
		{[]string{"elections", "observe", "x", "--from-revision", "-1"}, "invalid argument"},
		{[]string{"elections", "history", "x", "--limit", "-1"}, "--limit -1"},
		{[]string{"elections", "proclaim", "x"}, "VALUE is missing"},
		{[]string{"elections", "proclaim", "x", strings.Repeat("v", 64<<10+1)}, "VALUE: it has more than 65536 bytes"},
		{[]string{"elections", "proclaim", "x", "v", "--token", "0"}, `--token "0": a number from 1 on is allowed`},
		{[]string{"elections", "resign", "x", "--token", "t"}, `--token "t"`},
		{[]string{"elections", "resign", "x", "--reason", strings.Repeat("r", 257)}, "at most 256 bytes"},
		{[]string{"elections", "transfer", "x"}, "--to is missing: conch elections show x tells who waits"},
		{[]string{"token", "check", "x"}, "TOKEN is missing"},
		{[]string{"token", "check", "x", "-1"}, "unknown shorthand flag"},
		{[]string{"token", "check", "x", "1e3"}, `TOKEN "1e3": a number from 1 on is allowed`},
		{[]string{"sessions", "show", "abc"}, `ID "abc"`},
		{[]string{"sessions", "end", "3"}, "--reason is missing"},
		{[]string{"leader", "transfer", ""}, `NODE ""`},
		{[]string{"completion", "tcsh"}, `SHELL "tcsh": bash, zsh, fish and powershell are allowed`},

		{[]string{"kv", "get", ""}, `KEY "": a key is not empty`},
		{[]string{"kv", "get", "k", "--limit", "-1"}, "--limit -1"},
		{[]string{"kv", "get", "k", "--prefix", "--order", "age"}, `--order "age": key, version, create, mod and value are allowed`},
		{[]string{"kv", "watch", "k", "--no-put", "--no-delete"}, "only one of them is allowed"},
		{[]string{"kv", "put", "k"}, "VALUE is missing"},
		{[]string{"kv", "put", "k", strings.Repeat("x", maxValue+1)}, "more than 1048576 bytes"},
		{[]string{"kv", "put", "k", "v", "--if-absent", "--if-mod-revision", "3"}, "--if-absent and --if-mod-revision 3"},
		{[]string{"kv", "del", "k", "--prefix", "--if-value", "v"}, "not allowed with it"},
		{[]string{"kv", "txn"}, "standard input has no transaction"},
		{[]string{"kv", "watch", "k", "--"}, "there is no command after --"},
		{[]string{"kv", "compact", "x"}, `REVISION "x"`},

		{[]string{"bench", "everything"}, `LOAD "everything": own, contended and kv are allowed`},
		{[]string{"bench", "own", "--clients", "0"}, "--clients 0: 1 to 10000 are allowed"},
		{[]string{"bench", "own", "--duration", "0s"}, "--duration 0s"},
		{[]string{"dev", "--nodes", "0"}, "--nodes 0: 1 to 9 are allowed"},
		{[]string{"dev", "--listen", "nowhere"}, `--listen: "nowhere": it is not HOST:PORT`},
		{[]string{"dev", "--listen", ":7654"}, `--listen ":7654": name one address`},
		{[]string{"dev", "--listen", "127.0.0.1:65500"}, "a port up to 65432 is allowed with --nodes 3"},
		{[]string{"dev", "--listen", "127.0.0.1:0", "--data-dir", "x"}, "name a port"},
		{[]string{"dev", "--cell", "other"}, `--cell "other": a server hosts the cell "default" alone`},
		{[]string{"dev", "--cert", "c", "--key", "k"}, "a node needs all of --cert"},
	}
	for _, tt := range tests {
		name := strings.Join(tt.args, " ")
		t.Run(name[:min(len(name), 60)], func(t *testing.T) {
			a, out, errs := runner(nil, errors.New("a cluster was asked"), nil)
			if code := a.Run(tt.args); code != 64 || !strings.Contains(errs.String(), tt.says) || out.Len() > 0 {
				t.Errorf("exit status %d, stdout %q, stderr %s\nwant 64, %s", code, out, errs, tt.says)
			}
			if !strings.HasPrefix(errs.String(), "conch: ") || !strings.HasSuffix(errs.String(), " --help.\n") {
				t.Errorf("stderr %q: want the message and where to read on", errs)
			}
		})
	}
}

func TestUsageErrorAsJSON(t *testing.T) {
	for _, a := range [][]string{{"-o", "json", "locks", "show"}, {"locks", "show"}} {
		app, _, errs := runner(nil, nil, map[string]string{"CONCH_OUTPUT": "json"})
		if code := app.Run(a); code != 64 || errs.String() != `{"code":"USAGE","message":"NAME is missing","definite":true}`+"\n" {
			t.Errorf("%q: exit status %d, stderr %s", a, code, errs)
		}
	}
}

// A flag beats its variable; a variable that is wrong is named.
func TestEnvironment(t *testing.T) {
	env := map[string]string{
		"CONCH_TTL": "3s", "CONCH_LABEL": "a=1,b=2", "CONCH_TRY": "true", "CONCH_CONFLICT_EXIT_CODE": "7",
		"CONCH_TOKEN": "5", "CONCH_TIMEOUT": "",
	}
	a, _, _ := runner(nil, nil, env)
	cmd := a.root()
	lock, _, err := cmd.Find([]string{"lock"})
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.ParseFlags([]string{"--ttl", "4s"}); err != nil {
		t.Fatal(err)
	}
	if err := a.fromEnvironment(lock); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{
		"ttl": "4s", "label": "[a=1,b=2]", "try": "true", "conflict-exit-code": "7", "timeout": "5s",
	} {
		if got := lock.Flags().Lookup(flag).Value.String(); got != want {
			t.Errorf("--%s is %s, want %s", flag, got, want)
		}
	}
	a, _, errs := runner(nil, nil, map[string]string{"CONCH_TTL": "often"})
	if code := a.Run([]string{"lock", "x"}); code != 64 || !strings.Contains(errs.String(), `CONCH_TTL="often": `) {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
}

// What a command under a lock has in its environment does not become a flag of
// the conch commands that it runs.
func TestChildEnvironmentIsNoFlag(t *testing.T) {
	env := map[string]string{"CONCH_TOKEN": "91", "CONCH_SESSION": "17", "CONCH_LOCK": "x"}
	a, _, errs := runner(nil, nil, env)
	if code := a.Run([]string{"locks", "break", "y", "--reason", "r"}); code != 64 || !strings.Contains(errs.String(), "--token is missing") {
		t.Errorf("exit status %d, stderr %s", code, errs)
	}
}
