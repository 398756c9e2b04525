package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports that nodes get. The system hands out higher ones to outgoing
// connections, and one of those could take the port of a node that is down.
const (
	firstPort = 18000
	lastPort  = 31999
)

// freePorts finds ports on which nobody listens on 127.0.0.1. Somebody may take
// one before it is used; a node then says so and does not start.
func freePorts(count int) ([]int, error) {
	var out []int
	var listening []net.Listener
	defer func() {
		for _, l := range listening {
			l.Close()
		}
	}()
	var last error
	for range 50 * count {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			last = err
			continue
		}
		listening = append(listening, l) // kept open, so that no port is found twice
		if out = append(out, port); len(out) == count {
			return out, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("found %d of %d free ports from %d to %d", len(out), count, firstPort, lastPort), last)
}
