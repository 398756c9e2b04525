//go:build linux

package main

import "testing"

// TestKills: whether the kernel has killed a process for its memory is read from
// what it says of the group.
func TestKills(t *testing.T) {
	for control, want := range map[string]int{
		"oom_kill_disable 0\nunder_oom 0\noom_kill 0\n": 0,
		"oom_kill_disable 1\nunder_oom 1\noom_kill 2\n": 2,
		"oom_kill_disable 1\nunder_oom 0\n":             0, // a kernel that does not count
		"":                                              0,
	} {
		if got := kills(control); got != want {
			t.Errorf("%q: %d, want %d", control, got, want)
		}
	}
}
