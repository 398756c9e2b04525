package main

import (
	"fmt"
	"time"

	"github.com/conch-lock/conch/raftnode/disk"
)

// stage is a cell that has stopped, from whose disks injections begin.
type stage struct {
	disks   []*disk.Mem
	earlier []*disk.Mem // the same disks at some time before
	acked   map[string]string
	tried   int
	now     time.Duration
}

// newStage has a cell work and stop.
func newStage(seed uint64) (*stage, error) {
	c := newCluster(seed)
	c.start()
	s := &stage{}
	puts := 60 + c.rng.IntN(120)
	at := puts / 4 * (1 + c.rng.IntN(3)) // when the earlier copies are taken
	for i := range puts {
		if i%15 == 0 {
			for _, n := range c.nodes {
				n.cut = false
			}
			if c.rng.IntN(2) == 0 {
				c.nodes[c.rng.IntN(nodes)].cut = true
			}
		}
		if i == at {
			for _, n := range c.nodes {
				s.earlier = append(s.earlier, n.fs.Clone())
			}
		}
		c.put(3 * time.Second)
	}
	if len(c.acked) < 30 {
		return nil, fmt.Errorf("stage %d: only %d keys were acknowledged of %d", seed, len(c.acked), puts)
	}
	// It falls idle, and what was acknowledged last is sealed. One node may still
	// be cut off and lack it.
	c.run(time.Second, func() bool { return false })
	for _, n := range c.nodes {
		if n.died != nil || n.refused != nil {
			return nil, fmt.Errorf("stage %d: node %v: %v %v", seed, n.id, n.died, n.refused)
		}
	}
	c.stop()
	for _, n := range c.nodes {
		s.disks = append(s.disks, n.fs)
	}
	s.acked, s.tried, s.now = c.acked, c.tried, c.now
	return s, nil
}

// play makes a cell of clones of the disks.
func (s *stage) play(seed uint64) *cluster {
	c := newCluster(seed)
	c.begun, c.tried, c.now = true, s.tried, s.now
	for k, v := range s.acked {
		c.acked[k] = v
	}
	for i, n := range c.nodes {
		n.fs, n.boot = s.disks[i].Clone(), 1
	}
	return c
}
