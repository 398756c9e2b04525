package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Fault is a kind of fault.
type Fault uint8

// The kinds of faults.
const (
	faultCrash Fault = iota // at one of the next steps
	faultKill
	faultKillAll
	faultPause
	faultIsolate
	faultOneWay
	faultLink
	faultSplit
	faultFlap
	faultNet
	faultSlowDisk
	faultFullDisk
	faultSync
	faultWrite
	faultDamage
	faultLoseDisk
	faultClockJump
	faultClockRate
	faultWallJump
	faultClientPause
	faultClientClock
	faultClientCut
	faultTransfer
	faultPin
	faultAdd
	faultRemove
	faultReplace
	faultCrashInJoint

	faultKinds
)

var faultNames = [faultKinds]string{
	"crash", "kill", "kill all", "pause", "isolate", "cut one way", "cut link", "split", "flap", "rough network",
	"slow disk", "full disk", "failing fsync", "failing write", "damage", "lost disk",
	"clock jump", "clock rate", "wall clock jump", "client pause", "client clock jump", "client cut",
	"transfer", "pin to leader", "add member", "remove member", "replace member", "crash in joint",
}

// String is the fault's name.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return fmt.Sprint("fault ", uint8(f))
}

// usual is how often each is drawn beside the others.
var usual = [faultKinds]int{
	faultCrash: 12, faultKill: 5, faultKillAll: 3, faultPause: 8, faultIsolate: 5, faultOneWay: 4, faultLink: 4,
	faultSplit: 3, faultFlap: 3, faultNet: 5, faultSlowDisk: 4, faultFullDisk: 2, faultSync: 2, faultWrite: 2,
	faultDamage: 3, faultLoseDisk: 1, faultClockJump: 2, faultClockRate: 3, faultWallJump: 1,
	faultClientPause: 5, faultClientClock: 1, faultClientCut: 4, faultTransfer: 5, faultPin: 5,
	faultAdd: 2, faultRemove: 2, faultReplace: 2, faultCrashInJoint: 2,
}

// planned is a fault that is to happen. Its details are drawn when it does, from
// a source of its own, so that leaving others out changes as little as can be.
type planned struct {
	at   time.Duration
	kind Fault
	seed uint64
}

// newPlan draws the faults of a run. The plan of a shorter run is the beginning
// of that of a longer one.
func newPlan(rng *rand.Rand, s setting, length time.Duration) []planned {
	total := 0
	for _, n := range s.weights {
		total += n
	}
	var l []planned
	at := between(rng, 300*time.Millisecond, 3*time.Second)
	for total > 0 {
		for range 1 + rng.IntN(2) {
			draw := rng.IntN(total)
			kind := Fault(0)
			for ; draw >= s.weights[kind]; kind++ {
				draw -= s.weights[kind]
			}
			if at < length {
				l = append(l, planned{at, kind, rng.Uint64()})
			}
		}
		if at >= length {
			break
		}
		at += time.Duration(rng.ExpFloat64()*float64(s.arrival)) + 50*time.Millisecond
	}
	return l
}

// planned are the faults of a run of which nothing is there yet.
func (w *world) planned() []planned {
	s := newSetting(w.stream(streamSetting, 0), w.cfg)
	length := w.cfg.Length
	if s.work == Ailing {
		length = ailingLength
	}
	return newPlan(w.stream(streamPlan, 0), s, length)
}

// schedule lets the plan happen, or the part of it that is wanted.
func (w *world) schedule() {
	for i, p := range w.plan {
		if w.cfg.Only != nil && !slices.Contains(w.cfg.Only, i) {
			continue
		}
		w.after(p.at, func() {
			if w.healed != 0 {
				return
			}
			rng := rand.New(rand.NewPCG(p.seed, uint64(p.kind)))
			w.tell("fault %d: %v", i, p.kind)
			w.tally.Faults[p.kind]++
			w.fault(p.kind, rng)
		})
	}
}
