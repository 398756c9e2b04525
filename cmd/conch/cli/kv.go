package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/sdk"
)

// maxValue bounds the value of a key, maxKey the key.
const maxValue, maxKey = 1 << 20, 4 << 10

// codeCondition is the code of a write whose condition did not hold.
const codeCondition sdk.Code = "CONDITION_FAILED"

func (a *App) kvCommand() *cobra.Command {
	return group("kv", "Read and write keys", "  conch kv put config/limit 12\n  conch kv get config/limit",
		a.kvGet(), a.kvPut(), a.kvDel(), a.kvTxn(), a.kvWatch(), a.kvHistory(), a.kvCompact())
}

// keyRange is one key, or all that begin with it.
func keyRange(key string, prefix bool) (sdk.KeyRange, error) {
	if len(key) > maxKey {
		return sdk.KeyRange{}, usage("KEY %s: it has %d bytes: 1 to %d are allowed", quote(key), len(key), maxKey)
	}
	if prefix {
		return sdk.Prefix(key), nil
	}
	if key == "" {
		return sdk.KeyRange{}, usage(`KEY "": a key is not empty; --prefix with "" means all keys`)
	}
	return sdk.One(key), nil
}

func (a *App) kvPut() *cobra.Command {
	var session, ifMod uint64
	var ifAbsent bool
	c := &cobra.Command{
		Use: "put KEY VALUE|-", Short: "Write a key; - reads the value from standard input",
		Long: `Put writes KEY. With --if-absent or --if-mod-revision it does so only while that holds,
and exits with 1 when it does not.`,
		Example: "  conch kv put config/limit 12\n  conch kv put motd - < motd.txt\n  conch kv put config/limit 13 --if-mod-revision 7",
		Args:    exactly("KEY", "VALUE"),
		RunE: a.action(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			if _, err := keyRange(args[0], false); err != nil {
				return err
			}
			value, err := a.value(args[1])
			if err != nil {
				return err
			}
			if ifAbsent && cmd.Flags().Changed("if-mod-revision") {
				return usage("--if-absent and --if-mod-revision %d: only one of them is allowed", ifMod)
			}
			var opts []sdk.PutOption
			if session != 0 {
				opts = append(opts, sdk.OwnedBy(sdk.SessionID(session)))
			}
			t := sdk.Txn{Then: []sdk.Op{sdk.PutOp(args[0], value, opts...)}}
			switch {
			case ifAbsent:
				t.If = []sdk.Compare{sdk.VersionIs(args[0], sdk.Equal, 0)}
			case cmd.Flags().Changed("if-mod-revision"):
				t.If = []sdk.Compare{sdk.ModRevisionIs(args[0], sdk.Equal, ifMod)}
			}
			return a.write(ctx, "put", args[0], t, func(r sdk.TxnResult) error {
				return a.results().Done(fmt.Sprintf("revision %d", r.Revision), map[string]any{"key": args[0], "revision": r.Revision})
			})
		}),
	}
	f := c.Flags()
	f.Uint64Var(&session, "session", 0, "delete the key when session `ID` ends")
	f.Uint64Var(&ifMod, "if-mod-revision", 0, "only if revision `R` changed it last")
	f.BoolVar(&ifAbsent, "if-absent", false, "only if there is no such key")
	setEnv(f, "session", "CONCH_KEY_SESSION")
	return c
}

// value reads an argument or, for "-", standard input.
func (a *App) value(arg string) ([]byte, error) {
	value := []byte(arg)
	if arg == "-" {
		var err error
		if value, err = io.ReadAll(io.LimitReader(a.In, maxValue+1)); err != nil {
			return nil, fmt.Errorf("read the value from standard input: %w", err)
		}
	}
	if len(value) > maxValue {
		return nil, usage("VALUE: it has more than %d bytes, which is the most that is allowed", maxValue)
	}
	return value, nil
}

// named says in the error of a transaction what it was for.
func named(err error, op, key string) error {
	var refused *sdk.Error
	if !errors.As(err, &refused) || refused != err {
		return err
	}
	e := *refused
	e.Op, e.Name = op, key
	return &e
}

