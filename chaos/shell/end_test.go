package shell

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/sdk"
)

func TestDiffering(t *testing.T) {
	told := func(hashes ...string) sdk.Hashes {
		h := sdk.Hashes{Equal: true}
		for _, x := range hashes {
			h.Nodes = append(h.Nodes, sdk.NodeHash{Hash: x})
		}
		return h
	}
	silent := told("a", "a", "a")
	silent.Nodes[1].Error = "it has not answered"
	unequal := told("a", "a", "a")
	unequal.Equal = false
	for name, c := range map[string]struct {
		told  sdk.Hashes
		sound bool
	}{
		"the same":                        {told("a", "a", "a"), true},
		"one differs":                     {told("a", "a", "b"), false},
		"the first differs":               {told("b", "a", "a"), false},
		"one has not answered":            {silent, false},
		"one says nothing":                {told("a", "", "a"), false},
		"nobody says anything":            {told("", "", ""), false},
		"one is missing":                  {told("a", "a"), false},
		"the cell says that they are not": {unequal, false},
	} {
		if err := differing(c.told, 3); (err == nil) != c.sound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRemains(t *testing.T) {
	for name, c := range map[string]struct {
		r     remains
		wrong string
	}{
		"nothing":      {remains{}, ""},
		"what is free": {remains{locks: []sdk.LockInfo{{Name: "a"}}, elections: []sdk.ElectionInfo{{Name: "e"}}}, ""},
		"a session":    {remains{sessions: []sdk.SessionInfo{{ID: 7}}}, "1 sessions"},
		"a holder":     {remains{locks: []sdk.LockInfo{{Name: "a"}, {Name: "b", Holders: []sdk.Holder{{Session: 7}}}}}, `lock "b" has 1 holders`},
		"a waiter":     {remains{locks: []sdk.LockInfo{{Name: "a", WaiterCount: 1}}}, "1 waiters"},
		"a leader":     {remains{elections: []sdk.ElectionInfo{{Name: "e", Leader: &sdk.Leader{Session: 7}}}}, `election "e" has a leader`},
		"a key":        {remains{owned: 1}, "1 keys"},
	} {
		err := c.r.wrong()
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v: want %q", name, err, c.wrong)
		}
	}
}

// TestEndIsJudged: what a client has is seen until its session ends, and a node that
// does not answer keeps the others from having one hash with it.
func TestEndIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCell(settings{Seed: 1})
		defer w.close()
		if !w.begin() {
			t.Fatal("the cell does not begin")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(w.nothingLeft(ctx))
		s, err := w.clients[0].sdk.NewSession(ctx)
		must(err)
		_, err = s.Lock(ctx, "a")
		must(err)
		_, err = s.Campaign(ctx, "e", nil)
		must(err)
		_, err = w.clients[0].sdk.Put(ctx, ownedPrefix+"x", nil, sdk.OwnedBy(s.ID()))
		must(err)
		if r, err := w.remains(ctx); err != nil || len(r.sessions) != 1 || len(r.locks) != 1 || len(r.locks[0].Holders) != 1 ||
			len(r.elections) != 1 || r.elections[0].Leader == nil || r.owned != 1 {
			t.Errorf("of a session with a lock, a lead and a key there is %+v: %v", r, err)
		}
		if w.nothingLeft(ctx) == nil {
			t.Error("a client has everything, and nothing is said to be left")
		}
		must(s.Close(ctx))
		must(w.nothingLeft(ctx))

		must(w.sameHash(ctx))
		w.nodes[2].stop()
		if w.sameHash(ctx) == nil {
			t.Error("one of three nodes is gone, and all are said to have one hash")
		}
	})
}

// TestWithin: what does not come about in its time is a violation.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &cell{history: newHistory(), journal: &journal{}}
		turns := 0
		w.within(time.Second, "it takes three turns", func(context.Context) error {
			if turns++; turns < 3 {
				return errors.New("not yet")
			}
			return nil
		})
		if found := w.history.violations(); len(found) != 0 || turns != 3 {
			t.Errorf("after %d turns: %q", turns, found)
		}
		w.within(time.Second, "it never comes about", func(context.Context) error { return errors.New("never") })
		if found := w.history.violations(); len(found) != 1 || !strings.Contains(found[0], "it never comes about: never") {
			t.Errorf("found %q", found)
		}
	})
}
