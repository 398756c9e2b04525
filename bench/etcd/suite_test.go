package etcd_test

import (
	"testing"

	"github.com/conch-lock/conch/bench/etcd"
	"github.com/conch-lock/conch/bench/system/systemtest"
)

func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the servers of a peer")
	}
	systemtest.Run(t, &etcd.System{})
}
