package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// The table stands between these lines.
const (
	begin = "<!-- planted: begin -->"
	end   = "<!-- planted: end -->"
)

// table is what the README tells of the results.
func table(results []*result) string {
	var b strings.Builder
	b.WriteString("| bug | what is wrong when it is on | simulation | shell, damage | tests |\n|---|---|---|---|---|\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.bug, r.bug.Breaks(), r.simulation, r.inWider(), r.tests)
	}
	return b.String()
}

// write puts the table into a file, between its lines.
func write(file, table string) error {
	before, after, err := around(file)
	if err != nil {
		return err
	}
	whole := fmt.Sprintf("%s%s\n\n%s\n%s\n%s", before, begin, table, end, after)
	return os.WriteFile(file, []byte(whole), 0o644)
}

// around is what stands before and after the table in a file.
func around(file string) (before, after []byte, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	before, rest, ok := bytes.Cut(text, []byte(begin+"\n"))
	_, after, ok2 := bytes.Cut(rest, []byte(end+"\n"))
	if !ok || !ok2 {
		return nil, nil, fmt.Errorf("%s has no lines %q and %q", file, begin, end)
	}
	return before, after, nil
}
