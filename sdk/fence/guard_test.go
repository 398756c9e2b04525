package fence

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/conch-lock/conch/sdk"
)

func TestGuardRefusesSmallerTokens(t *testing.T) {
	var g Guard
	for _, step := range []struct {
		resource string
		token    sdk.Token
		want     error
	}{
		{"file", 5, nil},
		{"file", 5, nil}, // the same grant again
		{"file", 4, ErrStale},
		{"file", 9, nil},
		{"file", 5, ErrStale},
		{"other", 1, nil}, // resources are independent
		{"file", 0, ErrInvalid},
		{"file", 1 << 63, ErrInvalid},
		{"", 1, ErrInvalid},
		{strings.Repeat("x", 513), 1, ErrInvalid},
	} {
		if err := g.Check(step.resource, step.token); !errors.Is(err, step.want) {
			t.Errorf("Check(%.10q, %d) = %v, want %v", step.resource, step.token, err, step.want)
		}
	}
	var stale *StaleError
	if err := g.Check("file", 2); !errors.As(err, &stale) || stale.Seen != 9 || stale.Token != 2 {
		t.Errorf("got %+v", stale)
	}
	if g.Seen("file") != 9 {
		t.Errorf("seen %d", g.Seen("file"))
	}
}

func TestGuardIsBounded(t *testing.T) {
	g := NewGuard(2)
	for _, r := range []string{"a", "b"} {
		if err := g.Check(r, 7); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Check("c", 7); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if err := g.Check("a", 8); err != nil {
		t.Errorf("a known resource: %v", err)
	}
	g.Forget("a")
	if err := g.Check("c", 7); err != nil {
		t.Errorf("after Forget: %v", err)
	}
}

// Whatever the order, what was written last in memory has the largest token.
func TestGuardDoIsAtomicWithTheWrite(t *testing.T) {
	var g Guard
	var wg sync.WaitGroup
	written := []sdk.Token{}
	for token := sdk.Token(1); token <= 200; token++ {
		wg.Go(func() {
			err := g.Do("file", token, func() error { written = append(written, token); return nil })
			if err != nil && !errors.Is(err, ErrStale) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := 1; i < len(written); i++ {
		if written[i] < written[i-1] {
			t.Fatalf("token %d was written after %d", written[i], written[i-1])
		}
	}
	if len(written) == 0 || written[len(written)-1] != 200 {
		t.Errorf("the largest token was not written: %v", written)
	}
}
