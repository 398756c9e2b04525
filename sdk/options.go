package sdk

import (
	"time"

	"github.com/conch-lock/conch/api"
)

// SessionOption changes how a session is opened.
type SessionOption func(*sessionOptions)

type sessionOptions struct {
	ttl    time.Duration
	labels map[string]string
}

// WithTTL sets the time to live of a session: 500 ms to 24 h, in whole
// milliseconds. The cell ends a session that it has not heard of for so long;
// the client believes in it for nine tenths of that.
func WithTTL(ttl time.Duration) SessionOption { return func(o *sessionOptions) { o.ttl = ttl } }

// WithLabels shows labels with the session to operators: at most 16, with
// keys of 64 and values of 256 bytes.
func WithLabels(labels map[string]string) SessionOption {
	return func(o *sessionOptions) { o.labels = labels }
}

func (o *sessionOptions) check() error {
	if o.ttl < MinTTL || o.ttl > MaxTTL {
		return invalid("open session", "", "ttl %v: %v to %v are allowed", o.ttl, MinTTL, MaxTTL)
	}
	if o.ttl%time.Millisecond != 0 {
		return invalid("open session", "", "ttl %v: it is counted in whole milliseconds", o.ttl)
	}
	return checkLabels("open session", o.labels)
}

// LockOption changes how a lock is claimed.
type LockOption interface{ lock(*lockOptions) }

// lockOption is one of locks alone.
type lockOption func(*lockOptions)

func (f lockOption) lock(o *lockOptions) { f(o) }

// ClaimOption is one of locks and of elections.
type ClaimOption interface {
	LockOption
	CampaignOption
}

// waits is how long a claim waits, a lock's or a candidate's.
type waits struct {
	wait    time.Duration
	waitSet bool
}

// waitOption is that of WithWait.
type waitOption time.Duration

func (d waitOption) lock(o *lockOptions)         { o.waits = waits{time.Duration(d), true} }
func (d waitOption) campaign(o *campaignOptions) { o.waits = waits{time.Duration(d), true} }

// try says that the claim does not wait.
func (w waits) try() bool { return w.waitSet && w.wait == 0 }

type lockOptions struct {
	names    []string
	mode     api.Mode
	permits  int
	capacity int
	try      bool
	waits
	delay  time.Duration
	labels map[string]string
}

// WithWait bounds the wait in the queue of a lock or an election; the cell
// decides when it has run out, and the claim then ends with ErrWaitTimedOut.
// Without it the claim waits until its context ends. Zero means not to wait, as
// with TryLock.
func WithWait(d time.Duration) ClaimOption { return waitOption(d) }

// Shared claims the lock together with other shared holders.
func Shared() LockOption { return lockOption(func(o *lockOptions) { o.mode = api.Mode_SHARED }) }

// Permits claims n of capacity permits; a lock in use has one capacity.
func Permits(n, capacity int) LockOption {
	return lockOption(func(o *lockOptions) { o.mode, o.permits, o.capacity = api.Mode_PERMITS, n, capacity })
}

// And claims further locks together with the first, all or none, in the same
// mode and under one token; at most 64 in all.
func And(names ...string) LockOption {
	return lockOption(func(o *lockOptions) { o.names = append(o.names, names...) })
}

// WithLockDelay keeps everybody else out for d when the grant ends otherwise
// than by release; at most 1 h.
func WithLockDelay(d time.Duration) LockOption {
	return lockOption(func(o *lockOptions) { o.delay = d })
}

// WithLockLabels shows labels with the claim; bounds as for WithLabels.
func WithLockLabels(labels map[string]string) LockOption {
	return lockOption(func(o *lockOptions) { o.labels = labels })
}

// all is the names of all locks of the claim.
func (o *lockOptions) all(name string) []string { return append([]string{name}, o.names...) }

// request checks the options and returns the claim without its numbers.
func (o *lockOptions) request(op, name string) (*api.AcquireRequest, error) {
	names := o.all(name)
	if len(names) > maxItems {
		return nil, invalid(op, shorten(name), "%d locks in one claim: at most %d are allowed", len(names), maxItems)
	}
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		if err := checkName(op, n); err != nil {
			return nil, err
		}
		if seen[n] {
			return nil, invalid(op, shorten(name), "lock %q is named twice in one claim", n)
		}
		seen[n] = true
	}
	if o.mode == api.Mode_PERMITS && (o.permits < 1 || o.capacity < o.permits || o.capacity > 1<<31-1) {
		return nil, invalid(op, name, "%d of %d permits: at least 1, at most the capacity", o.permits, o.capacity)
	}
	if o.wait < 0 || o.delay < 0 || o.delay > time.Hour {
		return nil, invalid(op, name, "wait %v, lock delay %v: neither may be negative, and a lock delay is at most 1h", o.wait, o.delay)
	}
	if err := checkLabels(op, o.labels); err != nil {
		return nil, err
	}
	req := &api.AcquireRequest{
		Try: o.try || o.waits.try(), WaitMs: ceilMillis(o.wait),
		LockDelayMs: ceilMillis(o.delay), Labels: o.labels,
	}
	for _, n := range names {
		req.Items = append(req.Items, &api.ClaimItem{
			Name: n, Mode: o.mode, Permits: uint32(o.permits), Capacity: uint32(o.capacity),
		})
	}
	return req, nil
}

// ceilMillis rounds up, so that a short wait does not become one for ever.
func ceilMillis(d time.Duration) uint64 {
	return uint64((d + time.Millisecond - 1) / time.Millisecond)
}
