package main

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/conch-lock/conch/raftnode/disk"
)

// kinds are the kinds of damage.
var kinds = []string{
	"bit flipped", "bits flipped", "sector zeroed", "bytes overwritten", "truncated", "file removed", "older file", "log removed", "snapshots removed",
}

// result is what came of an injection.
type result struct {
	kind    string
	file    string
	outcome string // refused, stopped, or goes on
	reason  string // of a refusal or stop
	bad     string // what is wrong; empty: nothing
}

// order is what is damaged, and who starts first after it.
type order int

const (
	files     order = iota // some files; the damaged node and one other start first
	wholeLast              // the whole directory; the damaged node starts last
	// The whole directory, and the damaged node starts first: acknowledged effects
	// are lost then, as nobody can know. It shows that losses are found here.
	wholeFirst
)

// inject damages a node of a stage and looks what comes of it.
func inject(s *stage, seed uint64, o order) result {
	c := s.play(seed)
	defer c.stop()
	victim := c.nodes[c.rng.IntN(nodes)]
	r := result{kind: kinds[c.rng.IntN(len(kinds))]}
	if o != files {
		r.kind = "older directory"
	}
	if r.file = damage(c.rng, victim.fs, s.earlier[victim.id-1], r.kind); r.file == "" {
		return r
	}

	// The damaged one and another first; the third when they have had their time.
	others := slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return n == victim })
	c.rng.Shuffle(2, func(i, j int) { others[i], others[j] = others[j], others[i] })
	if o == wholeLast {
		others[0].start()
		others[1].start()
		c.put(5 * time.Second)
		victim.start()
	} else {
		victim.start()
		others[0].start()
		c.put(2500 * time.Millisecond) // may well find no majority
		others[1].start()
	}
	for range 3 {
		c.put(10 * time.Second)
	}
	if l := c.leader(); l != nil {
		if lost := c.missing(l); len(lost) > 0 {
			r.bad = fmt.Sprintf("LOST: the leader, node %v, lacks %d acknowledged keys, such as %q", l.id, len(lost), lost[0])
			return r
		}
	}
	for _, n := range others {
		if n.refused != nil || n.died != nil {
			r.bad = fmt.Sprintf("node %v, which was not damaged, %v %v", n.id, n.refused, n.died)
			return r
		}
	}
	if !c.run(20*time.Second, c.level) {
		r.bad = "the nodes that run do not come to one state within 20 s"
		return r
	}
	for _, n := range c.nodes {
		if n.replica == nil {
			continue
		}
		if lost := c.missing(n); len(lost) > 0 {
			r.bad = fmt.Sprintf("LOST: node %v lacks %d acknowledged keys, such as %q", n.id, len(lost), lost[0])
			return r
		}
		if n.cell.Machine().Store().Hash() != c.leader().cell.Machine().Store().Hash() {
			r.bad = fmt.Sprintf("DIVERGED: node %v has another state than node %v", n.id, c.leader().id)
			return r
		}
	}
	switch {
	case victim.refused != nil:
		r.outcome, r.reason = "refused", victim.refused.Error()
		if !named(r.reason) {
			r.bad = "the refusal does not say what is wrong: " + r.reason
		}
	case victim.died != nil:
		r.outcome, r.reason = "stopped", victim.died.Error()
		if !named(r.reason) {
			r.bad = "the end does not say what is wrong: " + r.reason
		}
	default:
		r.outcome = "goes on"
	}
	return r
}

// named says whether a reason names a file, or what is missing.
func named(reason string) bool {
	return strings.Contains(reason, folder+"/") || strings.Contains(reason, "is gone") || strings.Contains(reason, "snapshot")
}

// damage does it and says to what; empty: there is nothing to do it to.
func damage(rng *rand.Rand, fs, earlier *disk.Mem, kind string) string {
	logs, snapshots := list(fs, folder+"/log"), list(fs, folder+"/snapshots")
	file := ""
	if pool := logs; len(snapshots) > 0 && rng.IntN(3) == 0 {
		file = snapshots[rng.IntN(len(snapshots))]
	} else if len(pool) > 0 {
		file = pool[rng.IntN(len(pool))]
	}
	data, err := fs.ReadFile(file)
	if err != nil || len(data) == 0 {
		return ""
	}
	used := len(data) // where the zeros begin that fill a segment
	for used > 1 && data[used-1] == 0 {
		used--
	}
	switch kind {
	case "bit flipped":
		must(fs.FlipBit(file, int64(rng.IntN(used)), uint(rng.IntN(8))))
	case "bits flipped":
		for range 2 + rng.IntN(20) {
			must(fs.FlipBit(file, int64(rng.IntN(used)), uint(rng.IntN(8))))
		}
	case "sector zeroed":
		must(fs.ZeroSector(file, int64(rng.IntN((used+511)/512))))
	case "bytes overwritten":
		at := rng.IntN(used)
		for i := at; i < min(len(data), at+1+rng.IntN(300)); i++ {
			data[i] = byte(rng.Uint32())
		}
		must(fs.WriteFile(file, data))
	case "truncated":
		must(fs.WriteFile(file, data[:rng.IntN(used)]))
	case "file removed":
		must(fs.Remove(file))
	case "older file":
		// Of the log the newest segment is left out: with it the log is as it was
		// then, which is "older directory".
		old, err := earlier.ReadFile(file)
		if err != nil || file == newest(logs) {
			return ""
		}
		must(fs.WriteFile(file, old))
	case "log removed":
		for _, f := range logs {
			must(fs.Remove(f))
		}
		return folder + "/log"
	case "snapshots removed":
		for _, f := range snapshots {
			must(fs.Remove(f))
		}
		return folder + "/snapshots"
	case "older directory":
		for _, f := range slices.Concat(logs, snapshots) {
			must(fs.Remove(f))
		}
		for _, f := range slices.Concat(list(earlier, folder+"/log"), list(earlier, folder+"/snapshots")) {
			old, err := earlier.ReadFile(f)
			must(err)
			must(fs.WriteFile(f, old))
		}
		return folder
	}
	return file
}

func newest(logs []string) string {
	return slices.Max(slices.DeleteFunc(slices.Clone(logs), func(f string) bool { return !strings.HasSuffix(f, ".wal") }))
}

func list(fs *disk.Mem, dir string) []string {
	names, err := fs.List(dir)
	must(err)
	var out []string
	for _, n := range names {
		if n != "LOCK" {
			out = append(out, path.Join(dir, n))
		}
	}
	slices.Sort(out)
	return out
}

// must is for what cannot fail on a disk in memory.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("damage: %v", err))
	}
}
