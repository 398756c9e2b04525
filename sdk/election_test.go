package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/api"
)

func lead(t *testing.T, s *Session, name, value string, opts ...CampaignOption) *Leadership {
	t.Helper()
	l, err := s.Campaign(t.Context(), name, []byte(value), opts...)
	if err != nil {
		t.Fatalf("Campaign %q: %v", name, err)
	}
	return l
}

// stand campaigns in the background; the candidate waits when it returns.
func stand(t *testing.T, s *Session, name, value string, opts ...CampaignOption) <-chan *Leadership {
	t.Helper()
	leads := make(chan *Leadership, 1)
	go func() {
		l, err := s.Campaign(t.Context(), name, []byte(value), opts...)
		if err != nil {
			t.Errorf("Campaign %q: %v", name, err)
		}
		leads <- l
	}()
	synctest.Wait()
	return leads
}

func isProclaim(r *api.Request) bool { return r.GetProclaim() != nil }
func isTransfer(r *api.Request) bool { return r.GetTransfer() != nil }
func isCampaign(r *api.Request) bool { return r.GetCampaign() != nil }

func everywhere(f *fakeCell, h func(*api.Request) fault) {
	for e := range f.nodes {
		f.hook(e, h)
	}
}

func TestCampaign(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a, b := open(t, c), open(t, c)
		one := lead(t, a, "e", "one")
		if one.Name() != "e" || one.Term() != 1 || one.Token() == 0 || one.Err() != nil || one.Session() != a || one.Predecessor().Token != 0 {
			t.Errorf("first: %+v", one.grant)
		}
		if one.Deadline().Before(time.Now()) || one.Context().Err() != nil {
			t.Error("it does not lead")
		}
		next := stand(t, b, "e", "two")
		if err := one.Proclaim(t.Context(), []byte("last words")); err != nil {
			t.Error(err)
		}
		if err := one.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		want(t, "Err", one.Err(), ErrResigned)
		want(t, "cause", context.Cause(one.Context()), ErrResigned)
		<-one.Done()
		if err := one.Resign(t.Context()); err != nil {
			t.Errorf("Resign again: %v", err)
		}
		want(t, "Proclaim afterwards", one.Proclaim(t.Context(), nil), ErrResigned)
		want(t, "Transfer afterwards", one.Transfer(t.Context(), b.ID()), ErrResigned)
		two := <-next
		if p := two.Predecessor(); two.Term() != 2 || two.Token() <= one.Token() ||
			p.Token != one.Token() || p.Session != a.ID() || p.Ended != ReasonReleased || p.Value.String() != "last words" {
			t.Errorf("second: term %d, predecessor %+v", two.Term(), p)
		}
		_, err := a.Campaign(t.Context(), "e", nil, WithWait(0))
		var held *Error
		if want(t, "no wait", err, ErrHeld); errors.As(err, &held) && (held.Holder != b.ID() || held.Token != two.Token()) {
			t.Errorf("held: %+v", held)
		}
		start := time.Now()
		_, err = a.Campaign(t.Context(), "e", nil, WithWait(3*time.Second))
		if want(t, "short wait", err, ErrWaitTimedOut); time.Since(start) != 3*time.Second {
			t.Errorf("waited %v", time.Since(start))
		}
		// Given up by its context: no candidate stays behind.
		ctx := within(t, time.Second)
		_, err = a.Campaign(ctx, "e", nil)
		want(t, "given up", err, context.DeadlineExceeded)
		synctest.Wait()
		if _, waiting := f.queue("election e"); waiting != 0 {
			t.Errorf("%d candidates are left", waiting)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		want(t, "closed", two.Err(), ErrSessionClosed)
	})
}

// What a leader does happens once, though answers are lost and connections break.
func TestLeaderCommandsHappenOnce(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a, b := open(t, c), open(t, c)
		everywhere(f, nth(1, fault{loseReply: true, kill: true}, isCampaign))
		one := lead(t, a, "e", "one")
		everywhere(f, nth(1, fault{loseReply: true, kill: true}, isProclaim))
		if err := one.Proclaim(t.Context(), []byte("again")); err != nil {
			t.Error(err)
		}
		next := stand(t, b, "e", "two")
		everywhere(f, nth(1, fault{loseReply: true, kill: true}, isTransfer))
		if err := one.Transfer(t.Context(), b.ID()); err != nil {
			t.Error(err)
		}
		want(t, "handed over", one.Err(), ErrTransferred)
		two := <-next
		if two.Predecessor().Ended != ReasonTransferred || two.Predecessor().Value.String() != "again" || two.Term() != 2 {
			t.Errorf("second: term %d, predecessor %+v", two.Term(), two.Predecessor())
		}
		f.with(func() {
			for _, what := range []string{"proclaim", "transfer"} {
				if f.applied[what] != 1 {
					t.Errorf("%s happened %d times", what, f.applied[what])
				}
			}
		})
	})
}

