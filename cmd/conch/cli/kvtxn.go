package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/sdk"
)

// maxTxnText bounds what txn reads.
const maxTxnText = 4 << 20

func (a *App) kvTxn() *cobra.Command {
	return &cobra.Command{
		Use: "txn", Short: "Run a transaction from standard input",
		Long: `Txn reads one condition or operation a line, and runs them in one revision:

  if value KEY = TEXT       also !=, < and >
  if version KEY = N        0: there is no such key
  if create KEY = N         the revision that created it
  if mod KEY = N            the revision that changed it last
  if session KEY = ID       the session that owns it, 0: nobody
  if lock NAME = TOKEN      TOKEN is a current grant of the lock, or leads the election
  put KEY VALUE [ID]        with ID the key is deleted when session ID ends
  get [prefix] KEY          with the word prefix all keys that begin with KEY
  del [prefix] KEY
  else                      what follows is done when a condition does not hold

Words with spaces are in double quotes, with the escapes of Go. Empty lines and lines
that begin with # are skipped. At most 128 conditions and operations. All is done in one
revision or nothing is. Exit status 1 when a condition did not hold.`,
		Example: `  printf '%s\n' "if lock backup = $CONCH_TOKEN" "put backup/last \"$(date)\"" | conch kv txn`,
		Args:    exactly(),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			t, err := parseTxn(a.In)
			if err != nil {
				return err
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				res, err := c.Txn(ctx, t)
				if err != nil {
					return err
				}
				if err := a.results().Txn(res); err != nil {
					return err
				}
				if !res.Succeeded {
					return exitWith(exitFailed, nil)
				}
				return nil
			})
		}),
	}
}

// parseTxn reads the language that the help of txn describes.
func parseTxn(in io.Reader) (sdk.Txn, error) {
	var t sdk.Txn
	otherwise := false
	text, err := io.ReadAll(io.LimitReader(in, maxTxnText+1))
	if err != nil {
		return t, fmt.Errorf("read the transaction from standard input: %w", err)
	}
	if len(text) > maxTxnText { // a part of it must not be run for the whole
		return t, usage("standard input has more than %d bytes, which is the most that is allowed", maxTxnText)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxTxnText+1)
	for n := 1; lines.Scan(); n++ {
		words, err := splitWords(lines.Text())
		if err != nil {
			return t, usage("line %d of standard input: %v", n, err)
		}
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "if":
			if otherwise || len(t.Then) > 0 {
				return t, usage("line %d of standard input: conditions come before operations", n)
			}
			c, err := parseCompare(words[1:])
			if err != nil {
				return t, usage("line %d of standard input: %v", n, err)
			}
			t.If = append(t.If, c)
		case "else":
			if otherwise || len(words) > 1 {
				return t, usage("line %d of standard input: one line with else alone is allowed", n)
			}
			otherwise = true
		default:
			op, err := parseOp(words)
			if err != nil {
				return t, usage("line %d of standard input: %v", n, err)
			}
			if otherwise {
				t.Else = append(t.Else, op)
			} else {
				t.Then = append(t.Then, op)
			}
		}
	}
	if len(t.If)+len(t.Then)+len(t.Else) == 0 {
		return t, usage("standard input has no transaction (see conch kv txn --help)")
	}
	return t, nil
}

func parseCompare(words []string) (c sdk.Compare, err error) {
	if len(words) != 4 {
		return c, fmt.Errorf("a condition is: if TARGET KEY = VALUE")
	}
	target, key, value := words[0], words[1], words[3]
	is, ok := map[string]sdk.Is{"=": sdk.Equal, "!=": sdk.NotEqual, "<": sdk.Less, ">": sdk.Greater}[words[2]]
	if !ok {
		return c, fmt.Errorf("%q: =, !=, < and > are allowed", words[2])
	}
	if target == "value" {
		return sdk.ValueIs(key, is, []byte(value)), nil
	}
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return c, fmt.Errorf("%s %q: a number is allowed", target, value)
	}
	switch target {
	case "version":
		return sdk.VersionIs(key, is, n), nil
	case "create":
		return sdk.CreateRevisionIs(key, is, n), nil
	case "mod":
		return sdk.ModRevisionIs(key, is, n), nil
	case "session":
		return sdk.SessionIs(key, is, sdk.SessionID(n)), nil
	case "lock":
		if is != sdk.Equal {
			return c, fmt.Errorf("lock: only = is allowed")
		}
		return sdk.LockHeld(key, sdk.Token(n)), nil
	}
	return c, fmt.Errorf("%q: value, version, create, mod, session and lock are allowed", target)
}

func parseOp(words []string) (op sdk.Op, err error) {
	verb, rest := words[0], words[1:]
	keys := func() sdk.KeyRange {
		if len(rest) == 2 {
			return sdk.Prefix(rest[1])
		}
		return sdk.One(rest[0])
	}
	many := len(rest) == 2 && rest[0] == "prefix"
	switch {
	case verb == "put" && len(rest) == 2:
		return sdk.PutOp(rest[0], []byte(rest[1])), nil
	case verb == "put" && len(rest) == 3:
		id, err := strconv.ParseUint(rest[2], 10, 63)
		if err != nil || id == 0 {
			return op, fmt.Errorf("put: session %q: a number from 1 on is allowed", rest[2])
		}
		return sdk.PutOp(rest[0], []byte(rest[1]), sdk.OwnedBy(sdk.SessionID(id))), nil
	case verb == "get" && (len(rest) == 1 || many):
		return sdk.RangeOp(keys()), nil
	case verb == "del" && (len(rest) == 1 || many):
		return sdk.DeleteOp(keys(), false), nil
	}
	return op, fmt.Errorf("%q: put KEY VALUE [ID], get [prefix] KEY, del [prefix] KEY, if and else are allowed", strings.Join(words, " "))
}

// splitWords splits at white space; a word may be in double quotes.
func splitWords(line string) (words []string, err error) {
	for {
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" || len(words) == 0 && line[0] == '#' {
			return words, nil
		}
		word := line
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%s: the quotes are not closed, or an escape is wrong", line)
			}
			line = line[len(quoted):]
			if word, err = strconv.Unquote(quoted); err != nil {
				return nil, fmt.Errorf("%s: %w", quoted, err)
			}
		} else {
			if end := strings.IndexFunc(line, unicode.IsSpace); end >= 0 {
				word = line[:end]
			}
			line = line[len(word):]
		}
		words = append(words, word)
	}
}
