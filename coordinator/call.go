package coordinator

import (
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/api"
)

// method is what a request asks for.
type method uint8

const (
	methodHello method = iota
	methodOpenSession
	methodKeepAlive
	methodCloseSession
	methodEndSession
	methodAttachSession
	methodListSessions
	methodShowSession
	methodAcquire
	methodRelease
	methodCancelClaim
	methodListLocks
	methodShowLock
	methodLockHistory
	methodBreakLock
	methodCheckToken
	methodCampaign
	methodProclaim
	methodResign
	methodTransfer
	methodListElections
	methodShowElection
	methodElectionHistory
	methodRange
	methodTxn
	methodCompact
	methodWatch
	methodCancelWatch
	methodStatus
	methodHash
	methodTransferLeader

	methods
)

func (m method) String() string {
	names := [methods]string{
		"hello", "open_session", "keep_alive", "close_session", "end_session", "attach_session", "list_sessions",
		"show_session", "acquire", "release", "cancel_claim", "list_locks", "show_lock", "lock_history", "break_lock",
		"check_token", "campaign", "proclaim", "resign", "transfer", "list_elections", "show_election", "election_history", "range", "txn", "compact", "watch", "cancel_watch", "status", "hash", "transfer_leader",
	}
	return names[m]
}

// relief: methods that make the load smaller, which are never refused for load.
func (m method) relief() bool {
	switch m {
	case methodKeepAlive, methodCloseSession, methodEndSession, methodRelease, methodCancelClaim, methodResign, methodCancelWatch:
		return true
	}
	return false
}

// call is one request on its way to its one answer.
type call struct {
	method method
	id     uint64 // on the stream
	size   int    // bytes that it is reckoned with
	began  time.Time
	stream *stream                // where it came from; nil for a unary one
	answer func(*api.Response)    // a unary one's; does not block
	heard  *api.KeepAliveResponse // of a unary keep-alive, which no Response has room for
	load   *load
	over   atomic.Bool
}

// weight is what a request takes in memory beside its bytes on the wire, at
// most about.
func weight(op any) int {
	const (
		request = 128
		part    = 160
	)
	switch q := op.(type) {
	case *api.OpenSessionRequest:
		return request + part*len(q.GetLabels())
	case *api.KeepAliveRequest:
		return request + part*len(q.GetSessions())
	case *api.AcquireRequest:
		return request + part*(len(q.GetItems())+len(q.GetLabels()))
	case *api.CampaignRequest:
		return request + part*len(q.GetLabels())
	case *api.TxnRequest:
		return request + 2*part*txnParts(q)
	}
	return request
}

func txnParts(q *api.TxnRequest) int {
	n := len(q.GetCompares()) + len(q.GetSuccess()) + len(q.GetFailure())
	for _, ops := range [][]*api.Op{q.GetSuccess(), q.GetFailure()} {
		for _, op := range ops {
			if t := op.GetTxn(); t != nil {
				n += txnParts(t)
			}
		}
	}
	return n
}

// load counts what is under way, all clients together.
type load struct {
	bytes   atomic.Int64
	calls   atomic.Int64
	streams atomic.Int64
	queued  atomic.Int64 // bytes that wait to be written
	metrics *requestMetrics
}

// From crowded requests under way on a node on, a stream may have no more than
// its share of them, but always fairCalls: who floods a node waits, and who asks
// for little is served. At some ten thousand requests a second it also bounds how
// long a request waits here, below the patience of clients.
const (
	crowdedCalls = 8192
	fairCalls    = 64
)

// share is how many requests one stream may have under way.
func (l *load) share() int {
	return max(fairCalls, crowdedCalls/int(max(1, l.streams.Load())))
}

// maxLoadBytes bounds the requests under way, all clients together, and
// maxStreamBytes those of one stream.
const (
	maxLoadBytes   = 512 << 20
	maxStreamBytes = 64 << 20
)

// respond gives the answer; a second one is not given.
func (c *call) respond(r *api.Response) {
	c.deliver(r)
	if c.stream != nil {
		c.stream.out.signal()
	}
}

// deliver is respond without waking the stream's writer.
func (c *call) deliver(r *api.Response) {
	if !c.finish(r.GetError().GetCode()) {
		return
	}
	if c.stream == nil {
		c.answer(r)
		return
	}
	r.Id = c.id
	c.stream.push(r)
}

// refuse answers with an error.
func (c *call) refuse(e *api.Error) { c.respond(&api.Response{Error: e}) }

// finish ends a call that has no answer of its own, or is about to get it. It
// says whether the call was still open.
func (c *call) finish(code api.Code) bool {
	if c.over.Swap(true) {
		return false
	}
	c.load.calls.Add(-1)
	c.load.bytes.Add(-int64(c.size))
	c.load.metrics.observe(c.method, code, c.began)
	if c.stream != nil {
		c.stream.done(c.size)
	}
	return true
}
