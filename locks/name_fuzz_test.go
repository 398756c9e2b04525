package locks

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/conch-lock/conch/sessions"
)

// FuzzName: a name that passes is what is promised of names, whoever checks it:
// of locks, elections, and the labels beside them.
func FuzzName(f *testing.F) {
	for _, s := range []string{"", "a", "a/b c", "ä€", "\x00", "a\nb", "\xff", "\u0085"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if err := Name(name).Check(); err == nil {
			if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
				t.Fatalf("%q passed", name)
			}
			for _, r := range name {
				if unicode.IsControl(r) {
					t.Fatalf("%q passed", name)
				}
			}
		} else if len(err.Error()) > 8*MaxName {
			t.Fatalf("a message of %d bytes", len(err.Error()))
		}
		labels := sessions.LabelsOf(map[string]string{name: value, "other": name})
		if labels.Check() == nil && (!utf8.ValidString(name+value) || len(name) > 64 || len(value) > 256) {
			t.Fatalf("the labels %q passed", labels)
		}
		item := Item{Name: Name(name), Mode: Mode(len(value)), Permits: uint32(len(name)), Capacity: uint32(len(value))}
		if item.Check() == nil && (item.Mode > Permits || item.Mode == Permits && item.Permits > item.Capacity) {
			t.Fatalf("%+v passed", item)
		}
	})
}
