package raftnode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/raft/v3"

	"github.com/conch-lock/conch/internal/planted"
)

// readContextBytes is the length of the context of a round of reads: a number of this start of the replica, and the
// round's own.
const readContextBytes = 16

// reads brings together all reads that wait. One round is under way at a time: it asks the leader how far the log is
// committed, and the leader makes sure that it still leads before it answers. A round confirms the reads that had come
// before it began. An unanswered round is asked again under a new context, since an old answer must never serve new reads.
type reads struct {
	retry, timeout time.Duration
	limit          int
	start          uint64 // random, so that answers to a former life of this node fit nothing

	rounds    uint64 // begun so far
	context   []byte // of the round under way; nil: none
	began     time.Duration
	waiting   []waitingRead    // come since the round began
	asked     []waitingRead    // of the round under way
	confirmed []confirmedReads // answered by the leader, waiting for the log to be applied so far; rising
}

type waitingRead struct {
	done     func(error)
	deadline time.Duration
}

type confirmedReads struct {
	index uint64
	reads []waitingRead
}

// add takes reads in, and refuses those over the limit.
func (r *reads) add(now time.Duration, done []func(error)) {
	for _, d := range done {
		if r.count() >= r.limit {
			d(ErrBusy)
			continue
		}
		r.waiting = append(r.waiting, waitingRead{d, now + r.timeout})
	}
}

func (r *reads) count() int {
	n := len(r.waiting) + len(r.asked)
	for _, c := range r.confirmed {
		n += len(c.reads)
	}
	return n
}

// next returns the context of a round to begin now, or nil. A round that got no answer in time is begun again, with all
// reads that came meanwhile.
func (r *reads) next(now time.Duration) []byte {
	if r.context != nil && now-r.began >= r.retry {
		r.restart()
	}
	if r.context != nil || len(r.waiting) == 0 {
		return nil
	}
	if !planted.On(planted.ReadContextReused) {
		r.rounds++
	}
	r.began = now
	r.context = binary.LittleEndian.AppendUint64(make([]byte, 0, readContextBytes), r.start)
	r.context = binary.LittleEndian.AppendUint64(r.context, r.rounds)
	r.asked, r.waiting = r.waiting, r.asked[:0]
	return r.context
}

// restart gives the round under way up: its reads wait for the next one.
func (r *reads) restart() {
	r.context = nil
	r.waiting = append(r.asked, r.waiting...)
	r.asked = nil
}

// confirm takes the leader's answers; those to former rounds are ignored.
func (r *reads) confirm(states []raft.ReadState) {
	for _, s := range states {
		if r.context == nil || !bytes.Equal(s.RequestCtx, r.context) {
			continue
		}
		r.confirmed = append(r.confirmed, confirmedReads{s.Index, r.asked})
		r.context, r.asked = nil, nil
	}
}

// release answers the reads whose index has been applied.
func (r *reads) release(applied uint64) {
	for len(r.confirmed) > 0 && (r.confirmed[0].index <= applied || planted.On(planted.ReadBeforeApplied)) {
		c := r.confirmed[0]
		r.confirmed = r.confirmed[1:]
		for _, w := range c.reads {
			w.done(nil)
		}
	}
}

// expire gives up the reads that waited too long.
func (r *reads) expire(now time.Duration) {
	r.waiting = expired(r.waiting, now)
	r.asked = expired(r.asked, now)
	for i := range r.confirmed {
		r.confirmed[i].reads = expired(r.confirmed[i].reads, now)
	}
}

// expired answers the reads whose time is over, which come first, and returns the others.
func expired(list []waitingRead, now time.Duration) []waitingRead {
	for len(list) > 0 && list[0].deadline <= now {
		list[0].done(fmt.Errorf("%w; nothing was read", ErrReadTimeout))
		list = list[1:]
	}
	return list
}

// fail ends all reads.
func (r *reads) fail(err error) {
	r.restart()
	all := r.waiting
	for _, c := range r.confirmed {
		all = append(all, c.reads...)
	}
	r.waiting, r.confirmed = nil, nil
	for _, w := range all {
		w.done(err)
	}
}
