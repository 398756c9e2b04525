package shell

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// TestQuietWatch: a watch that begins in the past and has nothing to tell says
// that everything was delivered, although nothing happens any more.
func TestQuietWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCell(settings{Seed: 1})
		defer w.close()
		if !w.begin() {
			t.Fatal("the cell does not begin")
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var last uint64
		for range 5 {
			done, err := w.admin.sdk.Put(ctx, "somewhere else", nil)
			if err != nil {
				t.Fatal(err)
			}
			last = done.Revision
		}
		for batch, err := range w.admin.sdk.Watch(ctx, sdk.One("here"), sdk.FromRevision(2), sdk.WithProgress()) {
			if err != nil {
				t.Fatalf("it was never said that everything up to revision %d was delivered: %v", last, err)
			}
			if batch.Revision == last {
				return
			}
		}
	})
}
