package locks

import (
	"reflect"
	"testing"
)

// TestSizes: a held lock has one Lock and one Claim, and there may be millions.
// The runtime hands out memory in steps of 240, 256, 288 and 320 bytes.
func TestSizes(t *testing.T) {
	if n := reflect.TypeFor[Lock]().Size(); n > 240 {
		t.Errorf("a Lock has %d bytes, at most 240 are wanted", n)
	}
	if n := reflect.TypeFor[Claim]().Size(); n > 288 {
		t.Errorf("a Claim has %d bytes, at most 288 are wanted", n)
	}
}
