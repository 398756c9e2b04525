//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/conch-lock/conch/chaos/clock"
	"github.com/conch-lock/conch/chaos/overlay"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/internal/cluster"
	"github.com/conch-lock/conch/sdk"
)

// config says what to run. See main.go for the fields.
type config struct {
	length   time.Duration
	seed     uint64
	nodes    int
	power    bool
	loopback bool
	arrival  time.Duration
	most     int
	calm     time.Duration
	binary   string
	dir      string
	cuts     int    // power cuts, instead of all faults
	clock    bool   // the nodes' clocks go wrong, too
	crowd    bool   // in the end a crowd comes
	keys     int    // more clients that work with keys, beside some of every kind
	tally    string // a file for what was done, for who adds it up; empty: none
	out      io.Writer
}

// runner is one run.
type runner struct {
	cfg       config
	ctx       context.Context
	began     instant
	stormed   instant    // when faults began
	rng       *rand.Rand // of the goroutine that brings faults
	net       *network   // nil: all nodes are on the loopback address
	disks     []*supply  // empty: power is not cut
	spare     *supply    // a disk like those, that no fault has; nil: none
	cluster   *cluster.Cluster
	down      []atomic.Bool // nodes that are not meant to run, or may end
	dead      []atomic.Bool // nodes that are down for good
	admin     *sdk.Client
	history   *history
	outages   *outages
	workers   []*worker
	processes []*process
	watchers  *watchers
	clocks    *clocks        // nil: they go right
	orders    []string       // by node, the file that has a sync of its log fail; empty: none does
	compared  map[string]int // by lock, how many of its grants were held against its history
	started   bool           // nodes were, or one was tried
	calm      atomic.Bool    // everything has healed, and nobody vanishes
	throttled []spell        // by node, when little CPU was left to it

	mu sync.Mutex // of cfg.out
}

// say writes a line on what happens.
func (r *runner) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.cfg.out, "%8.3f  %s\n", (now() - r.began).Seconds(), fmt.Sprintf(format, args...))
}

func newRunner(ctx context.Context, cfg config) *runner {
	return &runner{
		cfg: cfg, ctx: ctx, began: now(), rng: rand.New(rand.NewPCG(cfg.seed, 1)),
		down: make([]atomic.Bool, cfg.nodes), dead: make([]atomic.Bool, cfg.nodes), throttled: make([]spell, cfg.nodes),
		history: newHistory(newStore(true), &recorder.Journal{}), outages: &outages{}, compared: map[string]int{},
	}
}

// run runs it. The error says why it could not be run; what was found is in the
// report.
func run(ctx context.Context, cfg config) (_ *report, err error) {
	if cfg.power && os.Geteuid() != 0 {
		return nil, errors.New("power is cut at file systems that this program mounts: only root can")
	}
	r := newRunner(ctx, cfg)
	report := &report{cfg: cfg}
	if cfg.dir == "" {
		own, wrong := newFolder(os.TempDir())
		if wrong != nil {
			return nil, wrong
		}
		r.cfg.dir, r.history.kept = own.path, own.keep
		defer func() { err = errors.Join(err, own.end(!r.worthless(report, err))) }()
	}
	defer r.tearDown()
	if err := r.setUp(); err != nil {
		return nil, err
	}
	r.say("seed %d, %d nodes, %v, in %s, network %v, power %v", cfg.seed, cfg.nodes, cfg.length, r.cfg.dir, r.net != nil, len(r.disks) > 0)
	if r.net != nil && r.net.detour == nil {
		r.say("without late and disordered packets: %v", errNoTun)
	}
	if !groups() {
		r.say("without little CPU and memory, which need root and controllers of version 1 in /sys/fs/cgroup")
	}
	if frost() == nil {
		r.say("without frozen nodes, which need root and a freezer in /sys/fs/cgroup")
	}
	stop := make(chan struct{})
	var self sync.WaitGroup
	self.Go(func() { r.outages.watchSelf(stop) })
	disks := []string{r.cfg.dir}
	if r.spare != nil {
		disks = append(disks, r.spare.mount)
	}
	for _, dir := range disks {
		self.Go(func() {
			if err := r.outages.watchDisk(dir, stop); err != nil {
				r.history.violation("the disk cannot be watched: %v", err)
			}
		})
	}
	for i, n := range r.cluster.Nodes() {
		self.Go(func() { r.outages.watchNode(n.Name, r.node(i).Pid, &r.throttled[i], stop) })
	}
	defer self.Wait()
	defer close(stop)

	wrong, err := proveFence(func(fenced bool) (*store, error) {
		return stopAWriter(ctx, r.cluster.Endpoints(), r.history.Journal, fenced)
	})
	if err != nil {
		return nil, err
	}
	report.violations = append(report.violations, wrong...)
	r.say("a stopped writer loses an update without the fence, and none with it")
	if err := r.torment(ctx, report); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		report.broken = err // and what has happened is judged
	}
	r.check(ctx, report)
	if err := r.close(report); err != nil && report.broken == nil {
		report.broken = err
	}
	report.violations = append(report.violations, r.history.wrongs()...)
	report.took = now() - r.began
	report.dir = r.cfg.dir
	return report, nil
}

