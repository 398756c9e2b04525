package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conch-lock/conch/chaos/group"
	"github.com/conch-lock/conch/internal/planted"
)

func TestMain(m *testing.M) {
	group.Keep()
	os.Exit(m.Run())
}

// TestHandful switches on some bugs that the simulation finds at once.
func TestHandful(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the simulation anew")
	}
	t.Chdir("../..")
	var out bytes.Buffer
	r := &runner{bin: t.TempDir(), seeds: 20, alone: true, out: &out, layers: map[string]*layer{}}
	results, err := r.all(t.Context(), []planted.Bug{
		planted.LogNotSynced, planted.ExpiresEarly, planted.TokensAgain, planted.SharedBesideExclusive, planted.TermNotCounted,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	t.Logf("\n%s", out.Bytes())
	for _, res := range results {
		if res.simulation == nil {
			t.Errorf("%d seeds do not find %s: %s", r.seeds, res.bug, res.bug.Breaks())
		}
	}
}

// TestHowOf: what failed is read from what a layer prints.
func TestHowOf(t *testing.T) {
	for _, c := range []struct{ out, want string }{
		{"VIOLATION: seed 12, at 3s: two leaders\nreplay: …\n", "seed 12"},
		{"=== RUN   TestA\n    a_test.go:3: no\n    --- FAIL: TestA/b (0.00s)\n--- FAIL: TestA (0.00s)\n", "TestA/b"},
		{"--- FAIL: TestCell (2.00s)\n    --- FAIL: TestCell/seed (0.00s)\n        --- FAIL: TestCell/seed/7 (1.00s)\n        --- FAIL: TestCell/seed/8 (1.00s)\n", "TestCell/seed/7"},
		{"VIOLATION: seed 58: bit flipped of cell/log/2.wal: LOST\n    again: …\n", "seed 58"},
		{"panic: x\n\ngoroutine 7 [running]:\nmain.f()\n\nm/p.TestB(0xc0)\n", "TestB"},
		{"fatal error: all goroutines are asleep\n", "panic"},
		{"ok\n", ""},
	} {
		if got := howOf([]byte(c.out)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.out, got, c.want)
		}
	}
}

// TestPlaces: every bug stands somewhere, and the packages that lean on that one
// are found, the nearest first.
func TestPlaces(t *testing.T) {
	t.Chdir("../..")
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	at, err := places(all)
	if err != nil {
		t.Fatal(err)
	}
	if p := at[planted.ExpiresEarly]; p.path() != "sessions" {
		t.Errorf("%s stands in %s", planted.ExpiresEarly, p.path())
	}
	var names []string
	for _, p := range leaning(all, at[planted.ExpiresEarly]) {
		names = append(names, p.path())
	}
	for b, want := range map[planted.Bug]string{
		planted.FrameUnchecked: "damage", planted.SkippedAtLag: "shell", planted.LateGrantTaken: "shell", planted.FenceOpen: "",
	} {
		if name, _ := (&runner{}).wider(at[b]); name != want {
			t.Errorf("%s meets %q beside the simulation, want %q", b, name, want)
		}
	}
	if i, j := slices.Index(names, "locks"), slices.Index(names, "coordinator"); i < 0 || j < i {
		t.Errorf("on sessions lean %v", names)
	}
}

// TestWrite: the table replaces the one before it and nothing else.
func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	before, after := "# Title\n\n"+begin+"\n", end+"\nMore.\n"
	if err := os.WriteFile(file, []byte(before+"\nold\n\n"+after), 0o644); err != nil {
		t.Fatal(err)
	}
	results := []*result{{bug: planted.LogNotSynced, simulation: &finding{layer: "simulation", how: "seed 3"}}}
	for range 2 {
		if err := write(file, table(results)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); got != before+"\n"+table(results)+"\n"+after || !strings.Contains(got, "| log-not-synced | ") {
		t.Errorf("got\n%s", got)
	}
	if err := os.WriteFile(file, []byte("no lines\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if write(file, "") == nil {
		t.Error("a file without the lines was written")
	}
}
