package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// TestSilentLeader measures how long after the leader's network went silent a
// new lock can be taken. Nothing is closed or refused then: packets vanish, so
// that only the lack of a sign of life tells the others.
func TestSilentLeader(t *testing.T) {
	const rounds = 5
	const bound = 5 * time.Second // of the median; the aim is 1.5 s
	net := networks(t, 3)
	c, err := cluster.New(cluster.Config{Binary: binary, Dir: t.TempDir(), Hosts: net.hosts})
	if err != nil {
		t.Fatal(err)
	}
	closing(t, c)
	startAll(t, c)
	client := dial(t, c)
	var took []time.Duration
	for i := range rounds {
		ctx := within(t, time.Minute)
		if err := c.Healthy(ctx); err != nil {
			t.Fatal(err)
		}
		session, err := client.NewSession(ctx, sdk.WithTTL(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		leader, err := c.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		port := 0
		for j, n := range c.Nodes() {
			if n == leader {
				port = j
			}
		}
		// One lock on the way, so that the client is where it wants to be.
		if _, err := session.Lock(ctx, fmt.Sprintf("before/%d", i)); err != nil {
			t.Fatal(err)
		}
		net.silence(t, port, true)
		since := time.Now()
		_, err = session.Lock(ctx, fmt.Sprintf("silent/%d", i))
		took = append(took, time.Since(since))
		net.silence(t, port, false)
		if err != nil {
			t.Fatalf("round %d: no lock after the leader fell silent: %v", i, err)
		}
		if err := session.Err(); err != nil {
			t.Errorf("round %d: the session was lost: %v", i, err)
		}
	}
	t.Logf("from the silence of the leader's network to the next grant: median %v of %v", median(took), rounded(took))
	if median(took) > bound {
		t.Errorf("the median is %v: want %v at most", median(took), bound)
	}
}

// bridged are network namespaces whose only way out is a port of one bridge.
type bridged struct {
	hosts []cluster.Host
	ports []string
}

// networks makes n namespaces that reach each other and this one.
func networks(t *testing.T, n int) *bridged {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	id := os.Getpid() % 10000
	bridge := fmt.Sprintf("cnb%d", id)
	subnet := fmt.Sprintf("10.%d.%d", 200+id/250%50, id%250)
	if out, err := exec.Command("ip", "link", "add", bridge, "type", "bridge").CombinedOutput(); err != nil {
		if os.Getenv("REQUIRE_NETWORK") != "" {
			t.Fatalf("a bridge cannot be made here: %v: %s", err, out)
		}
		t.Skipf("a bridge cannot be made here: %v: %s", err, out)
	}
	t.Cleanup(func() { ip(t, "link", "del", bridge) })
	ip(t, "addr", "add", subnet+".1/24", "dev", bridge)
	ip(t, "link", "set", bridge, "up")
	b := &bridged{}
	for i := range n {
		space, port := fmt.Sprintf("cnn%d-%d", id, i), fmt.Sprintf("cnp%d-%d", id, i)
		address := fmt.Sprintf("%s.%d", subnet, i+2)
		ip(t, "netns", "add", space)
		t.Cleanup(func() { ip(t, "netns", "del", space) })
		ip(t, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
		ip(t, "link", "set", port, "master", bridge, "up")
		ip(t, "-n", space, "addr", "add", address+"/24", "dev", "eth0")
		ip(t, "-n", space, "link", "set", "eth0", "up")
		ip(t, "-n", space, "link", "set", "lo", "up")
		b.hosts = append(b.hosts, cluster.Host{Address: address, Enter: []string{"ip", "netns", "exec", space}})
		b.ports = append(b.ports, port)
	}
	return b
}

// silence lets a port of the bridge drop every packet, both ways.
func (b *bridged) silence(t *testing.T, port int, silent bool) {
	t.Helper()
	state := "3" // forwarding
	if silent {
		state = "0" // disabled
	}
	if out, err := exec.Command("bridge", "link", "set", "dev", b.ports[port], "state", state).CombinedOutput(); err != nil {
		t.Fatalf("bridge link set dev %s state %s: %v: %s", b.ports[port], state, err, out)
	}
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}
