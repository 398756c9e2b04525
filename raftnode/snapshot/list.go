package snapshot

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conch-lock/conch/raftnode/disk"
)

// List returns the snapshots in dir, newest first: by index, then by term.
// Temporary and foreign files are left out. Nothing is checked but names.
func List(fs disk.FS, dir string) ([]Info, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	var infos []Info
	for _, name := range names {
		if index, term, ok := parseName(name, suffix); ok {
			infos = append(infos, Info{Name: name, Index: index, Term: term})
		}
	}
	slices.Reverse(infos) // names sort as numbers do
	return infos, nil
}

// Retain removes all snapshots but the newest keep, which is at least 1, and
// temporary files that are no newer than the newest snapshot: a writer at work
// is ahead of it. It is durable on return. Call it only when the log is marked
// at the newest.
func Retain(fs disk.FS, dir string, keep int) error {
	if keep < 1 {
		return fmt.Errorf("snapshot: retain %d, at least 1 has to stay; nothing was removed", keep)
	}
	infos, err := List(fs, dir)
	if err != nil || len(infos) == 0 {
		return err
	}
	var old []string
	for _, info := range infos[min(keep, len(infos)):] {
		old = append(old, info.Name)
	}
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	for _, name := range names {
		if index, _, ok := parseName(name, tempSuffix); ok && index <= infos[0].Index {
			old = append(old, name)
		}
	}
	return remove(fs, dir, old)
}

// Clean removes all temporary files: what a crash left. Call it at the start,
// before the first Create.
func Clean(fs disk.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return remove(fs, dir, slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, tempSuffix) }))
}

// remove removes files of dir, durably.
func remove(fs disk.FS, dir string, names []string) error {
	for _, name := range names {
		if err := fs.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	if len(names) == 0 {
		return nil
	}
	if err := fs.SyncDir(dir); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}
