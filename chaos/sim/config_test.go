package sim

import (
	"errors"
	"testing"
	"time"
)

// TestParse: what String wrote is read back, and what would silently mean
// something else is refused.
func TestParse(t *testing.T) {
	for _, c := range []Config{
		{Seed: 42}, {Seed: 42, Only: []int{}},
		{Seed: 7, Nodes: 9, Clients: 1000, Pace: 100, Length: 1500 * time.Millisecond, Work: Keys | Many, Only: []int{3, 7}},
	} {
		if back, err := Parse(c.String()); err != nil || back.String() != c.String() {
			t.Errorf("%v: %v, %v", c, back, err)
		}
	}
	for _, s := range []string{
		"", "x", "-1", "42 nodes=0", "42 nodes=10", "42 nodes=-1", "42 nodes=", "42 clients=0", "42 clients=1001", "42 pace=0", "42 pace=101",
		"42 length=0s", "42 length=-1s", "42 length=6", "42 work=", "42 work=none", "42 faults=x", "42 faults=-1", "42 faults=1,x", "42 speed=3",
	} {
		if c, err := Parse(s); err == nil {
			t.Errorf("%q is taken for %v", s, c)
		}
	}
}

// TestUnplanned: a run with faults that are not in its plan is no run, and no
// violation either.
func TestUnplanned(t *testing.T) {
	c := Config{Seed: 42, Length: 6 * time.Second}
	n := len((&world{cfg: c.withDefaults()}).planned())
	if n == 0 {
		t.Fatal("it has no faults")
	}
	for _, only := range [][]int{{n}, {0, 999}, {-1}} {
		c.Only = only
		_, err := Run(c)
		var v *Violation
		if err == nil || errors.As(err, &v) {
			t.Errorf("faults %v of %d: %v", only, n, err)
		}
	}
	c.Only = []int{n - 1}
	if r, err := Run(c); err != nil || r.Planned != n {
		t.Errorf("%v, %d faults planned: want %d", err, r.Planned, n)
	}
}
