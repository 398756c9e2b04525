package tally

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// What is counted, beside faults.
const (
	// Checked are operations of clients whose answers were held against what the
	// cell says it did, in its order.
	Checked = "operations checked against the order that the cell tells"
	// Ordered are operations for which an order was searched for, and found,
	// without trusting the cell's.
	Ordered = "operations put in order by porcupine"
	// PowerCuts are real file systems that lost what was not synced.
	PowerCuts = "power cuts of real file systems"
	// Crashes are nodes whose disks in memory lost what was not synced.
	Crashes = "power cuts in memory"
	// Injections are damages of files of a node.
	Injections = "damages of files"
	// Executions are inputs that fuzz targets were run with.
	Executions = "inputs of fuzz targets"
	// Seeds are runs in virtual time, each from a seed.
	Seeds = "seeds in virtual time"
)

// Tally is what one layer did.
type Tally struct {
	Faults map[string]uint64 // that took effect, by kind; 0: it might have happened and did not
	Vain   map[string]uint64 // that were tried and came to nothing, by kind
	Judged map[string]uint64 // cases of what checkers judge, and situations; 0: there was none
	Counts map[string]uint64 // by what is counted
	Active float64           // seconds of real time in which faults were brought
}

// New is one in which nothing has happened.
func New() *Tally {
	return &Tally{Faults: map[string]uint64{}, Vain: map[string]uint64{}, Judged: map[string]uint64{}, Counts: map[string]uint64{}}
}

// Add adds another one; nil adds nothing.
func (t *Tally) Add(o *Tally) {
	if o == nil {
		return
	}
	for _, pair := range [][2]map[string]uint64{{t.Faults, o.Faults}, {t.Vain, o.Vain}, {t.Judged, o.Judged}, {t.Counts, o.Counts}} {
		for k, n := range pair[1] {
			pair[0][k] += n
		}
	}
	t.Active += o.Active
}

// Total is how many faults took effect.
func (t *Tally) Total() (n uint64) {
	for _, of := range t.Faults {
		n += of
	}
	return n
}

// Kinds is of how many kinds they were.
func (t *Tally) Kinds() (n uint64) {
	for _, of := range t.Faults {
		n += min(of, 1)
	}
	return n
}

// Never are the kinds of faults that might have happened and never took effect.
func (t *Tally) Never() []string { return zeros(t.Faults) }

// Unjudged is what might have been judged and never came up.
func (t *Tally) Unjudged() []string { return zeros(t.Judged) }

func zeros(counts map[string]uint64) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		if counts[k] == 0 {
			out = append(out, k)
		}
	}
	return out
}

// Write puts it into a file.
func (t *Tally) Write(file string) error {
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// Writable says why a file could not be written at the end of a run, for who wants
// to know it before the run. What the file has stays, and none is left behind.
func Writable(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		return errors.Join(f.Close(), os.Remove(file))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil // a pipe or a device, which opening alone may change
	}
	if f, err = os.OpenFile(file, os.O_WRONLY, 0); err != nil {
		return err
	}
	return f.Close()
}

// Read reads what Write has written.
func Read(file string) (*Tally, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t := New()
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}
