package shell

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/coordinator"
	"github.com/conch-lock/conch/sdk"
)

// settings are what a run is made from.
type settings struct {
	Seed   uint64
	Length time.Duration // for how long faults come
	Faults []fault       // instead of those that the seed gives
	Rate   float64       // of all clients' clocks, instead of those that the seed gives
}

// cell is a cluster with its clients, and what breaks it.
type cell struct {
	settings
	net      *network
	nodes    []*node
	clients  []*client
	admin    *client
	history  *history
	journal  *journal
	began    instant
	restarts chan struct{} // has whoever starts or stops a node; virtual time stands still while somebody waits for a mutex

	wrongs sync.Mutex
	wrong  []check.Fault // what was wrong when
}

// How long things may take once everything is well.
const (
	settling   = 6 * time.Second  // connections that were given up late are made anew
	progress   = 10 * time.Second // a lock that nobody holds is granted
	catchingUp = 20 * time.Second // watches and observers arrive at the end
	forgetting = 15 * time.Second // sessions of clients that are gone are over
)

func newCell(s settings) *cell {
	w := &cell{settings: s, net: newNetwork(s.Seed), history: newHistory(), journal: &journal{}, restarts: make(chan struct{}, 1)}
	var members []coordinator.Member
	for i := range 3 {
		members = append(members, coordinator.Member{Name: fmt.Sprintf("n%d", i+1), Peer: fmt.Sprintf("n%d:2", i+1)})
	}
	var all []string
	for _, m := range members {
		x := newNode(w.net, m.Name, members, s.Seed, &journal{}, w.history.violation)
		w.nodes = append(w.nodes, x)
		all = append(all, x.clientAddress())
	}
	for i := range 5 {
		endpoints := slices.Concat(all[i%3:], all[:i%3])
		if i == 1 {
			endpoints = all[1:2] // it stays with one node
		}
		w.clients = append(w.clients, newClient(w.net, fmt.Sprintf("c%d", i+1), s.Seed, endpoints, w.history))
	}
	for _, c := range w.clients {
		if w.Rate != 0 {
			c.rate = w.Rate
		}
	}
	w.admin = newClient(w.net, "a0", s.Seed, all, w.history)
	return w
}

// note writes into the run's own journal.
func (w *cell) note(format string, args ...any) {
	_, _ = w.journal.Write([]byte(fmt.Sprintf(format, args...)))
}

// run is a whole run; see the package. It returns what was seen to be wrong at
// once, and the history for those who judge it.
func (w *cell) run() (wrong []string, h *check.History) {
	if !w.begin() {
		w.close()
		return append(w.history.violations(), "the cell does not begin although nothing is wrong"), nil
	}
	working, rest := context.WithCancel(context.Background())
	defer rest()
	following := follow(w.followers())
	var workers sync.WaitGroup
	for i, c := range w.clients {
		for _, job := range works()[i] {
			workers.Go(func() { job.run(working, c) })
		}
		if w.operated() && (i == 0 || i == 2 || i == 3) {
			workers.Go(func() { work{do: risk, ttl: 2 * time.Second}.run(working, c) })
		}
		if w.strangers() && i >= 2 {
			workers.Go(func() { work{do: loop}.run(working, c) })
		}
	}
	workers.Go(func() { visit(working, w.clients[4]) })
	for _, c := range w.clients[2:4] {
		workers.Go(func() { again(working, c) })
	}
	workers.Go(func() { w.look(working) })
	for i := range mortals {
		workers.Go(func() { w.liveAndDie(working, i) })
	}

	// 1. The faults, and a time after them.
	if w.Faults == nil {
		w.Faults = plan(w.Seed, len(w.nodes), len(w.clients), w.Length)
	}
	operating, leave := context.WithCancel(working)
	var operator sync.WaitGroup
	if w.operated() {
		operator.Go(func() { w.operate(operating) })
	}
	w.nemesis(w.Faults)
	leave()
	operator.Wait()
	for _, x := range w.nodes {
		w.restart(x)
	}
	w.note("all is well")
	well := now() + settling
	time.Sleep(settling + 3*time.Second)

	// 2. Everybody gets somewhere.
	rest()
	w.within(progress, "the workers have come to an end", func(ctx context.Context) error { return await(ctx, &workers) })
	for _, c := range w.clients {
		w.within(progress, c.name+" gets a lock", func(ctx context.Context) error { return c.once(ctx) })
	}
	upto := w.arrive(following)
	following.stop()
	following.wg.Wait()
	w.within(progress, "all nodes have one hash", w.sameHash)

	// 3. Nothing is left.
	for _, c := range w.clients {
		if err := c.sdk.Close(); err != nil {
			w.history.violation("closing the client %s: %v", c.name, err)
		}
	}
	w.within(forgetting, "nothing is left of the clients", w.nothingLeft)
	w.close()
	w.history.mu.Lock()
	losses, unwarned := w.history.losses, w.history.unwarned
	w.history.mu.Unlock()
	h = w.history.History()
	h.Strangers = w.strangers()
	h.Promptness = &check.Promptness{Nodes: len(w.nodes), Election: electionTime, Faults: w.wrong}
	if err := following.tell(h, upto); err != nil {
		w.history.violation("%v", err)
	}
	return slices.Concat(w.history.violations(), checkLosses(losses, well), checkWarned(unwarned, h), checkLoops(w.history.loops.History())), h
}

