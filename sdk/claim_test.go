package sdk

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conch-lock/conch/api"
)

// waiting has a session claim a lock and returns once the claim is queued in the
// cell; what comes of it is in the channel.
func waiting(ctx context.Context, s *Session, name string, opts ...LockOption) <-chan error {
	got := make(chan error, 1)
	go func() {
		_, err := s.Lock(ctx, name, opts...)
		got <- err
	}()
	synctest.Wait()
	return got
}

// away has nobody reach the cell while do, with the cell's lock held, happens.
func away(f *fakeCell, d time.Duration, do func()) {
	f.unplug()
	f.with(do)
	time.Sleep(d)
	f.plug()
}

// operatorBreaks breaks whoever holds a lock. Needs mu of the cell.
func operatorBreaks(f *fakeCell, name, reason string) {
	for _, c := range f.claims {
		if c.granted && c.items[0].GetName() == name {
			f.do(nil, &api.Request{Op: &api.Request_BreakLock{BreakLock: &api.BreakLockRequest{Name: name, Token: c.token, Reason: reason}}})
			return
		}
	}
	f.t.Errorf("nobody holds %q", name)
}

// What became of a claim that was queued is asked for after a reconnect: the
// attachment lists those that the cell still has, and what ended without ever
// having been granted to the client's knowledge is in no list of its own.
func TestQueuedClaimEndsUnheard(t *testing.T) {
	t.Run("its wait ran out", func(t *testing.T) {
		world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
			a, b := open(t, c), open(t, c)
			held := take(t, a, "job")
			got := waiting(within(t, time.Minute), b, "job", WithWait(time.Second))
			start := time.Now()
			away(f, 2*time.Second, func() {})
			want(t, "Lock", <-got, ErrWaitTimedOut)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it was told after %v", took)
			}
			if held.Err() != nil || b.Err() != nil {
				t.Errorf("the holder: %v; the session that waited: %v", held.Err(), b.Err())
			}
		})
	})
	t.Run("granted and broken", func(t *testing.T) {
		world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
			a, b := open(t, c), open(t, c)
			take(t, a, "job")
			got := waiting(within(t, time.Minute), b, "job")
			away(f, 2*time.Second, func() {
				operatorBreaks(f, "job", "the first hung")
				operatorBreaks(f, "job", "the second, too")
			})
			err := <-got
			if want(t, "Lock", err, ErrBroken); err == nil || !strings.Contains(err.Error(), "the second, too") {
				t.Errorf("it is told %v", err)
			}
		})
	})
}

// The list of what a session has may be too large for an answer, or fail for
// another reason. A grant that ended unheard is not believed in for that.
func TestGrantEndsUnheardAndUnlisted(t *testing.T) {
	world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
		s, other := open(t, c), open(t, c)
		gone, stays := take(t, s, "gone"), take(t, s, "stays")
		broken, leads := take(t, s, "broken"), lead(t, s, "leads", "")
		unsure := take(t, s, "unsure")
		if err := take(t, s, "last").Unlock(t.Context()); err != nil { // acknowledges those before it
			t.Fatal(err)
		}
		away(f, 0, func() {
			for _, x := range f.claims {
				if x.granted && x.token == uint64(gone.Token()) {
					f.drop(x)
					break
				}
			}
			operatorBreaks(f, "broken", "it hung")
			f.oust(f.elections["leads"].leader, api.EndReason_END_TRANSFERRED, api.Code_CLAIM_TRANSFERRED, "to another")
			for _, n := range f.nodes {
				n.hook = func(r *api.Request) fault {
					switch {
					case r.GetAttachSession() != nil:
						return fault{refuse: &api.Error{Code: api.Code_LIMIT_REACHED, Message: "the answer is too large"}}
					case r.GetAcquire().GetSession() == uint64(s.ID()) && r.GetAcquire().GetItems()[0].GetName() == "unsure":
						return fault{refuse: &api.Error{Code: api.Code_INTERNAL}}
					}
					return fault{}
				}
			}
		})
		time.Sleep(5 * time.Second)
		want(t, "broken", broken.Err(), ErrBroken)
		want(t, "leads", leads.Err(), ErrTransferred)
		want(t, "gone", gone.Err(), ErrBroken)
		if unsure.Err() == nil || stays.Err() != nil || s.Err() != nil {
			t.Errorf("what cannot be confirmed: %v; what stays: %v; the session: %v", unsure.Err(), stays.Err(), s.Err())
		}
		if _, err := other.Lock(within(t, 5*time.Second), "unsure"); err != nil {
			t.Errorf("what could not be confirmed was not given back: %v", err)
		}
		if err := stays.Unlock(t.Context()); err != nil {
			t.Errorf("what stays is not held: %v", err)
		}
	})
}

