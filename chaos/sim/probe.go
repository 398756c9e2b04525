package sim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/raftnode"
)

// probe writes at every voter, again and again, from when everything healed: it
// tells how long the cell takes to be of use.
type probe struct {
	w     *world
	c     *client
	begun uint64        // the newest term when everything healed
	term  uint64        // of the newest leader before the first write
	led   time.Duration // when it began to lead; 0: before everything healed
	wrote time.Duration // when a write was answered first; 0: not yet
}

// newProbe begins to write. What it writes is one session, asked for anew.
func newProbe(w *world) *probe {
	rng := w.stream(streamProbe, 0)
	p := &probe{w: w, c: &client{w: w, id: 1 << 20, rng: rng, clock: newClock(rng), idle: true}}
	binary.BigEndian.PutUint64(p.c.nonce[:], uint64(p.c.id)<<32)
	p.c.ttl = 5 * time.Second
	w.witness.byNonce[p.c.nonce] = &opening{client: p.c, safe: p.c.local() + safely(p.c.ttl)}
	for _, n := range w.running() {
		p.begun = max(p.begun, n.replica.Status().Term)
	}
	p.ask()
	w.after(patience-time.Second, p.late)
	return p
}

// late: there was no answer at all.
func (p *probe) late() {
	if p.wrote == 0 {
		p.wrote = p.w.now
		p.judge()
	}
}

// elected: a node began to lead.
func (p *probe) elected(term uint64) {
	if p.wrote == 0 {
		p.led, p.term = p.w.now, term
	}
}

func (p *probe) judge() {
	split := 0
	if p.term > p.begun {
		split = int(p.term-p.begun) - 1
	}
	well := func(id raftnode.NodeID) bool {
		return slices.ContainsFunc(p.w.voters(), func(n *node) bool { return n.id == id && n.up })
	}
	led, wrote := p.led-p.w.net.lastStale(p.w.healed, p.led, well), p.wrote-p.w.net.lastStale(p.w.healed, p.wrote, well)
	p.w.check(Prompt, prompt(led, wrote, p.w.set.election(), split))
}

// probeEvery is how often it writes.
const probeEvery = 50 * time.Millisecond

func (p *probe) ask() {
	if p.wrote != 0 {
		return
	}
	for _, n := range p.w.voters() {
		p.c.node = n.id
		p.c.submit(&machine.OpenSession{Nonce: p.c.nonce, TTL: uint64(p.c.ttl / time.Millisecond)}, func(r machine.Reply, err error) {
			if err == nil && r.Code == machine.OK && p.wrote == 0 {
				p.wrote = p.w.now
				p.judge()
			}
		})
	}
	p.w.after(probeEvery, p.ask)
}

// prompt judges how long after everything healed a leader began to lead, if that
// was not before, and the first write was answered: two and three times what a
// slow clock takes for the shortest election, and a second. After a term in which
// votes were split nodes draw anew, up to twice an election; two such terms are
// allowed for. A stale message begins the time anew: one of a thousand is lost or
// on its way for up to three seconds, also when everything has healed.
func prompt(led, wrote, election time.Duration, split int) error {
	election = time.Duration(float64(election) / (1 - maxSkew))
	again := 2 * election * time.Duration(min(split, 2))
	if most := 2*election + time.Second + again; led > most {
		return fmt.Errorf("a leader began to lead %v after everything healed, at most %v are allowed", led, most)
	}
	if most := 3*election + time.Second + again; wrote > most {
		return fmt.Errorf("the first write was answered %v after everything healed, at most %v are allowed", wrote, most)
	}
	return nil
}
