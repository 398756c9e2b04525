package sim

import "testing"

// TestGraveyard runs what failed once.
func TestGraveyard(t *testing.T) {
	for _, g := range Graveyard() {
		c, err := Parse(g.Run)
		if err != nil || g.Reason == "" {
			t.Fatalf("%+v: %v", g, err)
		}
		if _, err := Run(c); err != nil {
			t.Errorf("%v\nit failed once before: %s", err, g.Reason)
		}
	}
}
