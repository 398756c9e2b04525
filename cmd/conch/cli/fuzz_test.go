package cli

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/conch-lock/conch/sdk"
)

// FuzzTxn: any text is a transaction or refused with its line; it is never
// taken for more than it says.
func FuzzTxn(f *testing.F) {
	f.Add("if lock backup = 7\nput backup/last \"now \\\"x\\\"\"\nelse\nget prefix a\ndel k\n")
	f.Add("# comment\n\n  put k v 9\nif value k < \"\\xff\"")
	f.Add("if version k = 99999999999999999999")
	f.Add("put \"")
	f.Fuzz(func(t *testing.T, text string) {
		txn, err := parseTxn(strings.NewReader(text))
		if err != nil {
			var u *usageError
			if !errors.As(err, &u) && len(text) < maxTxnText {
				t.Fatalf("%q: %v is no error of usage", text, err)
			}
			return
		}
		lines := 0
		for line := range strings.Lines(text) {
			if s := strings.TrimSpace(line); s != "" && !strings.HasPrefix(s, "#") {
				lines++
			}
		}
		if n := len(txn.If) + len(txn.Then) + len(txn.Else); n == 0 || n > lines {
			t.Fatalf("%q: %d conditions and operations of %d lines", text, n, lines)
		}
		// Quoting is exact: what was split and quoted again splits the same.
		for line := range strings.Lines(text) {
			words, err := splitWords(line)
			if err != nil {
				t.Fatalf("%q passed before: %v", line, err)
			}
			var quoted []string
			for _, w := range words {
				quoted = append(quoted, strconv.Quote(w))
			}
			again, err := splitWords(strings.Join(quoted, " "))
			if err != nil || strings.Join(again, "\x00") != strings.Join(words, "\x00") {
				t.Fatalf("%q: %q, and quoted %q, %v", line, words, again, err)
			}
		}
	})
}

// FuzzArguments: names, labels and numbers of the command line that pass are
// within the bounds of the contract.
func FuzzArguments(f *testing.F) {
	f.Add("a", "k=v", "7", "2s")
	f.Add("", "=", "0", "")
	f.Add("\x00", strings.Repeat("k", 65)+"=v", "18446744073709551615", "1ns")
	f.Fuzz(func(t *testing.T, name, label, number, command string) {
		if checkName("NAME", name) == nil && (name == "" || len(name) > maxName || !utf8.ValidString(name)) {
			t.Fatalf("the name %q passed", name)
		}
		into := map[string]string{}
		if parseLabels(into, []string{label, label}) == nil {
			for k, v := range into {
				if k == "" || len(k) > maxLabelKey || len(v) > maxLabelValue || !utf8.ValidString(k+v) {
					t.Fatalf("the label %q=%q passed", k, v)
				}
			}
		}
		if n, err := parseNumber("N", number); err == nil && (n == 0 || n > 1<<63-1 || sdk.Token(n) == 0) {
			t.Fatalf("%q is %d", number, n)
		}
		if s := fit(command); len(s) > maxLabelValue || !utf8.ValidString(s) {
			t.Fatalf("%q became %q", command, s)
		}
		for k, v := range ownLabels([]string{command, name}) {
			if len(k) > maxLabelKey || len(v) > maxLabelValue || !utf8.ValidString(v) {
				t.Fatalf("own label %q=%q", k, v)
			}
		}
	})
}
