package process

import (
	"os"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	stat := "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 8 0 1000 1000000 10 18446744073709551615 1"
	u, err := parse([]byte(stat))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Usage{CPU: 3 * time.Second, Memory: 10 * int64(os.Getpagesize())}); u != want {
		t.Errorf("%+v, not %+v", u, want)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 1 2 3", "42 (a) S 1 42 42 0 -1 4194304 100 0 0 0 x 50 0 0 20 0 8 0 1000 1000000 10"} {
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
