package memory_test

import (
	"testing"

	"github.com/conch-lock/conch/bench/memory"
	"github.com/conch-lock/conch/bench/system/systemtest"
)

func TestSuite(t *testing.T) {
	systemtest.Run(t, &memory.System{})
}
