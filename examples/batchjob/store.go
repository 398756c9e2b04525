package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// store is the folder of the batch.
type store struct{ dir string }

func (s store) inbox(name string) string { return filepath.Join(s.dir, "inbox", name) }
func (s store) done(name string) string  { return filepath.Join(s.dir, "done", name) }
func (s store) ledger() string           { return filepath.Join(s.dir, "ledger.csv") }

func (s store) create() error {
	return errors.Join(os.MkdirAll(s.inbox(""), 0o755), os.MkdirAll(s.done(""), 0o755))
}

// waiting lists the files of the inbox in order.
func (s store) waiting() ([]string, error) { return list(s.inbox("")) }

// finish moves a booked file to done. Somebody may have done that already.
func (s store) finish(name string) error {
	err := os.Rename(s.inbox(name), s.done(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// list names the CSV files of a folder in order.
func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".csv") {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// replace writes a CSV file as a whole: a reader, also one after a crash, sees
// the old one or the new one.
func replace(file string, lines [][]string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", file, err)
		}
	}()
	err = errors.Join(csv.NewWriter(f).WriteAll(lines), f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
