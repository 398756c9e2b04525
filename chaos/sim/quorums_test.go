package sim

import (
	"testing"

	"github.com/conch-lock/conch/raftnode"
)

func TestQuorumsOverlap(t *testing.T) {
	of := func(ids ...raftnode.NodeID) []raftnode.NodeID { return ids }
	for name, x := range map[string]struct {
		before, after quorums
		sound         bool
	}{
		"the same":                  {quorums{voters: of(1, 2, 3)}, quorums{voters: of(1, 2, 3)}, true},
		"one more":                  {quorums{voters: of(1, 2, 3)}, quorums{voters: of(1, 2, 3, 4)}, true},
		"one less":                  {quorums{voters: of(1, 2, 3, 4)}, quorums{voters: of(2, 3, 4)}, true},
		"one for another, at once":  {quorums{voters: of(1, 2, 3)}, quorums{voters: of(1, 2, 4)}, false},
		"two for others":            {quorums{voters: of(1, 2, 3)}, quorums{voters: of(1, 4, 5)}, false},
		"two more at once":          {quorums{voters: of(1, 2, 3)}, quorums{voters: of(1, 2, 3, 4, 5)}, false},
		"into a joint one":          {quorums{voters: of(1, 2, 3)}, quorums{of(1, 4, 5), of(1, 2, 3)}, true},
		"out of it":                 {quorums{of(1, 4, 5), of(1, 2, 3)}, quorums{voters: of(1, 4, 5)}, true},
		"out of it, to the wrong":   {quorums{of(1, 4, 5), of(1, 2, 3)}, quorums{voters: of(4, 6, 7)}, false},
		"a joint one without these": {quorums{voters: of(1, 2, 3)}, quorums{of(1, 4, 5), of(3, 4, 5)}, false},
	} {
		err := x.before.overlap(&x.after)
		if x.sound {
			wantSound(t, name, err)
		} else {
			wantBroken(t, name, err)
		}
	}
}
