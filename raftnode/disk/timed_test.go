package disk

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimed: every sync is told of, with the file and how long it took, and nothing
// else is.
func TestTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMem()
		mem.SetHook(func(op Op) error {
			if op.Kind == OpSync {
				time.Sleep(time.Second) // in a bubble: it costs nothing
			}
			return nil
		})
		var told []string
		fs := Timed{FS: mem, Synced: func(name string, took time.Duration) { told = append(told, name+" "+took.String()) }}
		for _, open := range []func(string) (File, error){fs.Create, fs.Open} {
			f, err := open("a")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("x"), 0); err != nil {
				t.Error(err)
			}
			if err := f.Sync(); err != nil {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := fs.Open("b"); err == nil {
			t.Error("a file that is not there was opened")
		}
		if want := []string{"a 1s", "a 1s"}; !slices.Equal(told, want) {
			t.Errorf("%q: want %q", told, want)
		}
	})
}
