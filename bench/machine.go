package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine describes what the run is on.
func machine(data string) []string {
	out := []string{
		fmt.Sprintf("%d × %s", runtime.NumCPU(), valueIn("/proc/cpuinfo", "model name")),
		"memory " + valueIn("/proc/meminfo", "MemTotal"),
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		out = append(out, "Linux "+strings.TrimSpace(string(release)))
	}
	if fs, err := exec.Command("df", "--output=source,fstype", data).Output(); err == nil {
		lines := strings.Split(strings.TrimSpace(string(fs)), "\n")
		out = append(out, "data on "+strings.Join(strings.Fields(lines[len(lines)-1]), ", "))
	}
	return append(out, runtime.Version())
}

// valueIn finds a line "name : value" in a file.
func valueIn(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(text)) {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(n) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// loadAverage is how many processes wanted to run, over one, five and fifteen
// minutes: at the beginning of a run, and from then on with its own among them.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], ", ")
}
