//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// deadPid is the number of a process that is gone.
func deadPid(t *testing.T) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// TestOrphaned: what belongs to a process that is gone is known by its name, and
// nothing else is taken for it.
func TestOrphaned(t *testing.T) {
	dead, alive := deadPid(t), os.Getpid()
	for name, want := range map[string]bool{
		fmt.Sprintf("cpb_%d", dead): true, fmt.Sprintf("cpb_%d", alive): false,
		fmt.Sprintf("cpp_%d-0", dead): true, fmt.Sprintf("cpp_%d-0", alive): false,
		fmt.Sprintf("cpn_%d-2", dead): true, fmt.Sprintf("cpn_%d-2", alive): false,
		fmt.Sprintf("conch-chaos-%d-1", dead): true, fmt.Sprintf("conch-chaos-%d-1", alive): false,
		"cpb_": false, "eth0": false, "lo": false, "cpb_0": false, fmt.Sprintf("cpb%d", dead): false, fmt.Sprintf("xcpb_%d", dead): false,
	} {
		if got := orphaned(name); got != want {
			t.Errorf("%s: %v: want %v", name, got, want)
		}
	}
}

// TestOrphanedDisks: a disk is one of a run that is gone when the file beside it
// says so.
func TestOrphanedDisks(t *testing.T) {
	root := t.TempDir()
	folder := func(name string, pid int) string {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if pid > 0 {
			if err := os.WriteFile(filepath.Join(dir, ownerFile), fmt.Append(nil, pid), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	dead, alive, other := folder("with blank", 0), folder("alive", os.Getpid()), folder("other", 0)
	if err := os.WriteFile(filepath.Join(dead, ownerFile), fmt.Append(nil, deadPid(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	var mounts strings.Builder
	for _, dir := range []string{dead, alive, other} {
		fmt.Fprintf(&mounts, "/dev/loop3 %s/n1.disk ext4 rw 0 0\n", strings.ReplaceAll(dir, " ", `\040`))
	}
	fmt.Fprintf(&mounts, "/dev/sda1 %s/n2.disk ext4 rw 0 0\n/dev/loop4 %s/data ext4 rw 0 0\n", strings.ReplaceAll(dead, " ", `\040`), strings.ReplaceAll(dead, " ", `\040`))
	if got, want := orphanedDisks(mounts.String()), []string{filepath.Join(dead, "n1.disk")}; !slices.Equal(got, want) {
		t.Errorf("%q: want %q", got, want)
	}
}