// worthless says whether there is nothing to be found in the folder of a run that
// ends with err: all went well, or it was broken off before anything went wrong, or
// no node was ever started.
func (r *runner) worthless(report *report, err error) bool {
	switch {
	case report.broken != nil || len(report.violations) > 0 || len(r.history.wrongs()) > 0:
		return false
	case err != nil:
		return r.ctx.Err() != nil || !r.started
	}
	return true
}

// setUp starts the cluster and prepares the clients.
func (r *runner) setUp() error {
	root := os.Geteuid() == 0
	var swept []string
	if root {
		swept = sweep()
	}
	for _, what := range append(swept, sweepFolders(os.TempDir())...) { // what was mounted there is not any more
		r.say("left behind by a run that was killed, and removed: %s", what)
	}
	if err := os.MkdirAll(r.cfg.dir, 0o755); err != nil {
		return err
	}
	there, err := os.ReadDir(r.cfg.dir)
	if there = slices.DeleteFunc(there, func(e os.DirEntry) bool { return e.Name() == passingFile }); err != nil || len(there) > 0 {
		return errors.Join(fmt.Errorf("%s has %d files, perhaps of another run: remove it, or name another folder with -dir", r.cfg.dir, len(there)), err)
	}
	if err := own(r.cfg.dir); err != nil {
		return err
	}
	binary, err := r.build()
	if err != nil {
		return err
	}
	cfg := cluster.Config{Binary: binary, Dir: r.cfg.dir, Nodes: r.cfg.nodes, Piped: true}
	if root && !r.cfg.loopback {
		if err := networkTools(); err != nil {
			return fmt.Errorf("%w: install iproute2 and nftables, or leave the network alone with -loopback", err)
		}
		n, err := newNetwork(r.cfg.nodes, r.cfg.seed)
		if err != nil {
			return fmt.Errorf("%w: -loopback leaves the network alone", err)
		}
		r.net = n
		cfg.Hosts = n.hosts
	}
	c, err := cluster.New(cfg)
	if err != nil {
		return err
	}
	r.cluster = c
	if r.cfg.clock {
		var names []string
		for _, n := range c.Nodes() {
			names = append(names, n.Name)
		}
		r.clocks = newClocks(r.cfg.dir, names)
		for i, n := range c.Nodes() {
			n.Env = append(n.Env, r.clocks.env(i)...)
		}
	}
	for i, order := range r.orders {
		n := c.Nodes()[i]
		n.Env = append(n.Env, overlay.SyncVariable+"="+order)
	}
	if r.cfg.power {
		for _, n := range c.Nodes() {
			d, err := newSupply(r.cfg.dir, n.Name)
			if err != nil {
				return err
			}
			r.disks = append(r.disks, d)
			n.Data = filepath.Join(d.mount, "data")
		}
		if r.spare, err = newSupply(r.cfg.dir, spareName); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	r.started = true
	if err := c.Start(ctx); err != nil {
		return err
	}
	if err := c.Healthy(ctx); err != nil {
		return err
	}
	if r.admin, err = sdk.Dial(ctx, sdk.Config{Endpoints: c.Endpoints(), Name: "procs"}); err != nil {
		return err
	}
	r.employ()
	return nil
}

// build gives the program that the nodes run. What is built here can be told that
// a sync fails; what was built by others cannot.
func (r *runner) build() (string, error) {
	if r.cfg.binary == "" {
		r.cfg.binary = os.Getenv(cluster.BinaryVariable)
	}
	if r.cfg.binary != "" {
		return r.cfg.binary, nil
	}
	root, err := overlay.Root(r.ctx)
	if err != nil {
		return "", err
	}
	for i := range r.cfg.nodes {
		r.orders = append(r.orders, filepath.Join(r.cfg.dir, fmt.Sprintf("sync-%d", i+1)))
	}
	sources := []overlay.Source{overlay.FailingSync()}
	if r.cfg.clock {
		sources = append(sources, clock.Source())
	}
	binary := filepath.Join(r.cfg.dir, "conch")
	return binary, overlay.Build(r.ctx, root, "./cmd/conch", binary, sources...)
}

// groupSize is how many of the many clients that work with keys have the same
// ones: what is asked for of one key at a time is what the search for an order
// takes its time for.
const groupSize = 4

// employ makes the clients.
func (r *runner) employ() {
	seed := r.cfg.seed * 1000
	add := func(kind string, ttl time.Duration, pinned int, own bool) {
		seed++
		w := &worker{Kind: kind, TTL: ttl, Seed: seed, Endpoints: r.cluster.Endpoints(), to: r.history, gate: newGate()}
		w.Name = fmt.Sprintf("%s-%d", kind, seed%1000)
		if pinned >= 0 {
			n := r.node(pinned % r.cfg.nodes)
			w.Endpoints, w.Pinned = []string{n.Endpoint}, n.Name
			w.Name += "@" + n.Name
		}
		if !own {
			w.absent = func() func() {
				if r.calm.Load() {
					return nil
				}
				return r.outages.begin("fell silent", w.Name)
			}
			r.workers = append(r.workers, w)
			return
		}
		w.Name += "!"
		r.processes = append(r.processes, &process{worker: w, errors: io.Discard})
	}
	times := 3
	if r.cfg.cuts > 0 {
		times = 1 // what is in the log is read again after every cut
	}
	for i := range times {
		add("contended", 5*time.Second, -1, false)
		add("contended", 5*time.Second, i, false)
		add("shared", 4*time.Second, -1+i%2*(i+1), false)
		add("permits", 4*time.Second, -1+i%2*(i+1), false)
		add("short", 0, -1, false)
		add("leader", 5*time.Second, -1, false)
		add("leader", 4*time.Second, i, false)
		add("keys", 5*time.Second, -1, false)
		add("keys", 5*time.Second, i, false)
	}
	if r.cfg.cuts == 0 {
		for i := range r.cfg.keys { // what is asked for together is cheaper to do, and there is more to judge
			add("keys", 5*time.Second, -1, false)
			r.workers[len(r.workers)-1].Group = 1 + i/groupSize
		}
	}
	for i := range 3 {
		add(brittle, time.Duration(2+i)*time.Second, -1+i/2*2, false)
	}
	add("again", 0, -1, false)
	add("again", 0, -1, false)
	add("churn", 5*time.Second, -1, false)
	add("churn", 5*time.Second, 0, false)
	add("churn", 2*time.Second, 1, false)
	add("contended", 2*time.Second, -1, true)
	add("contended", time.Second, 1, true)
	add("churn", 3*time.Second, -1, true)
	add("keys", 3*time.Second, -1, true)
	add("leader", 2*time.Second, -1, true)
	add(brittle, 2*time.Second, -1, true)
}

// torment has the clients work and brings faults, with moments of calm.
func (r *runner) torment(ctx context.Context, report *report) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, w := range r.workers {
		wg.Go(func() { w.work(work) })
	}
	for _, p := range r.processes {
		if err := p.start(); err != nil {
			return err
		}
	}
	wg.Go(func() { r.guard(work) })
	wg.Go(func() { r.look(work) })
	wg.Go(func() { r.compact(work) })
	wg.Go(func() { r.operate(work) })
	r.watchers = r.watch()
	if r.cfg.cuts > 0 {
		err := r.cutPowerOften(ctx, report)
		if err == nil && !report.stuck {
			report.violations = append(report.violations, r.progress(ctx, report, now())...)
		}
		report.faults = map[string]int{"power cut": report.cuts}
		report.vain = map[string]int{}
		r.dismiss(stop, &wg)
		return err
	}
	r.stormed = now()
	n := newNemesis(r)
	end := time.Now().Add(r.cfg.length)
	for last := false; !last && ctx.Err() == nil && len(r.history.wrongs()) == 0; {
		calm := time.Now().Add(r.span(r.cfg.calm/2, r.cfg.calm*3/2))
		if last = !calm.Before(end); last {
			calm = end
		}
		storm, cancel := context.WithDeadline(ctx, calm)
		err := n.rage(storm)
		cancel()
		if err != nil {
			report.faults, report.vain = n.figures()
			r.dismiss(stop, &wg)
			return err
		}
		if len(r.history.wrongs()) > 0 {
			break
		}
		r.say("calm")
		report.calms++
		report.active = now() - r.stormed
		if slow := r.progress(ctx, report, now()); len(slow) > 0 {
			report.violations = append(report.violations, slow...)
			r.diagnose()
			report.stuck = true
			break
		}
		if bad := r.compare(ctx, report); !last && len(bad) > 0 && ctx.Err() == nil {
			report.violations = append(report.violations, bad...)
			break
		}
	}
	report.faults, report.vain = n.figures()
	report.violations = append(report.violations, r.neverHappened(ctx, report)...)
	if r.cfg.crowd && !report.stuck && ctx.Err() == nil && len(r.history.wrongs()) == 0 {
		if err := r.crowd(ctx, report); err != nil {
			r.dismiss(stop, &wg)
			return fmt.Errorf("crowd: %w", err)
		}
	}
	r.dismiss(stop, &wg)
	return ctx.Err()
}

