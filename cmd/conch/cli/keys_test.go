package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// feeds runs a command with a standard input.
func (c *cluster) feeds(input string, args ...string) outcome {
	c.t.Helper()
	cmd := c.command(args...)
	cmd.Stdin = strings.NewReader(input)
	return finish(c.t, cmd)
}

// keysOfAUser is a part of TestCluster: what goes wrong with keys in other hands
// than those of their author.
func keysOfAUser(t *testing.T, c *cluster) {
	// The history of a key that has not changed lately, while others do.
	c.must("kv", "put", "quiet", "1")
	var last struct{ Revision uint64 }
	c.asks(&last, "kv", "put", "busy", "1")
	began := time.Now()
	for range 2 {
		if out := c.must("kv", "history", "quiet"); !strings.HasSuffix(out, "put quiet = 1\n") {
			t.Errorf("history: %q", out)
		}
	}
	if got := c.does("kv", "history", "nobody"); got.code != 1 || !strings.Contains(got.err, `history "nobody": no version of this key is recorded`) {
		t.Errorf("history of an unknown key: exit status %d: %s", got.code, got.err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("three histories took %v: they waited for a mark of progress", took)
	}

	// Revisions that have not happened, and the one that is next.
	future := strconv.FormatUint(last.Revision+1000, 10)
	for _, args := range [][]string{
		{"kv", "watch", "quiet", "--from-revision", future}, {"locks", "watch", "--from-revision", future},
		{"elections", "observe", "e", "--from-revision", future}, {"kv", "get", "quiet", "--revision", future},
		{"kv", "compact", future},
	} {
		if got := c.does(args...); got.code != 1 || !strings.Contains(got.err, "not happened yet") || !strings.Contains(got.err, future) {
			t.Errorf("%v: exit status %d: %s", args, got.code, got.err)
		}
	}

	// A condition that does not hold is a definite refusal.
	if got := c.does("kv", "put", "quiet", "2", "--if-mod-revision", "1", "-o", "json"); got.code != 1 ||
		!strings.Contains(got.err, `"code":"CONDITION_FAILED"`) || !strings.Contains(got.err, `"definite":true`) {
		t.Errorf("put: exit status %d: %s", got.code, got.err)
	}

	// More than one answer of a cell can carry.
	large := strings.Repeat("x", 1<<20)
	for i := range 4 {
		got := c.feeds(large, "kv", "put", fmt.Sprintf("large/%d", i), "-", "-o", "json")
		if err := json.Unmarshal([]byte(got.out), &last); err != nil || got.code != 0 {
			t.Fatalf("put: exit status %d: %s", got.code, got.err)
		}
	}
	for _, args := range [][]string{{}, {"--order", "mod", "--descending"}, {"--limit", "4"}, {"--revision", strconv.FormatUint(last.Revision, 10)}} {
		var list struct {
			Keys []struct{ Key string }
			More bool
		}
		c.asks(&list, append([]string{"kv", "get", "large/", "--prefix"}, args...)...)
		if len(list.Keys) != 4 || list.More || list.Keys[0].Key != map[bool]string{false: "large/0", true: "large/3"}[len(args) == 3] {
			t.Errorf("%v: %+v", args, list)
		}
	}
	c.must("kv", "del", "large/", "--prefix")

	// A transaction is run as a whole or not at all, also when it is too long.
	long := "put cut 1\n" + strings.Repeat("# "+strings.Repeat("x", 1<<20)+"\n", 4) + "del cut\nput cut 2\n"
	if got := c.feeds(long, "kv", "txn"); got.code != 64 || !strings.Contains(got.err, "standard input has more than") {
		t.Errorf("txn: exit status %d: %s", got.code, got.err)
	}
	if got := c.does("kv", "get", "cut"); got.code != 1 {
		t.Errorf("a part of a transaction was run: %s", got.out)
	}

	// Every compare, and all operations in both branches.
	h := c.hold("fence")
	var lock lockJSON
	c.asks(&lock, "locks", "show", "fence")
	owner, token := lock.Holders[0].Session, lock.Token
	c.must("kv", "put", "t", "1")
	var key struct{ Create_revision, Mod_revision uint64 }
	c.asks(&key, "kv", "get", "t", "-o", "json")
	c.must("kv", "put", "owned", "o", "--session", strconv.FormatUint(owner, 10))
	compares := fmt.Sprintf("if value t = 1\nif value t != 2\nif version t = 1\nif version t < 2\nif create t = %d\nif mod t = %d\nif mod t > 1\n"+
		"if session owned = %d\nif session t = 0\nif version none = 0\nif lock fence = %d\n", key.Create_revision, key.Mod_revision, owner, token)
	if got := c.feeds(compares+"put t 2\nput new n\nget t\nget prefix new\ndel owned\nelse\nput wrong 1\n", "kv", "txn", "-o", "json"); got.code != 0 ||
		!strings.Contains(got.out, `"succeeded":true,"results":[{"put":true},{"put":true},{"keys":[{"key":"t","value":"2"`) || !strings.Contains(got.out, `{"deleted":1}`) {
		t.Errorf("txn: exit status %d: %s%s", got.code, got.out, got.err)
	}
	if got := c.feeds(fmt.Sprintf("if lock fence = %d\nput wrong 1\nelse\nget t\nput t 3\ndel prefix ne\n", token+1), "kv", "txn", "-o", "json"); got.code != 1 ||
		!strings.Contains(got.out, `"succeeded":false,"results":[{"keys":[{"key":"t","value":"2"`) || !strings.Contains(got.out, `{"put":true},{"deleted":1}`) {
		t.Errorf("txn: exit status %d: %s%s", got.code, got.out, got.err)
	}
	for _, k := range []string{"wrong", "new", "owned"} {
		if got := c.does("kv", "get", k); got.code != 1 {
			t.Errorf("kv get %s: exit status %d: %s", k, got.code, got.out)
		}
	}
	if err := os.WriteFile(filepath.Join(h.dir, "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := h.exit(); got.code != 0 {
		t.Errorf("the holder of the lock: exit status %d: %s", got.code, got.err)
	}

	// To compact what is compacted, without saying how far, is nothing to complain of.
	c.must("kv", "compact")
	c.must("kv", "compact")
	var status struct{ Compacted_revision uint64 }
	c.asks(&status, "status")
	if got := c.does("kv", "compact", strconv.FormatUint(status.Compacted_revision, 10)); got.code != 1 || !strings.Contains(got.err, "compacted") {
		t.Errorf("compact: exit status %d: %s", got.code, got.err)
	}

	// All keys there are: an empty KEY means them with --prefix, for del as for get.
	if out := c.must("kv", "del", "", "--prefix"); !strings.HasPrefix(out, "deleted ") || out == "deleted 0\n" {
		t.Errorf("del: %q", out)
	}
	if out := c.must("kv", "get", "", "--prefix", "--keys-only"); strings.Contains(out, "quiet") {
		t.Errorf("keys that were deleted: %q", out)
	}
}
