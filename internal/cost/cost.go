// Package cost holds what the tests of a package say that its work may cost:
// allocations and bytes, which are the same on every machine, and not time.
package cost

import "testing"

// AtMost fails a test when something costs more than it may, and logs what it
// costs, so that a bound can follow when it gets less.
func AtMost(t testing.TB, what string, got, most float64) {
	t.Helper()
	t.Logf("%s: %.2f, at most %.2f", what, got, most)
	if got > most {
		t.Errorf("%s: %.2f, at most %.2f are wanted", what, got, most)
	}
}
