package shell

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/conch-lock/conch/chaos/check"
	"github.com/conch-lock/conch/chaos/recorder"
	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// instant is a moment of virtual time, from the beginning of the run.
type instant = time.Duration

// epoch is when virtual time begins.
func epoch() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func now() instant { return time.Since(epoch()) }

// loss is a session that ended although its client did not close it.
type loss struct {
	client  string
	session sdk.SessionID
	ttl     time.Duration
	at      instant
	reason  string
}

// history is what all clients saw. What they asked for and were told is in the
// journal, which package check judges.
type history struct {
	recorder.Journal
	loops recorder.Journal // grants whose calls the client makes by itself: beliefs alone are judged

	mu       sync.Mutex
	losses   []loss
	unwarned []loss
	guarded  map[string]sdk.Token // what the locks protect: the largest token it saw
	fence    fence.Guard          // the same, as the client's package does it
	owners   map[sdk.SessionID]string
	counts   map[string]int
	wrong    []string
}

func newHistory() *history {
	return &history{guarded: map[string]sdk.Token{}, owners: map[sdk.SessionID]string{}, counts: map[string]int{}}
}

// violation notes something that is wrong by itself.
func (h *history) violation(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, fmt.Sprintf("%v ", now())+fmt.Sprintf(format, args...))
}

func (h *history) count(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[what]++
}

// store writes to what a lock protects, which refuses a smaller token than the
// largest it has seen.
func (h *history) store(name string, token sdk.Token) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	takes := token >= h.guarded[name]
	if takes {
		h.guarded[name] = token
	}
	if err := h.fence.Check(name, token); (err == nil) != takes {
		h.wrong = append(h.wrong, fmt.Sprintf("%v the fence of %q says %v to token %d; it is to be let through: %v", now(), name, err, token, takes))
	}
	return takes
}

func (h *history) lost(l loss) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.losses = append(h.losses, l)
	h.counts["sessions lost"]++
}

// surprised notes that a session expired, as its client has it, that was not in
// jeopardy before.
func (h *history) surprised(l loss) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unwarned = append(h.unwarned, l)
}

// violations are those that were noted.
func (h *history) violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.wrong)
}

// checkLosses: no session is lost once everything has been well for a while.
func checkLosses(losses []loss, well instant) []string {
	var out []string
	for _, l := range losses {
		if l.at > well {
			out = append(out, fmt.Sprintf("session %d of %s (TTL %v) was lost at %v, and all has been well since %v: %s",
				l.session, l.client, l.ttl, l.at, well, l.reason))
		}
	}
	return out
}

// checkWarned: a session that expired was in jeopardy before. Who was cut off for a
// moment finds one gone that an operator ended meanwhile, of which the cell can only
// say that it does not know it: that is no expiry.
func checkWarned(unwarned []loss, h *check.History) []string {
	var out []string
	for _, l := range unwarned {
		ended := slices.ContainsFunc(h.Interventions, func(x check.Intervention) bool {
			return x.Kind == check.EndSession && x.Session == uint64(l.session) && x.Outcome != check.Refused && x.Invoke <= check.Time(l.at)
		})
		if !ended {
			out = append(out, fmt.Sprintf("session %d of %s was lost at %v, had not been in jeopardy before, and no operator ended it: %s", l.session, l.client, l.at, l.reason))
		}
	}
	return out
}

// checkLoops: what can be said of grants when not all calls are known: nobody
// believes beside another, and tokens rise.
func checkLoops(h *check.History) []string {
	var out []string
	for _, c := range check.Checkers() {
		if c.Name == "beliefs" || c.Name == "tokens" {
			for _, v := range c.Check(h) {
				out = append(out, "loops: "+v.String())
			}
		}
	}
	return out
}
