package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/conch-lock/conch/sdk"
)

func (a *App) kvGet() *cobra.Command {
	var prefix, serializable, keysOnly, countOnly, descending bool
	var revision uint64
	var limit int
	var order string
	c := &cobra.Command{
		Use: "get KEY", Short: "Print the value of a key, or a list of keys",
		Long: `Get prints the bare value of KEY. Exit status 1 when there is no such key. With
--prefix it lists. The answer is the newest there is when the request was made, unless
--serializable allows the node that is asked to answer from what it has.`,
		Example: "  conch kv get config/limit\n  conch kv get config/ --prefix\n  conch kv get '' --prefix --keys-only --limit 100",
		Args:    exactly("KEY"),
		RunE: a.action(func(ctx context.Context, _ *cobra.Command, args []string) error {
			keys, err := keyRange(args[0], prefix)
			if err != nil {
				return err
			}
			if limit < 0 {
				return usage("--limit %d: 0 or more is allowed", limit)
			}
			by, ok := map[string]sdk.Order{
				"key": sdk.ByKey, "version": sdk.ByVersion, "create": sdk.ByCreateRevision, "mod": sdk.ByModRevision, "value": sdk.ByValue,
			}[order]
			if !ok {
				return usage("--order %s: key, version, create, mod and value are allowed", quote(order))
			}
			q := listing{keys: keys, revision: revision, limit: limit, by: by, descending: descending, keysOnly: keysOnly}
			if serializable {
				q.opts = append(q.opts, sdk.Serializable())
			}
			if keysOnly {
				q.opts = append(q.opts, sdk.KeysOnly())
			}
			if countOnly {
				q.opts = append(q.opts, sdk.CountOnly())
			}
			return a.ask(ctx, func(ctx context.Context, c cell) error {
				res, err := q.all(ctx, c)
				if err != nil {
					return err
				}
				if countOnly {
					return a.results().KeyCount(res)
				}
				if prefix {
					return a.results().Keys(res, keysOnly)
				}
				if len(res.KVs) == 0 {
					return &sdk.Error{Op: "get", Name: args[0], Code: sdk.CodeNotFound, Message: "no such key", Definite: true}
				}
				if keysOnly {
					return a.results().Keys(res, true)
				}
				return a.results().Value(res.KVs[0])
			})
		}),
	}
	f := c.Flags()
	f.BoolVar(&prefix, "prefix", false, "all keys that begin with KEY")
	f.Uint64Var(&revision, "revision", 0, "as it was at revision `R`")
	f.BoolVar(&serializable, "serializable", false, "allow an answer that may be stale; cheaper")
	f.BoolVar(&keysOnly, "keys-only", false, "without values")
	f.BoolVar(&countOnly, "count-only", false, "only how many there are")
	f.IntVar(&limit, "limit", 0, "at most `N` keys")
	f.StringVar(&order, "order", "key", "sort by `WHAT`: key, version, create, mod or value")
	f.BoolVar(&descending, "descending", false, "sort downwards")
	return c
}

// listing is what kv get was asked for.
type listing struct {
	keys       sdk.KeyRange
	revision   uint64 // 0: now
	limit      int    // 0: none
	by         sdk.Order
	descending bool
	keysOnly   bool
	opts       []sdk.RangeOption // what else
}

// all ranges over keys. One answer of a cell has a bound; where that cut it
// short the rest is read as of the same revision, so that a list is as long as
// it was asked for.
func (q *listing) all(ctx context.Context, c cell) (sdk.RangeResult, error) {
	sorted := q.by != sdk.ByKey || q.descending
	if sorted && (q.limit > 0 || q.keysOnly) { // the cell knows which are first, and the values
		return c.Range(ctx, q.keys, append(q.opts, sdk.AtRevision(q.revision), sdk.Limit(q.limit), sdk.SortBy(q.by, q.descending))...)
	}
	keys, revision := q.keys, q.revision
	var all sdk.RangeResult
	for {
		page, err := c.Range(ctx, keys, append(slices.Clone(q.opts), sdk.AtRevision(revision), sdk.Limit(max(0, q.limit-len(all.KVs))))...)
		if err != nil {
			return sdk.RangeResult{}, err
		}
		if all.Revision == 0 {
			all.Count, all.Revision = page.Count, page.Revision
		}
		all.KVs, all.More = append(all.KVs, page.KVs...), page.More
		if !page.More || len(page.KVs) == 0 || keys.End == "" || q.limit > 0 && len(all.KVs) >= q.limit {
			break
		}
		next := page.KVs[len(page.KVs)-1].Key + "\x00"
		if next <= keys.Key {
			return sdk.RangeResult{}, fmt.Errorf("the answer for keys from %s on ends before them, with %s", quote(keys.Key), quote(next))
		}
		keys.Key = next
		if revision == 0 {
			revision = page.Revision
		}
	}
	if sorted {
		sortKeys(all.KVs, q.by, q.descending)
	}
	return all, nil
}

// sortKeys sorts as the cell does: what an order takes for equal stays in the
// order of the keys.
func sortKeys(list []sdk.KeyValue, by sdk.Order, descending bool) {
	slices.SortStableFunc(list, func(a, b sdk.KeyValue) int {
		order := 0
		switch by {
		case sdk.ByVersion:
			order = cmp.Compare(a.Version, b.Version)
		case sdk.ByCreateRevision:
			order = cmp.Compare(a.CreateRevision, b.CreateRevision)
		case sdk.ByModRevision:
			order = cmp.Compare(a.ModRevision, b.ModRevision)
		case sdk.ByValue:
			order = bytes.Compare(a.Value, b.Value)
		default:
			order = cmp.Compare(a.Key, b.Key)
		}
		if descending {
			return -order
		}
		return order
	})
}
