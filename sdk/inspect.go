package sdk

import (
	"fmt"
	"time"

	"github.com/conch-lock/conch/api"
)

// Mode is how a lock is held.
type Mode string

// The modes.
const (
	ModeExclusive Mode = "exclusive" // one holder
	ModeShared    Mode = "shared"    // any number of holders, none of them exclusive
	ModePermits   Mode = "permits"   // holders whose permits fit the capacity
)

// EndReason says how a tenure or a session ended; empty: it has not.
type EndReason string

// The reasons.
const (
	ReasonReleased    EndReason = "released"    // by its holder
	ReasonExpired     EndReason = "expired"     // its session's time ran out
	ReasonClosed      EndReason = "closed"      // its session was closed by its owner
	ReasonEnded       EndReason = "ended"       // its session was ended by an operator
	ReasonBroken      EndReason = "broken"      // an operator broke the grant
	ReasonTransferred EndReason = "transferred" // handed over
)

// MarshalJSON writes null for a tenure that has not ended.
func (r EndReason) MarshalJSON() ([]byte, error) {
	if r == "" {
		return []byte("null"), nil
	}
	return []byte(`"` + string(r) + `"`), nil
}

// LockInfo is what the cell knows of a lock. Times are those of the cell's
// leader; use them for people, not for decisions.
type LockInfo struct {
	Name string `json:"name"`
	Mode Mode   `json:"mode"`
	// Token is the newest one granted of this lock.
	Token   Token    `json:"token"`
	Holders []Holder `json:"holders"`
	// Waiters are in order, cut at 1000; Locks leaves them out. WaiterCount
	// counts them all.
	Waiters     []Waiter `json:"waiters"`
	WaiterCount int      `json:"waiter_count"`
	// Capacity is that of a lock with permits, otherwise 0.
	Capacity int `json:"capacity"`
	// DelayedUntil is until when nobody is granted the lock; nil: no delay.
	DelayedUntil *time.Time `json:"delayed_until"`
	// Revision is when the record changed last.
	Revision uint64 `json:"revision"`
}

// Holder is one grant of a lock.
type Holder struct {
	Session       SessionID         `json:"session"`
	Token         Token             `json:"token"`
	Since         time.Time         `json:"since"`
	SinceRevision uint64            `json:"-"`
	Labels        map[string]string `json:"labels"`
	Permits       int               `json:"permits"`
}

// Waiter is one claim in the queue of a lock.
type Waiter struct {
	Session SessionID `json:"session"`
	// Position counts from 1, which is next.
	Position int       `json:"position"`
	Since    time.Time `json:"since"`
	// Deadline is until when it waits; nil: for ever.
	Deadline *time.Time        `json:"deadline"`
	Labels   map[string]string `json:"labels"`
	Mode     Mode              `json:"-"`
	Permits  int               `json:"-"`
}

// Tenure is one grant in the history of a lock.
type Tenure struct {
	Name    string            `json:"name"`
	Token   Token             `json:"token"`
	Session SessionID         `json:"session"`
	Labels  map[string]string `json:"labels"`
	// ToRevision is 0 and ToTime nil while it is held.
	FromRevision uint64     `json:"from_revision"`
	ToRevision   uint64     `json:"to_revision"`
	FromTime     time.Time  `json:"from_time"`
	ToTime       *time.Time `json:"to_time"`
	Ended        EndReason  `json:"ended"`
}

// History is the recorded tenures of a lock, oldest first.
type History struct {
	Tenures []Tenure `json:"tenures"`
	// CompactedRevision: tenures that ended up to there may be missing.
	CompactedRevision uint64 `json:"compacted_revision"`
	Revision          uint64 `json:"revision"`
}

// SessionInfo is what the cell knows of a session.
type SessionInfo struct {
	ID SessionID `json:"id"`
	// TTLMillis and RemainingMillis are milliseconds; the remaining time is
	// the cell's, which is longer than what the session's client counts.
	TTLMillis       int64             `json:"ttl_ms"`
	RemainingMillis int64             `json:"remaining_ms"`
	Labels          map[string]string `json:"labels"`
	// Locks, Elections and Keys are cut at 1000; the counts are not.
	Locks           []string `json:"locks"`
	LockCount       int      `json:"lock_count"`
	Elections       []string `json:"elections"`
	Keys            []string `json:"keys"`
	KeyCount        int      `json:"key_count"`
	CreatedRevision uint64   `json:"created_revision"`
}

// TokenCheck is the answer to whether a token is a current grant.
type TokenCheck struct {
	Current bool `json:"current"`
	// CurrentToken is the newest one granted of the lock; 0: the lock is free.
	CurrentToken Token  `json:"current_token"`
	Revision     uint64 `json:"revision"`
}

// Status is the state of a cell as the node that was asked sees it.
type Status struct {
	Cell     string       `json:"cell"`
	Revision uint64       `json:"revision"`
	Leader   string       `json:"leader"` // name; empty while unknown
	Nodes    []NodeStatus `json:"nodes"`
	Sessions uint64       `json:"sessions"`
	Locks    uint64       `json:"locks"`
	Waiters  uint64       `json:"waiters"`
	// Elections are those that somebody leads, Candidates those that wait to.
	Elections  uint64 `json:"elections"`
	Candidates uint64 `json:"candidates"`
	// StateBytes is the size of the state, QuotaBytes what it may grow to (0: no quota).
	StateBytes        uint64 `json:"state_bytes"`
	QuotaBytes        uint64 `json:"quota_bytes"`
	CompactedRevision uint64 `json:"compacted_revision"`
	Node              string `json:"node"` // who answered
}