// write runs a transaction on one key. When its conditions do not hold, the
// error says what the key is now.
func (a *App) write(ctx context.Context, op, key string, t sdk.Txn, done func(sdk.TxnResult) error) error {
	if len(t.If) > 0 { // what there is instead; the key may be empty where all are meant
		t.Else = []sdk.Op{sdk.RangeOp(sdk.One(key))}
	}
	return a.ask(ctx, func(ctx context.Context, c cell) error {
		res, err := c.Txn(ctx, t)
		if err != nil {
			return named(err, op, key)
		}
		if res.Succeeded {
			return done(res)
		}
		now := "there is no such key"
		if len(res.Results) == 1 && res.Results[0].Range != nil && len(res.Results[0].Range.KVs) == 1 {
			kv := res.Results[0].Range.KVs[0]
			now = fmt.Sprintf("revision %d changed it last, to version %d", kv.ModRevision, kv.Version)
		}
		return &sdk.Error{Op: op, Name: key, Code: codeCondition, Definite: true, Message: "the condition does not hold, nothing was written: " + now}
	})
}

func (a *App) kvDel() *cobra.Command {
	var prefix bool
	var ifValue string
	var ifMod uint64
	c := &cobra.Command{
		Use: "del KEY", Short: "Delete a key, or all keys that begin with it",
		Example: "  conch kv del config/limit\n  conch kv del config/ --prefix\n  conch kv del owner --if-value a",
		Args:    exactly("KEY"),
		RunE: a.action(func(ctx context.Context, cmd *cobra.Command, args []string) error {
			keys, err := keyRange(args[0], prefix)
			if err != nil {
				return err
			}
			byValue, byMod := cmd.Flags().Changed("if-value"), cmd.Flags().Changed("if-mod-revision")
			if prefix && (byValue || byMod) {
				return usage("--prefix: --if-value and --if-mod-revision are about one key and not allowed with it")
			}
			t := sdk.Txn{Then: []sdk.Op{sdk.DeleteOp(keys, false)}}
			if byValue {
				t.If = append(t.If, sdk.ValueIs(args[0], sdk.Equal, []byte(ifValue)))
			}
			if byMod {
				t.If = append(t.If, sdk.ModRevisionIs(args[0], sdk.Equal, ifMod))
			}
			return a.write(ctx, "delete", args[0], t, func(r sdk.TxnResult) error {
				deleted := uint64(0)
				if len(r.Results) == 1 && r.Results[0].Delete != nil {
					deleted = r.Results[0].Delete.Deleted
				}
				return a.results().Done("deleted "+strconv.FormatUint(deleted, 10), map[string]any{"deleted": deleted, "revision": r.Revision})
			})
		}),
	}
	f := c.Flags()
	f.BoolVar(&prefix, "prefix", false, "all keys that begin with KEY, up to 65,536 at once")
	f.StringVar(&ifValue, "if-value", "", "only if its value is `V`")
	f.Uint64Var(&ifMod, "if-mod-revision", 0, "only if revision `R` changed it last")
	return c
}

func (a *App) kvCompact() *cobra.Command {
	return &cobra.Command{
		Use: "compact [REVISION]", Short: "Forget the history of keys and locks up to a revision (default: now)",
		Long:    "Compact forgets what keys, locks and elections were up to REVISION. What they are now stays.",
		Example: "  conch kv compact 1000",
		Args:    between(0, "REVISION"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			revision := uint64(0)
			if len(args) == 1 {
				var err error
				if revision, err = parseNumber("REVISION", args[0]); err != nil {
					return err
				}
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				upTo := revision
				if upTo == 0 {
					var err error
					if upTo, err = newest(ctx, c); err != nil {
						return err
					}
				}
				err := c.Compact(ctx, upTo)
				var refused *sdk.Error
				if revision == 0 && errors.Is(err, sdk.ErrCompacted) && errors.As(err, &refused) && refused.Revision >= upTo {
					err = nil // nothing has happened since the last time
				}
				if err != nil {
					return err
				}
				return a.results().Done(fmt.Sprintf("compacted up to revision %d", upTo), map[string]any{"compacted_revision": upTo})
			})
		}),
	}
}