// dismiss ends all clients.
func (r *runner) dismiss(stop func(), wg *sync.WaitGroup) {
	stop()
	for _, p := range r.processes {
		_ = p.signal(syscall.SIGTERM)
	}
	wg.Wait()
	for _, p := range r.processes {
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			p.kill()
		}
	}
}

// guard looks for nodes that have ended although nobody ended them, and for panics
// and races in their logs.
func (r *runner) guard(ctx context.Context) {
	gone := map[int]int{}
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		for i := range r.down {
			if r.down[i].Load() || r.node(i).Running() {
				gone[i] = 0
			} else if gone[i]++; gone[i] == 3 { // it is not just being started
				r.history.violation("node %s has ended by itself: see %s", r.node(i).Name, r.node(i).LogFile)
			}
		}
		if turn%10 == 0 {
			r.crashes()
		}
	}
}

// downForGood: nobody who stays with this node gets an answer any more.
func (r *runner) downForGood(node string) bool {
	for i := range r.dead {
		if r.dead[i].Load() && r.node(i).Name == node {
			return true
		}
	}
	return false
}

func (r *runner) everybody() []*worker {
	out := append([]*worker(nil), r.workers...)
	for _, p := range r.processes {
		out = append(out, p.worker)
	}
	return out
}

// check holds against each other what the clients saw and what the cell tells.
func (r *runner) check(ctx context.Context, report *report) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	add := func(bad ...string) { report.violations = append(report.violations, bad...) }
	for i := range r.down {
		if !report.stuck && !r.node(i).Running() && !r.dead[i].Load() {
			if !r.down[i].Load() {
				r.history.violation("node %s has ended by itself: see %s", r.node(i).Name, r.node(i).LogFile)
			}
			r.dead[i].Store(true) // which was said; the others are judged without it
		}
	}
	add(r.history.store.complain...)
	outages, moments := counted(r.began, r.outages.seen()), counted(r.began, r.outages.brieflyLate())
	losses := r.history.seenLosses()
	losses, ended := r.history.withoutEnded(losses)
	for i := range losses {
		losses[i].At -= r.began
	}
	bad, reasons := checkLosses(losses, outages, moments, r.cfg.nodes)
	add(bad...)
	if report.losses, report.excused = len(losses)+ended, reasons; ended > 0 {
		reasons["operators"] = ended
	}
	report.held = stalled(outages, 0, now()-r.began)
	if !report.stuck { // the nodes have been ended
		add(r.compare(ctx, report)...)
		add(r.sameState(ctx, r.admin.Hash)...)
		bad, err := r.judge(ctx, report)
		if add(bad...); err != nil {
			add(err.Error())
		}
	}
	for _, d := range r.disks {
		report.power += d.cuts.Load()
	}
	report.operations = r.history.counts
	report.writes, report.stale, report.refused = r.history.store.figures()
}