// NodeStatus is one node of a cell.
type NodeStatus struct {
	Name     string `json:"name"`
	ID       string `json:"id"` // sixteen hexadecimal digits
	Endpoint string `json:"endpoint"`
	Peer     string `json:"peer"`
	Role     string `json:"role"` // leader, follower, candidate, learner, unknown
	Term     uint64 `json:"term"`
	Applied  uint64 `json:"applied"`
	Version  string `json:"version"`
	// Healthy: it told of itself within the last second or so. HeardMillis is how
	// long ago it told last; 0 for the node that answers, and for one that never did.
	Healthy     bool  `json:"healthy"`
	HeardMillis int64 `json:"heard_ms"`
}

// Hashes are the hashes of the state of every node.
type Hashes struct {
	Nodes []NodeHash `json:"nodes"`
	// Equal: every node answered, with the same hash at the same index.
	Equal bool `json:"equal"`
}

// NodeHash is the hash of one node's state at one index of the log.
type NodeHash struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	Index    uint64 `json:"index"`
	Revision uint64 `json:"revision"`
	Hash     string `json:"hash"`
	Error    string `json:"error,omitempty"` // why there is no hash
}

// LockOf reads the record of a lock that Range or Watch found in the space
// Locks. It tells of the holders, not of the waiters.
func LockOf(kv KeyValue) (LockInfo, error) {
	var l api.LockInfo
	if err := l.UnmarshalVT(kv.Value); err != nil {
		return LockInfo{}, fmt.Errorf("the value of key %q is not the record of a lock: %w", shorten(kv.Key), err)
	}
	return lockInfoOf(&l, time.Now()), nil
}

func modeOf(m api.Mode) Mode {
	switch m {
	case api.Mode_SHARED:
		return ModeShared
	case api.Mode_PERMITS:
		return ModePermits
	default:
		return ModeExclusive
	}
}

func endReasonOf(r api.EndReason) EndReason {
	switch r {
	case api.EndReason_END_RELEASED:
		return ReasonReleased
	case api.EndReason_END_EXPIRED:
		return ReasonExpired
	case api.EndReason_END_CLOSED:
		return ReasonClosed
	case api.EndReason_END_ENDED:
		return ReasonEnded
	case api.EndReason_END_BROKEN:
		return ReasonBroken
	case api.EndReason_END_TRANSFERRED:
		return ReasonTransferred
	default:
		return ""
	}
}

func lockInfoOf(l *api.LockInfo, now time.Time) LockInfo {
	out := LockInfo{
		Name: l.GetName(), Mode: modeOf(l.GetMode()), Token: Token(l.GetToken()),
		Holders: make([]Holder, 0, len(l.GetHolders())), Waiters: make([]Waiter, 0, len(l.GetWaiters())),
		WaiterCount: int(l.GetWaiterCount()), Capacity: int(l.GetCapacity()), Revision: l.GetRevision(),
		DelayedUntil: after(now, l.GetDelayedMs()),
	}
	for _, h := range l.GetHolders() {
		out.Holders = append(out.Holders, Holder{
			Session: SessionID(h.GetSession()), Token: Token(h.GetToken()), Since: time.UnixMilli(h.GetSinceUnixMs()),
			SinceRevision: h.GetSinceRevision(), Labels: labelsOf(h.GetLabels()), Permits: int(h.GetPermits()),
		})
	}
	for _, w := range l.GetWaiters() {
		out.Waiters = append(out.Waiters, Waiter{
			Session: SessionID(w.GetSession()), Position: int(w.GetPosition()), Since: time.UnixMilli(w.GetSinceUnixMs()),
			Deadline: after(now, w.GetDeadlineMs()), Labels: labelsOf(w.GetLabels()), Mode: modeOf(w.GetMode()), Permits: int(w.GetPermits()),
		})
	}
	out.WaiterCount = max(out.WaiterCount, len(out.Waiters))
	return out
}

func tenureOf(t *api.LockTenure) Tenure {
	out := Tenure{
		Name: t.GetName(), Token: Token(t.GetToken()), Session: SessionID(t.GetSession()), Labels: labelsOf(t.GetLabels()),
		FromRevision: t.GetFromRevision(), ToRevision: t.GetToRevision(),
		FromTime: time.UnixMilli(t.GetFromUnixMs()), Ended: endReasonOf(t.GetEnded()),
	}
	if ms := t.GetToUnixMs(); ms != 0 {
		to := time.UnixMilli(ms)
		out.ToTime = &to
	}
	return out
}

func sessionInfoOf(s *api.SessionInfo) SessionInfo {
	out := SessionInfo{
		ID: SessionID(s.GetId()), TTLMillis: int64(s.GetTtlMs()), RemainingMillis: int64(s.GetRemainingMs()),
		Labels: labelsOf(s.GetLabels()), Locks: append([]string{}, s.GetLocks()...), Elections: append([]string{}, s.GetElections()...),
		Keys: make([]string, 0, len(s.GetKeys())), LockCount: int(s.GetLockCount()), KeyCount: int(s.GetKeyCount()),
		CreatedRevision: s.GetCreatedRevision(),
	}
	for _, k := range s.GetKeys() {
		out.Keys = append(out.Keys, string(k))
	}
	out.LockCount = max(out.LockCount, len(out.Locks))
	out.KeyCount = max(out.KeyCount, len(out.Keys))
	return out
}

// after turns a remaining time into a moment; nil for none.
func after(now time.Time, ms uint64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := now.Add(millis(ms))
	return &t
}

// labelsOf makes sure that JSON has {} and not null.
func labelsOf(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
