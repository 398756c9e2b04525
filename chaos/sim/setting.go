package sim

import (
	"math/rand/v2"
	"time"

	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/raftnode"
)

// setting is what a seed draws before it begins: every run has some faults and
// some work and not others, since what happens all the time hides what happens
// in its absence.
type setting struct {
	work    Work
	weights [faultKinds]int
	arrival time.Duration // mean time between faults
	tuning  raftnode.Tuning
	limits  machine.Limits
	ailment ailment
	pace    time.Duration // how many times as long clients and observers rest as in the busiest runs
}

func newSetting(rng *rand.Rand, cfg Config) setting {
	s := setting{work: drawWork(rng)}
	if cfg.Work != 0 {
		s.work = cfg.Work
	}
	all := rng.IntN(4) == 0
	for k := range s.weights {
		if all || rng.IntN(2) == 0 {
			s.weights[k] = usual[k]
		}
	}
	s.arrival = between(rng, 700*time.Millisecond, 4*time.Second)
	pick := func(from ...int) int { return from[rng.IntN(len(from))] }
	s.tuning = raftnode.Tuning{
		Tick:            time.Duration(pick(50, 100, 100)) * time.Millisecond,
		ElectionTicks:   pick(12, 12, 10),
		SnapshotEntries: uint64(pick(15, 50, 150, 400)),
		SnapshotBytes:   1 << 20,
		SnapshotSlices:  1,
		TrailingEntries: uint64(pick(1, 20, 100)),
		SnapshotHold:    time.Duration(pick(1, 10, 60)) * time.Second,
		SegmentBytes:    int64(pick(16, 32, 64)) << 10,
		PromoteLag:      uint64(pick(5, 50, 1000)),
		ChangeTimeout:   4 * time.Second,
	}
	s.limits = machine.Limits{
		Sessions: 1000, Claims: 1000, Waiters: 100,
		Store: store.Options{KeepRevisions: uint64(pick(30, 100, 1000))},
	}
	if s.work&Crowd != 0 {
		s.limits.Claims, s.limits.Waiters = 3000, 2000
	}
	if cfg.Work == 0 && rng.IntN(400) == 0 {
		s.work = Ailing
	}
	if s.work&Ailing != 0 {
		s.work, s.weights, s.ailment = Ailing, [faultKinds]int{}, ailment(rng.IntN(int(ailments)))
	}
	s.tuning.SnapshotSync = int64(pick(1, 1<<10, 1<<20))
	s.tuning.SnapshotPause = time.Duration(pick(-1, 1, 30)) * time.Millisecond
	// A cell of which little is asked, with the long TTLs of such use, comes to
	// states that a busy one never has: nothing but time in its entries, watches
	// that hear nothing, followers that are behind with nothing to bring them up.
	s.pace = time.Duration(pick(1, 3, 10, 10))
	if cfg.Pace != 0 {
		s.pace = time.Duration(cfg.Pace)
	}
	if s.work&(Crowd|Ailing) != 0 {
		s.pace = 1
	}
	s.tuning.MaxUncommitted = int64(pick(1<<10, 4<<10, 64<<20, 64<<20)) // drawn last: it changes nothing else
	return s
}

func drawWork(rng *rand.Rand) Work {
	var k Work
	for _, one := range []Work{Exclusive, Shared, Permits, Many, Campaigns, Keys} {
		if rng.IntN(3) > 0 {
			k |= one
		}
	}
	if k&(Exclusive|Shared|Permits|Campaigns) == 0 {
		k |= Exclusive
	}
	if rng.IntN(40) == 0 {
		k |= Crowd
	}
	return k
}

// election is how long a follower waits for its leader at the least.
func (s *setting) election() time.Duration {
	return time.Duration(s.tuning.ElectionTicks) * s.tuning.Tick
}

// ttls is what clients draw the TTL of a session from.
func (s *setting) ttls() [4]time.Duration {
	if s.pace > 1 {
		return [...]time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 20 * time.Second}
	}
	return [...]time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second}
}
