package conch_test

import (
	"testing"

	"github.com/conch-lock/conch/bench/conch"
	"github.com/conch-lock/conch/bench/system/systemtest"
)

func TestSuite(t *testing.T) {
	systemtest.Run(t, &conch.System{})
}
