package redis_test

import (
	"testing"

	"github.com/conch-lock/conch/bench/redis"
	"github.com/conch-lock/conch/bench/system/systemtest"
)

func TestSuite(t *testing.T) {
	systemtest.Run(t, &redis.System{})
}
