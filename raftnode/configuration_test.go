package raftnode

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"pgregory.net/rapid"
)

// TestChangerOf: the short way to a changer ends where raft's own does.
func TestChangerOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var cs raftpb.ConfState
		ids := rapid.Permutation([]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}).Draw(t, "ids")
		take := func(name string, least, most int) (l []uint64) {
			n := rapid.IntRange(least, most).Draw(t, name)
			l, ids = ids[:n:n], ids[n:]
			return l
		}
		cs.Voters = take("voters", 1, 4)
		cs.Learners = take("learners", 0, 2)
		cs.AutoLeave = new(bool)
		if joint := take("leaving", 0, 2); len(joint) > 0 {
			// Some voters stay, and one that leaves may do so to be a learner.
			stay := rapid.IntRange(0, len(cs.Voters)).Draw(t, "stay")
			cs.VotersOutgoing = append(slices.Clone(cs.Voters[:stay]), joint...)
			if rapid.Bool().Draw(t, "demoted") {
				cs.LearnersNext = joint[:1]
			}
			*cs.AutoLeave = rapid.Bool().Draw(t, "auto")
		}
		if err := validateConf(&cs); err != nil {
			t.Fatalf("%v: %v", &cs, err)
		}
		cfg, progress, err := confchange.Restore(confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0), LastIndex: 1}, &cs)
		if err != nil {
			t.Fatal(err)
		}
		got := changerOf(&cs).Tracker
		if !reflect.DeepEqual(got.Config, cfg) {
			t.Errorf("%v: the configuration is %+v, want %+v", &cs, got.Config, cfg)
		}
		learns := func(m tracker.ProgressMap) map[uint64]bool {
			l := map[uint64]bool{}
			for id, p := range m {
				l[id] = p.IsLearner
			}
			return l
		}
		if got, want := learns(got.Progress), learns(progress); !maps.Equal(got, want) {
			t.Errorf("%v: who learns is %v, want %v", &cs, got, want)
		}
	})
}