func TestTransferToADeadCandidate(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a, b := open(t, c), open(t, c)
		one := lead(t, a, "e", "one")
		want(t, "to one that does not stand", one.Transfer(t.Context(), b.ID()), ErrNotFound)
		want(t, "to nobody", one.Transfer(t.Context(), 0), ErrInvalid)
		if one.Err() != nil {
			t.Errorf("it leads no more: %v", one.Err())
		}
		if err := one.Proclaim(t.Context(), []byte("still here")); err != nil {
			t.Error(err)
		}
	})
}

// A leader is told of its end, now or when it is connected again.
func TestLeaderIsOusted(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a, b := open(t, c), open(t, c)
		one := lead(t, a, "e", "one")
		next := stand(t, b, "e", "two")
		token, err := c.TransferElection(t.Context(), "e", one.Token(), b.ID(), "maintenance")
		if err != nil {
			t.Fatal(err)
		}
		<-one.Done()
		if want(t, "handed over by an operator", one.Err(), ErrTransferred); !strings.Contains(one.Err().Error(), "maintenance") {
			t.Errorf("the reason is missing: %v", one.Err())
		}
		two := <-next
		if two.Token() != token {
			t.Errorf("token %d, the operator was told %d", two.Token(), token)
		}
		want(t, "another token", c.ResignElection(t.Context(), "e", one.Token(), ""), ErrTokenMismatch)
		want(t, "another session", c.ResignAs(t.Context(), "e", a.ID(), two.Token(), ""), ErrNotHolder)
		want(t, "no session", c.ResignAs(t.Context(), "e", 0, two.Token(), ""), ErrInvalid)
		// What acts for the leader resigns in its name.
		own := lead(t, a, "own", "")
		if err := c.ResignAs(t.Context(), "own", a.ID(), own.Token(), "enough"); err != nil {
			t.Error(err)
		}
		<-own.Done()
		if want(t, "resigned in its name", own.Err(), ErrResigned); !strings.Contains(own.Err().Error(), "enough") {
			t.Errorf("the reason is missing: %v", own.Err())
		}
		if info, err := c.ShowElection(t.Context(), "own"); err != nil || info.Last.Ended != ReasonReleased {
			t.Errorf("afterwards: %+v, %v", info, err)
		}
		_, err = c.TransferElection(t.Context(), "e", two.Token(), a.ID(), "")
		want(t, "to no candidate", err, ErrNotFound)
		if err := c.ProclaimAs(t.Context(), "e", two.Token(), []byte("by hand")); err != nil {
			t.Error(err)
		}
		// Without a connection it goes on believing, until there is one.
		f.unplug()
		f.with(func() { f.dropFor(f.elections["e"].leader, api.EndReason_END_BROKEN) })
		if two.Err() != nil {
			t.Errorf("it cannot know: %v", two.Err())
		}
		f.plug()
		<-two.Done()
		want(t, "broken unheard", two.Err(), ErrBroken)
	})
}

// What took a lead or a lock away while its client was not connected is told with
// the attachment, as the cell remembers it.
func TestEndedUnheardIsToldTruthfully(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a := open(t, c)
		handed, broken := lead(t, a, "handed", ""), lead(t, a, "broken", "")
		f.unplug()
		f.with(func() {
			f.sessions[uint64(a.ID())].stream = nil
			f.oust(f.elections["handed"].leader, api.EndReason_END_TRANSFERRED, api.Code_CLAIM_TRANSFERRED, "host a is drained")
			f.oust(f.elections["broken"].leader, api.EndReason_END_BROKEN, api.Code_CLAIM_BROKEN, "it hung")
			for _, n := range f.nodes {
				n.down = false
			}
		})
		<-handed.Done()
		<-broken.Done()
		if want(t, "handed over unheard", handed.Err(), ErrTransferred); !strings.Contains(handed.Err().Error(), "host a is drained") {
			t.Errorf("it is told %v", handed.Err())
		}
		if want(t, "broken unheard", broken.Err(), ErrBroken); !strings.Contains(broken.Err().Error(), "it hung") {
			t.Errorf("it is told %v", broken.Err())
		}
	})
}

