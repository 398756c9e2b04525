//go:build linux

package main

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// detour is a second way between the nodes and to the clients, beside the bridge:
// a device in every namespace whose packets come to this program, which hands them
// on late, out of order or twice. Packets take it while routes lead there, so that
// it costs nothing when it is not used.
type detour struct {
	ports []*port // of the nodes, and last that of the clients

	mu      sync.Mutex
	rng     *rand.Rand
	manners map[int]manner // by node whose packets take the detour
	silent  map[int]bool   // nodes that nothing comes from or to
	waiting parcels
	count   uint64
	latest  map[[2]int]time.Time // when the last packet of a pair that keeps its order arrives
	more    chan struct{}        // something is waiting that was not
	closed  chan struct{}
	wg      sync.WaitGroup
}

// port is a device that the detour reads and writes.
type port struct {
	device  *os.File
	space   string // its namespace; empty: that of this program
	name    string
	address string
}

// manner is what happens to packets.
type manner struct {
	delay   time.Duration // of each
	jitter  time.Duration // and up to so much more
	ordered bool          // a later one is never earlier
	twice   int           // percent that come twice
}

func (m manner) String() string {
	return fmt.Sprintf("%v to %v late, in order %v, %d %% twice", m.delay, m.delay+m.jitter, m.ordered, m.twice)
}

// newDetour makes a device for each node and one for the clients.
func newDetour(id int, w *network, seed uint64) (*detour, error) {
	d := &detour{
		rng:     rand.New(rand.NewPCG(seed, 2)),
		manners: map[int]manner{}, silent: map[int]bool{}, latest: map[[2]int]time.Time{},
		more: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	add := func(i int, space, address string) error {
		name := fmt.Sprintf("cpt%d-%d", id, i)
		device, err := tun(name)
		if err != nil {
			return err
		}
		d.ports = append(d.ports, &port{device, space, name, address})
		if space == "" {
			return command1("ip link set " + name + " up")
		}
		return commands("ip link set "+name+" netns "+space, "ip -n "+space+" link set "+name+" up")
	}
	var err error
	for i, space := range w.spaces {
		err = errors.Join(err, add(i, space, w.hosts[i].Address))
	}
	if err = errors.Join(err, add(len(w.spaces), "", w.gateway)); err != nil {
		d.close()
		return nil, fmt.Errorf("a device for late packets: %w", err)
	}
	byAddress := map[string]int{}
	for i, p := range d.ports {
		byAddress[p.address] = i
	}
	for i := range d.ports {
		d.wg.Go(func() { d.read(i, byAddress) })
	}
	d.wg.Go(d.deliver)
	return d, nil
}

const tunDevice = "/dev/net/tun"

// errNoTun: this machine has no such devices, or does not give them away.
var errNoTun = errors.New(tunDevice + " cannot be opened")

// tun makes a device of which whole IP packets are read, and written to.
func tun(name string) (*os.File, error) {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoTun, err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s, %s: %w", tunDevice, name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (d *detour) close() {
	close(d.closed)
	for _, p := range d.ports {
		_ = p.device.Close() // and it is gone
	}
	d.wg.Wait()
}

// take has the packets between a node and others take the detour.
func (d *detour) take(node int, others []int, m manner) error {
	d.mu.Lock()
	d.manners[node] = m
	d.mu.Unlock()
	return d.routes("replace", node, others)
}

// leave has them take the bridge again. Those under way arrive.
func (d *detour) leave(node int, others []int) error {
	err := d.routes("del", node, others)
	d.mu.Lock()
	delete(d.manners, node)
	d.mu.Unlock()
	return err
}

// routes changes the routes between a node and others, both ways. A route belongs
// to a pair: of two nodes on detours the first to leave takes it away.
func (d *detour) routes(verb string, node int, others []int) error {
	var errs []error
	for _, other := range others {
		for _, pair := range [][2]*port{{d.ports[node], d.ports[other]}, {d.ports[other], d.ports[node]}} {
			from, to := pair[0], pair[1]
			line := "ip "
			if from.space != "" {
				line += "-n " + from.space + " "
			}
			err := command1(line + "route " + verb + " " + to.address + "/32 dev " + from.name + " src " + from.address)
			if verb != "del" {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// silence drops what comes from a node and what goes to it.
func (d *detour) silence(node int, silent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent[node] = silent
}

// read takes packets from a port until it is closed.
func (d *detour) read(from int, byAddress map[string]int) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := d.ports[from].device.Read(buffer)
		if err != nil {
			return
		}
		if n < 20 || buffer[0]>>4 != 4 {
			continue // not of IP version 4
		}
		to, ok := byAddress[fmt.Sprintf("%d.%d.%d.%d", buffer[16], buffer[17], buffer[18], buffer[19])]
		if ok && to != from {
			d.send(from, to, append([]byte(nil), buffer[:n]...))
		}
	}
}

// send puts a packet where it waits for its time.
func (d *detour) send(from, to int, packet []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.silent[from] || d.silent[to] {
		return
	}
	at, ordered, copies := time.Now(), true, 1
	for _, node := range []int{from, to} {
		m, ok := d.manners[node]
		if !ok {
			continue
		}
		at = at.Add(m.delay + time.Duration(d.rng.Int64N(int64(m.jitter)+1)))
		ordered = ordered && m.ordered
		if d.rng.IntN(100) < m.twice {
			copies = 2
		}
	}
	pair := [2]int{from, to}
	if ordered && at.Before(d.latest[pair]) {
		at = d.latest[pair]
	}
	d.latest[pair] = at
	for range copies {
		d.count++
		heap.Push(&d.waiting, parcel{at, d.count, to, packet})
	}
	select {
	case d.more <- struct{}{}:
	default:
	}
}

// deliver hands packets on when their time has come.
func (d *detour) deliver() {
	for {
		d.mu.Lock()
		var due []parcel
		wait := time.Hour
		for len(d.waiting) > 0 {
			if wait = time.Until(d.waiting[0].at); wait > 0 {
				break
			}
			due = append(due, heap.Pop(&d.waiting).(parcel))
			wait = time.Hour
		}
		d.mu.Unlock()
		for _, p := range due {
			_, _ = d.ports[p.to].device.Write(p.packet) // a node that takes no more loses it
		}
		select {
		case <-d.closed:
			return
		case <-d.more:
		case <-time.After(wait):
		}
	}
}

// parcel is a packet that waits.
type parcel struct {
	at     time.Time
	number uint64
	to     int
	packet []byte
}

// parcels are in order of their time.
type parcels []parcel

func (p parcels) Len() int      { return len(p) }
func (p parcels) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *parcels) Push(x any)   { *p = append(*p, x.(parcel)) }
func (p parcels) Less(i, j int) bool {
	return p[i].at.Before(p[j].at) || p[i].at.Equal(p[j].at) && p[i].number < p[j].number
}
func (p *parcels) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}
