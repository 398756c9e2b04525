package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestShrink: of a failure that needs two of the faults, one client and a tenth
// of the time, little more is left.
func TestShrink(t *testing.T) {
	runs := 0
	fails := func(c Config) error {
		runs++
		c = c.withDefaults()
		for _, n := range []int{1, 2} {
			if c.Only != nil && !slices.Contains(c.Only, n) {
				return nil
			}
		}
		if c.Length < 20*time.Second {
			return nil
		}
		return &Violation{Property: Beliefs, At: 20*time.Second - time.Microsecond}
	}
	v := Shrinker{run: fails}.Shrink(&Violation{Config: Config{Seed: 1}, Property: Beliefs, At: 20*time.Second - time.Microsecond})
	c := v.Config
	if !slices.Equal(c.Only, []int{1, 2}) || c.Length != 20*time.Second || c.Clients != 1 || c.Nodes != 1 {
		t.Errorf("after %d runs it is %v", runs, c)
	}
	if got, want := v.Replay()[:15], `make sim SEED="`; got != want {
		t.Errorf("%q does not begin with %q", v.Replay(), want)
	}
	back, err := Parse(c.String())
	if err != nil || back.String() != c.String() {
		t.Errorf("%q is read as %q: %v", c, back, err)
	}
}

// TestShrinkKeepsTheProperty: a smaller run that breaks something else is not
// taken for the same failure.
func TestShrinkKeepsTheProperty(t *testing.T) {
	fails := func(c Config) error { return &Violation{Property: Progress, At: time.Second} }
	v := Shrinker{run: fails}.Shrink(&Violation{Config: Config{Seed: 9}, Property: Beliefs, At: time.Second})
	if v.Property != Beliefs || v.Config.Clients != 0 {
		t.Errorf("it became %v", v)
	}
}

// TestShorterIsTheSame: cutting a run short changes nothing before the cut, which
// shrinking relies on.
func TestShorterIsTheSame(t *testing.T) {
	long := newPlan(pcg(3), newSetting(pcg(4), Config{}), time.Minute)
	short := newPlan(pcg(3), newSetting(pcg(4), Config{}), 20*time.Second)
	if len(short) == 0 || len(short) >= len(long) || !slices.Equal(short, long[:len(short)]) {
		t.Errorf("%d faults of a short run, %d of a long one", len(short), len(long))
	}
}

func pcg(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }
