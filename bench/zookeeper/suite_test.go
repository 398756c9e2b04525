package zookeeper_test

import (
	"testing"

	"github.com/conch-lock/conch/bench/system/systemtest"
	"github.com/conch-lock/conch/bench/zookeeper"
)

func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the servers of a peer")
	}
	systemtest.Run(t, &zookeeper.System{})
}
