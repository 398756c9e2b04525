package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestInjections makes a few of every kind.
func TestInjections(t *testing.T) {
	var out bytes.Buffer
	ok, err := run(config{injections: 200, seed: 1}, &out)
	if err != nil || !ok {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	for _, k := range kinds {
		if !strings.Contains(out.String(), k) {
			t.Errorf("no injection of the kind %q:\n%s", k, out.Bytes())
		}
	}
	for _, outcome := range []string{"refused", "goes on"} {
		if !strings.Contains(out.String(), outcome) {
			t.Errorf("no node %s:\n%s", outcome, out.Bytes())
		}
	}
}

// TestNowhereToWrite: that nobody can be told in the end what was done is known
// before anything is.
func TestNowhereToWrite(t *testing.T) {
	var out bytes.Buffer
	if ok, err := run(config{injections: 1, seed: 1, tally: filepath.Join(t.TempDir(), "none", "x")}, &out); ok || err == nil || out.Len() > 0 {
		t.Errorf("%v, %v: %q", ok, err, out.Bytes())
	}
}

// TestOlderDirectory: with the other two up, a node whose directory was put back
// harms nobody.
func TestOlderDirectory(t *testing.T) {
	var out bytes.Buffer
	if ok, err := run(config{injections: 60, seed: 1, order: wholeLast}, &out); err != nil || !ok {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
}

// TestLossesAreFound: a node that has forgotten everything since some time, and
// makes up a majority with one that never had it, loses what was acknowledged.
// That cannot be prevented, and it must be seen here.
func TestLossesAreFound(t *testing.T) {
	var out bytes.Buffer
	ok, err := run(config{injections: 60, seed: 1, order: wholeFirst}, &out)
	if err != nil {
		t.Fatal(err)
	}
	if ok || !strings.Contains(out.String(), "LOST") {
		t.Errorf("nothing was found:\n%s", out.Bytes())
	}
}
