//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// makesFolder names the environment variable that has this test be a run that is
// killed.
const makesFolder = "CONCH_TEST_FOLDER"

// TestFolders: folders of runs that were killed are removed, and no others: not
// those of runs that live, nor of those that found something, killed or not.
func TestFolders(t *testing.T) {
	if parent := os.Getenv(makesFolder); parent != "" {
		f, err := newFolder(parent)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(f.path)
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
		return
	}
	parent := t.TempDir()
	other := exec.Command(os.Args[0], "-test.run", "^TestFolders$")
	other.Env = append(os.Environ(), makesFolder+"="+parent)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var killed string
	if _, err := fmt.Fscanln(out, &killed); err != nil {
		t.Fatal(err)
	}
	folders := map[string]*folder{}
	for _, what := range []string{"living", "kept", "ended", "found something"} {
		if folders[what], err = newFolder(parent); err != nil {
			t.Fatal(err)
		}
	}
	for what, f := range folders {
		if err := os.WriteFile(filepath.Join(f.path, "n1.log"), []byte(what), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := folders["kept"].end(true); err != nil {
		t.Fatal(err)
	}
	if err := folders["ended"].end(false); err != nil {
		t.Fatal(err)
	}
	h := newHistory(newStore(true), nil)
	h.kept = folders["found something"].keep
	h.violation("two holders")
	folders["found something"].held.Close() // as when it is killed
	unknown := filepath.Join(parent, "conch-procs-of-somebody")
	if err := os.Mkdir(unknown, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := sweepFolders(parent); len(got) > 0 {
		t.Errorf("while all live: %q", got)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // it was killed
	if got, want := sweepFolders(parent), []string{"folder " + killed}; !slices.Equal(got, want) {
		t.Errorf("after one was killed: %q: want %q", got, want)
	}
	left, err := filepath.Glob(filepath.Join(parent, "*"))
	want := []string{folders["living"].path, folders["kept"].path, folders["found something"].path, unknown}
	slices.Sort(want)
	if err != nil || !slices.Equal(left, want) {
		t.Errorf("left are %q: want %q (%v)", left, want, err)
	}
	if err := folders["living"].end(false); err != nil {
		t.Fatal(err)
	}
}

// TestNoFolder: a run that cannot begin leaves no folder behind.
func TestNoFolder(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("PATH", "") // root may mount a disk, and has nothing to make one with
	cfg := config{nodes: 3, seed: 1, out: io.Discard, loopback: true, power: true, binary: filepath.Join(dir, "conch")}
	if _, err := run(context.Background(), cfg); err == nil {
		t.Fatal("it ran")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
}
