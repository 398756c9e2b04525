package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// The demonstration must be able to fail.
func TestVerificationCanFail(t *testing.T) {
	for _, c := range []struct {
		what   string
		tokens []sdk.Token
		files  int
		want   string
	}{
		{"right", []sdk.Token{1, 2, 5}, 3, ""},
		{"a file is missing", []sdk.Token{1, 2}, 3, "want 3"},
		{"the same token twice", []sdk.Token{1, 2, 2}, 3, "after token 2"},
		{"an older token later", []sdk.Token{1, 5, 2}, 3, "token 2 was written after token 5"},
	} {
		wants(t, c.what, rising(c.tokens, c.files), c.want)
	}
	tenures := func(tokens ...sdk.Token) (out []sdk.Tenure) {
		for _, token := range tokens {
			out = append(out, sdk.Tenure{Token: token})
		}
		return out
	}
	wants(t, "all recorded", recorded(tenures(1, 2, 3), []sdk.Token{1, 3}), "")
	wants(t, "one not recorded", recorded(tenures(1, 2, 3), []sdk.Token{1, 4}), "token 4")
	wants(t, "out of order", recorded(tenures(1, 3, 2), []sdk.Token{1}), "token 2 after token 3")
}

func wants(t *testing.T, what string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}

func TestTokensOfLedger(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger.csv")
	if err := os.WriteFile(file, []byte("token,7\nfile,a.csv,3,50\nfile,b.csv,7,50\ntotal,2026-11-01,Ada,2,30\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := tokensOf(file)
	if err != nil || !slices.Equal(got, []sdk.Token{3, 7}) {
		t.Errorf("got %v (%v)", got, err)
	}
}

// Without its programs, or when a node does not come up, it says so and leaves
// nothing behind.
func TestItSaysWhatIsMissing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := demo{conch: filepath.Join(temp, "nothing"), batchjob: "/bin/true", files: 6, runners: 1, out: io.Discard}
	wants(t, "no program", d.run(ctx), "there is no program")
	d.conch = "/bin/false"
	wants(t, "a server that ends", d.run(ctx), "ended before it was ready")
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
