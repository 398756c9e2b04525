package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports that servers get. The system hands out higher ones to outgoing
// connections, and one of those could take the port of a server that is down.
const (
	firstPort = 18000
	lastPort  = 31999
)

// Addresses finds host:port addresses on loopback at which nobody listens.
// Somebody may take one before it is used; the server then does not start.
func Addresses(count int) ([]string, error) {
	var out []string
	var last error
	for range 50 * count {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort+1))
		l, err := net.Listen("tcp", address)
		if err != nil {
			last = err
			continue
		}
		defer l.Close() // at the end, so that no port is found twice
		if out = append(out, address); len(out) == count {
			return out, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("found %d of %d free ports from %d to %d", len(out), count, firstPort, lastPort), last)
}
