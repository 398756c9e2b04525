package transport

import (
	"net"
	"time"
)

// keepAlive probes an idle connection so that a machine which is gone is noticed
// after about the given time. The kernel counts in whole seconds.
func keepAlive(silence time.Duration) net.KeepAliveConfig {
	const probes = 2
	every := max(time.Second, (silence / (probes + 1)).Truncate(time.Second))
	return net.KeepAliveConfig{Enable: true, Idle: every, Interval: every, Count: probes}
}
