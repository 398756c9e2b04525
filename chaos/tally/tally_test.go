package tally_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/conch-lock/conch/chaos/tally"
)

// TestTally: what two layers wrote is added up, and what happened in neither is
// named.
func TestTally(t *testing.T) {
	dir := t.TempDir()
	sum := tally.New()
	for name, one := range map[string]*tally.Tally{
		"a": {Faults: map[string]uint64{"kill": 2, "split": 0, "ring": 0}, Judged: map[string]uint64{"answers": 4, "beliefs": 0}, Counts: map[string]uint64{tally.Checked: 5}, Active: 1.5},
		"b": {Faults: map[string]uint64{"kill": 1, "ring": 4}, Vain: map[string]uint64{"split": 3}, Counts: map[string]uint64{tally.Checked: 7, tally.Ordered: 1}, Active: 2},
	} {
		file := filepath.Join(dir, name)
		if err := one.Write(file); err != nil {
			t.Fatal(err)
		}
		read, err := tally.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		sum.Add(read)
	}
	sum.Add(nil)
	if sum.Total() != 7 || sum.Faults["kill"] != 3 || sum.Vain["split"] != 3 || sum.Counts[tally.Checked] != 12 || sum.Counts[tally.Ordered] != 1 || sum.Active != 3.5 {
		t.Errorf("%+v", sum)
	}
	if never := sum.Never(); !slices.Equal(never, []string{"split"}) || !slices.Equal(sum.Unjudged(), []string{"beliefs"}) || sum.Kinds() != 2 {
		t.Errorf("never: %q; faults of %d kinds", never, sum.Kinds())
	}
	if _, err := tally.Read(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there was read")
	}
}

// TestWritable: what cannot be written at the end is known before, and looking
// leaves nothing behind and takes nothing away.
func TestWritable(t *testing.T) {
	dir := t.TempDir()
	for what, file := range map[string]string{"a folder": dir, "no folder for it": filepath.Join(dir, "none", "x")} {
		if err := tally.Writable(file); err == nil {
			t.Errorf("%s is writable", what)
		}
	}
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("of the run before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{there, filepath.Join(dir, "new"), os.DevNull} {
		if err := tally.Writable(file); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(there); string(b) != "of the run before" {
		t.Errorf("it has become %q, %v", b, err)
	}
	if left, err := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("it left %v, %v", left, err)
	}
}
