package coordinator

import (
	"bytes"
	"errors"
	"testing"

	"github.com/conch-lock/conch/sdk"
)

// TestCompareAndSwap holds the one-call forms of a transaction against a cell.
func TestCompareAndSwap(t *testing.T) {
	c := newCluster(t, 1, nil)
	client := dialSDK(t, []string{c.address(0)})
	s, err := client.NewSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, value := t.Context(), func(v string) []byte { return []byte(v) }
	swap := func(r sdk.Swap, err error) sdk.Swap {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	want := func(what string, r sdk.Swap, done bool, now string) {
		t.Helper()
		got := "none"
		if r.Now != nil {
			got = string(r.Now.Value)
		}
		if r.Done != done || got != now || r.Revision == 0 {
			t.Errorf("%s: %+v (now %s), want done %v and now %s", what, r, got, done, now)
		}
	}
	want("an empty value is not that of an absent key", swap(client.CompareAndSwap(ctx, "k", sdk.IfValue(nil), value("x"))), false, "none")
	want("delete of an absent key", swap(client.CompareAndDelete(ctx, "k", sdk.IfModRevision(7))), false, "none")
	first := swap(client.CompareAndSwap(ctx, "k", sdk.IfAbsent(), value("a"), sdk.OwnedBy(s.ID())))
	want("absent", first, true, "none")
	want("absent once more", swap(s.CompareAndSwap(ctx, "k", sdk.IfAbsent(), value("b"))), false, "a")
	want("another value", swap(client.CompareAndSwap(ctx, "k", sdk.IfValue(value("b")), value("c"))), false, "a")
	second := swap(s.CompareAndSwap(ctx, "k", sdk.IfModRevision(first.Revision), value("b"), sdk.KeepSession()))
	want("revision", second, true, "none")
	if kv, err := client.Get(ctx, "k"); err != nil || !bytes.Equal(kv.Value, value("b")) || kv.Session != s.ID() || kv.ModRevision != second.Revision {
		t.Errorf("the key is %+v, %v", kv, err)
	}
	want("delete at an old revision", swap(client.CompareAndDelete(ctx, "k", sdk.IfModRevision(first.Revision))), false, "b")
	want("delete of another version", swap(s.CompareAndDelete(ctx, "k", sdk.IfVersion(1))), false, "b")
	want("delete", swap(s.CompareAndDelete(ctx, "k", sdk.IfVersion(2))), true, "none")
	if _, err := client.Get(ctx, "k"); !errors.Is(err, sdk.ErrNotFound) {
		t.Errorf("after the delete: %v", err)
	}
	if _, err := client.CompareAndSwap(ctx, "k", sdk.IfAbsent(), make([]byte, 1<<20+1)); !errors.Is(err, sdk.ErrInvalid) {
		t.Errorf("a value of more than 1 MiB: %v", err)
	}
}
