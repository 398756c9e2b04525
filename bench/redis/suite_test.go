package redis_test

import (
	"testing"

	"github.com/conch-lock/conch/bench/redis"
	"github.com/conch-lock/conch/bench/system/systemtest"
)

func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the servers of a peer")
	}
	systemtest.Run(t, &redis.System{})
}