// begin starts all nodes and connects all clients.
func (w *cell) begin() bool {
	for _, x := range w.nodes {
		x.start()
	}
	ctx, cancel := context.WithTimeout(context.Background(), progress)
	defer cancel()
	for _, x := range w.nodes {
		s := x.running()
		if s == nil {
			return false
		}
		select {
		case <-s.Ready():
		case <-ctx.Done():
			return false
		}
	}
	for _, c := range append(w.clients, w.admin) {
		if !c.connect(ctx) {
			return false
		}
	}
	w.began = now()
	return true
}

// close ends clients and nodes.
func (w *cell) close() {
	for _, c := range append(w.clients, w.admin) {
		if c.sdk != nil {
			_ = c.sdk.Close()
		}
	}
	for _, x := range w.nodes {
		x.stop()
		x.ending.Wait()
	}
	time.Sleep(3 * time.Second) // timers of what has ended
}

// strangers says whether there are clients that do what is not recorded call by
// call.
func (w *cell) strangers() bool { return w.Seed%4 == 0 }

// look looks at queues.
func (w *cell) look(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		_ = w.admin.calls.Queue(short, w.admin.sdk, fmt.Sprintf("hot/%d", i%2))
		cancel()
		pause(ctx, 50*time.Millisecond)
	}
}

// await waits for goroutines.
func await(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		<-done // what holds them up ends with the clients
		return ctx.Err()
	}
}

// within asks until there is no error, for so long.
func (w *cell) within(limit time.Duration, what string, f func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var err error
	for {
		if err = f(ctx); err == nil {
			return
		}
		if ctx.Err() != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.note("not within %v: %s", limit, what)
	w.history.violation("progress: not within %v: %s: %v", limit, what, err)
}

// once takes locks that nobody holds for long.
func (c *client) once(ctx context.Context) error {
	s, err := c.sdk.NewSession(ctx, sdk.WithTTL(2*time.Second))
	if err != nil {
		return err
	}
	for _, name := range []string{"hot/0", "hot/1", "short"} {
		g, err := c.calls.Lock(ctx, s, false, []check.Item{{Name: name}})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c.calls.Believed(g.ID(), now())
		if err := c.calls.Unlock(ctx, g); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return s.Close(ctx)
}

// arrive waits until everybody was told of everything, and returns the revision
// up to which that is.
func (w *cell) arrive(all *following) (upto uint64) {
	var elections uint64
	w.within(progress, "the end can be read", func(ctx context.Context) error {
		end, err := w.admin.sdk.Range(ctx, sdk.One("no such key"))
		if err != nil {
			return err
		}
		upto = end.Revision
		found, err := w.admin.sdk.Range(ctx, sdk.Prefix(""), sdk.InSpace(sdk.Elections), sdk.AtRevision(upto))
		for _, kv := range found.KVs {
			elections = max(elections, kv.ModRevision)
		}
		return err
	})
	w.within(catchingUp, "watches and observers arrive at the end", func(context.Context) error {
		return all.arrived(upto, elections)
	})
	return upto
}

// report is what happened, in a few lines.
func (w *cell) report() string {
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	counts := w.history.counts
	w.net.mu.Lock()
	for k, n := range w.net.counts {
		counts["network: "+k] = n
	}
	w.net.mu.Unlock()
	return list(counts)
}

// list is counts in the order of their names.
func list(counts map[string]int) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "%7d %s\n", counts[k], k)
	}
	return b.String()
}
