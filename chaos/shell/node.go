package shell

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/conch-lock/conch/coordinator"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
	"github.com/conch-lock/conch/raftnode/disk"
)

// node is one server: its disk, and its process, if one runs.
type node struct {
	name string
	net  *network
	disk *disk.Mem
	all  []coordinator.Member
	log  *journal
	fail func(format string, args ...any)

	mu     sync.Mutex
	rng    *rand.Rand
	fsync  time.Duration // how long one takes, about
	server *coordinator.Server
	host   *host
	ending sync.WaitGroup // processes that were killed and have not noticed
}

// usualFsync is how long one takes on a disk that is well.
const usualFsync = 200 * time.Microsecond

func newNode(n *network, name string, all []coordinator.Member, seed uint64, log *journal, fail func(string, ...any)) *node {
	x := &node{
		name: name, net: n, disk: disk.NewMem(), all: all, log: log, fail: fail,
		rng: rand.New(rand.NewPCG(seed, uint64(name[1]))), fsync: usualFsync,
	}
	x.disk.SetHook(func(op disk.Op) error {
		// Not those of the host's own files: it has a mutex then, and virtual time
		// stands still while somebody waits for one.
		if (op.Kind == disk.OpSync || op.Kind == disk.OpSyncDir) && strings.Contains(op.Name, "/cells/") {
			x.mu.Lock()
			d := x.fsync/2 + rand.N(x.fsync)
			x.mu.Unlock()
			time.Sleep(d)
		}
		return nil
	})
	return x
}

func (x *node) clientAddress() string { return x.name + ":1" }
func (x *node) peerAddress() string   { return x.name + ":2" }

// start runs the process anew on what the disk has.
func (x *node) start() {
	h := x.net.boot(x.name)
	clients, err := h.listen(x.clientAddress(), clientSilence)
	var peers net.Listener
	if err == nil {
		peers, err = h.listen(x.peerAddress(), peerSilence)
	}
	if err != nil {
		x.fail("node %s: %v", x.name, err)
		return
	}
	server, err := coordinator.Start(coordinator.Config{
		Name: x.name, DataDir: "/data", InitialCluster: x.all, FS: x.disk, Version: "shell",
		ClientListener: clients, PeerListener: peers, DialPeer: h.dial,
		Log: x.log, LogLevel: zerolog.DebugLevel,
		Limits: machine.Limits{Sessions: 10_000, Claims: 10_000, Waiters: 1000},
		Tuning: raftnode.Tuning{SegmentBytes: 256 << 10, SnapshotEntries: 1500, TrailingEntries: 100},
	})
	if err != nil {
		x.fail("node %s does not start: %v", x.name, err)
		return
	}
	x.mu.Lock()
	x.server, x.host = server, h
	x.mu.Unlock()
	go func() { // it ends with the process
		<-server.Done()
		x.mu.Lock()
		expected := x.server != server
		x.mu.Unlock()
		if !expected {
			x.fail("node %s ended by itself: %v", x.name, server.Err())
		}
	}()
}

// take is the process, of which whoever calls has to make an end; nil: none runs.
func (x *node) take() (*coordinator.Server, *host) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.server
	x.server = nil
	return s, x.host
}

// running is the process; nil: none runs.
func (x *node) running() *coordinator.Server {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.server
}

// kill ends the process at once: with power, what the disk had not synced is
// lost in part as well, and nobody hears of the end.
func (x *node) kill(power bool) bool {
	server, h := x.take()
	if server == nil {
		return false
	}
	x.net.end(h, power)
	survival := disk.KeepUnsynced()
	if power {
		x.mu.Lock()
		survival = []disk.Survival{disk.DropUnsynced(), disk.KeepSome(x.rng), disk.TearLast(x.rng)}[x.rng.IntN(3)]
		x.mu.Unlock()
	}
	x.disk.Crash(survival) // also ends the use of it by what still runs
	x.ending.Go(func() { _ = server.Close() })
	return true
}

// stop ends the process in good order.
func (x *node) stop() {
	server, h := x.take()
	if server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		x.fail("node %s did not stop in good order: %v", x.name, err)
	}
	if ctx.Err() != nil {
		x.fail("node %s did not stop within 20 s", x.name)
	}
	x.net.end(h, false)
}

// slow makes the disk slow, and returns what makes it well again.
func (x *node) slow(fsync time.Duration) (heal func()) {
	set := func(d time.Duration) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.fsync = d
	}
	set(fsync)
	return func() { set(usualFsync) }
}

// journal keeps the newest lines that a node or a client logged.
type journal struct {
	mu    sync.Mutex
	lines []string
}

const journalLines = 20_000

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) == journalLines {
		j.lines = slices.Delete(j.lines, 0, journalLines/4)
	}
	j.lines = append(j.lines, fmt.Sprintf("%v %s", time.Since(epoch()), p))
	return len(p), nil
}