// A candidate that is connected again learns that it leads, and a leader that
// it still does.
func TestCandidatesReattach(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a, b := open(t, c), open(t, c)
		one := lead(t, a, "e", "one")
		other := lead(t, a, "other", "")
		next := stand(t, b, "e", "two")
		f.with(func() {
			for _, n := range f.nodes {
				n.mute = true // what is pushed is lost
			}
			f.drop(f.elections["e"].leader)
		})
		synctest.Wait()
		f.with(func() {
			for _, n := range f.nodes {
				n.mute = false
			}
		})
		for e := range f.nodes {
			f.cut(e)
		}
		if two := <-next; two.Term() != 2 || two.Predecessor().Token != one.Token() {
			t.Errorf("second: term %d, predecessor %+v", two.Term(), two.Predecessor())
		}
		<-one.Done()
		if other.Err() != nil {
			t.Errorf("the other leadership ended: %v", other.Err())
		}
	})
}

func TestLeadershipEndsWithItsSession(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c, WithTTL(time.Second))
		l := lead(t, s, "e", "")
		f.with(func() {
			for _, n := range f.nodes {
				n.mute = true
			}
		})
		start := time.Now()
		<-l.Done()
		want(t, "Err", l.Err(), ErrSessionExpired)
		if after := time.Since(start); after > 900*time.Millisecond {
			t.Errorf("it believed that it leads for %v, the cell ends it after 1s", after)
		}
	})
}

func TestCampaignOptions(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s := open(t, c)
		for _, x := range []struct {
			name, value string
			opt         CampaignOption
			says        string
		}{
			{"", "", WithPriority(0), "the name of an election"},
			{"e", strings.Repeat("v", MaxValue+1), WithPriority(0), "65537 bytes"},
			{"e", "", WithPriority(1001), "priority 1001"},
			{"e", "", WithPriority(-1001), "priority -1001"},
			{"e", "", WithTenure(-1), "minimum tenure"},
			{"e", "", WithTenure(MaxTenure + 1), "minimum tenure"},
			{"e", "", WithAging(time.Second - 1), "aging interval"},
			{"e", "", WithAging(MaxAging + 1), "aging interval"},
			{"e", "", WithWait(-1), "wait"},
			{"e", "", WithCandidateLabels(map[string]string{"": ""}), "label"},
		} {
			_, err := s.Campaign(t.Context(), x.name, []byte(x.value), x.opt)
			if want(t, x.says, err, ErrInvalid); err != nil && !strings.Contains(err.Error(), x.says) {
				t.Errorf("error %q does not say %q", err, x.says)
			}
		}
		var got *api.CampaignRequest
		everywhere(f, func(r *api.Request) fault {
			if isCampaign(r) {
				got = r.GetCampaign()
			}
			return fault{}
		})
		l := lead(t, s, "e", "v", WithPriority(-7), WithPreemption(), WithTenure(1500*time.Microsecond), WithAging(time.Minute),
			WithWait(time.Second), WithCandidateLabels(map[string]string{"k": "v"}))
		f.with(func() {
			if got.GetPriority() != -7 || !got.GetPreempt() || got.GetTenureMs() != 2 || got.GetAgingMs() != 60_000 || got.GetWaitMs() != 1000 ||
				got.GetTry() || got.GetLabels()["k"] != "v" || string(got.GetValue()) != "v" {
				t.Errorf("sent: %v", got)
			}
		})
		want(t, "Proclaim", l.Proclaim(t.Context(), make([]byte, MaxValue+1)), ErrInvalid)
	})
}

func TestElections(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		a, b := open(t, c), open(t, c)
		for i := range 5 {
			lead(t, a, fmt.Sprintf("e%d", i), "v")
		}
		next := stand(t, b, "e3", "next")
		list, err := c.Elections(t.Context(), "e")
		if err != nil || len(list) != 5 || list[4].Name != "e4" || list[4].Leader.Value.String() != "v" {
			t.Errorf("Elections: %+v, %v", list, err)
		}
		info, err := c.ShowElection(t.Context(), "e3")
		if err != nil || info.Term != 1 || len(info.Candidates) != 1 || info.CandidateCount != 1 || info.Candidates[0].Value.String() != "next" {
			t.Errorf("ShowElection: %+v, %v", info, err)
		}
		_, err = c.ShowElection(t.Context(), "nowhere")
		want(t, "ShowElection", err, ErrNotFound)
		out, err := json.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`"name":"e3"`, `"token":4`, `"leader":{"session":1,`, `"value":"v"`, `"candidates":[{"session":2,"value":"next","position":1`, `"revision":`, `"last":null`} {
			if !strings.Contains(string(out), part) {
				t.Errorf("JSON %s has no %s", out, part)
			}
		}
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if l := <-next; l == nil || l.Term() != 2 {
			t.Errorf("the next leader: %+v", l)
		}
	})
}