// A node that lags tells of a grant that had ended when another node listed the
// claims. Whoever has seen that list believes in no grant older than it.
func TestGrantThatWasGoneBefore(t *testing.T) {
	for what, reason := range map[string]string{"lock": "it hung", "lead": "host b is drained"} {
		t.Run(what, func(t *testing.T) {
			world(t, nil, func(t *testing.T, f *fakeCell, c *Client) {
				a, b := open(t, c), open(t, c)
				var got <-chan error
				if what == "lock" {
					take(t, a, "job")
					got = waiting(within(t, 2*time.Second), b, "job")
				} else {
					lead(t, a, "job", "")
					stands := make(chan error, 1)
					ctx := within(t, 2*time.Second)
					go func() {
						_, err := b.Campaign(ctx, "job", []byte("b"))
						stands <- err
					}()
					synctest.Wait()
					got = stands
				}
				repeats := func(r *api.Request) bool { return r.GetAcquire() != nil || r.GetCampaign() != nil }
				told := 0
				var late *api.ClaimEvent
				lag := func(n *fakeNode) func(*api.Request) fault {
					return func(r *api.Request) fault {
						switch {
						case repeats(r):
							return fault{lose: true}
						case r.GetAttachSession().GetSession() == uint64(b.ID()):
							// It reads when it has caught up, and tells on the way.
							for st := range n.streams {
								st.send(&api.Response{Result: &api.Response_Claim{Claim: late}})
								told++
							}
							return fault{lose: true}
						}
						return fault{}
					}
				}
				listed := 0
				away(f, 0, func() {
					// 1. It is granted and taken away while nobody is told.
					for range 2 {
						for _, x := range f.claims {
							if !x.granted {
								continue
							}
							if x.session == uint64(b.ID()) {
								late = &api.ClaimEvent{Session: x.session, Sequence: x.seq, Revision: x.revision}
								if x.stands != nil {
									late.Leads = f.candidacy(x)
								} else {
									late.Granted = f.state(x)
								}
							}
							if x.stands != nil {
								f.oust(x, api.EndReason_END_BROKEN, api.Code_CLAIM_BROKEN, reason)
							} else {
								operatorBreaks(f, "job", reason)
							}
							break
						}
					}
					// 2. The first node that answers lists what there is, and is cut off
					// before it says more. Those after it lag.
					for _, n := range f.nodes {
						n.hook = func(r *api.Request) fault {
							switch {
							case repeats(r):
								for _, other := range f.nodes {
									other.hook = lag(other)
								}
								time.AfterFunc(time.Millisecond, func() { f.cut(n.endpoint) }) // the list has arrived
								return fault{lose: true}
							case r.GetAttachSession() != nil:
								listed++
							}
							return fault{}
						}
					}
				})
				err := <-got
				if late == nil || listed == 0 || told == 0 {
					t.Fatalf("not what is meant: listed %d times, the late event %v told %d times", listed, late, told)
				}
				if err == nil {
					t.Fatal("it believes in a grant that it had been told is gone")
				}
				if want(t, what, err, ErrBroken); errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), reason) {
					t.Errorf("it is told %v", err)
				}
			})
		})
	}
}
