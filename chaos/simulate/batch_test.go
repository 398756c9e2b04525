package main

import "testing"

// TestProcesses: no process is started that would have no seed, which it refuses.
func TestProcesses(t *testing.T) {
	for _, c := range []struct {
		seeds uint64
		jobs  int
		want  int
	}{{1, 2, 1}, {1, 1, 1}, {3, 8, 3}, {200, 2, 2}, {1 << 63, 4, 4}} {
		b := batch{Seeds: c.seeds}
		if got := b.processes(c.jobs); got != c.want {
			t.Errorf("%d seeds and -jobs %d: %d processes, want %d", c.seeds, c.jobs, got, c.want)
		}
	}
}