// mostTenures is how many tenures of a lock the cell tells at a time.
const mostTenures = 10_000

// compare holds what clients were told against the history of the locks. It is
// done in every calm: the cell forgets in the end, and tells so many at a time.
func (r *runner) compare(ctx context.Context, report *report) []string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	all := acquiredIn(r.history.Sofar())
	var bad []string
	for _, name := range sortedNames(all.byName) {
		if r.compared[name] == len(all.byName[name]) {
			continue // nothing has happened to it since
		}
		told, err := r.lockHistory(ctx, name)
		if err != nil {
			bad = append(bad, fmt.Sprintf("history of %q: %v", name, err))
			continue
		}
		report.tenures += len(told.Tenures)
		bad = append(bad, checkHistory(name, all, told, exclusive(name))...)
		r.compared[name] = len(all.byName[name])
	}
	return bad
}

// lockHistory is what the cell tells of a lock. One that it does not know has
// none after what was compacted.
func (r *runner) lockHistory(ctx context.Context, name string) (sdk.History, error) {
	told, err := r.admin.LockHistory(ctx, name, mostTenures)
	var refused *sdk.Error
	if !errors.As(err, &refused) || refused.Code != sdk.CodeLockNotFound {
		return told, err
	}
	s, err := r.admin.Status(ctx)
	return sdk.History{Revision: s.CompactedRevision, CompactedRevision: s.CompactedRevision}, err
}

// close ends the nodes in good order, and looks at how they ended and what they
// have logged in all their lives.
func (r *runner) close(report *report) error {
	var err error
	if !report.stuck {
		err = r.closeInOrder()
	}
	for i := range r.cfg.nodes { // until what they had to say is in the log
		if ctx, cancel := context.WithTimeout(context.Background(), patience); r.node(i).Running() {
			_, late := r.node(i).Ended(ctx)
			err = errors.Join(err, late)
			cancel()
		} else {
			cancel()
		}
	}
	r.crashes()
	return err
}

// tearDown ends everything that was started.
func (r *runner) tearDown() {
	for _, p := range r.processes {
		p.kill()
	}
	if r.watchers != nil {
		r.watchers.stop()
		r.watchers.wg.Wait()
	}
	if r.admin != nil {
		_ = r.admin.Close()
	}
	if r.cluster != nil {
		r.cluster.Close()
	}
	for _, d := range r.disks {
		d.close()
	}
	if r.spare != nil {
		r.spare.close()
	}
	if r.net != nil {
		r.net.close()
	}
}
