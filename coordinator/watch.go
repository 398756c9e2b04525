package coordinator

import (
	"cmp"
	"slices"
	"time"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/internal/planted"
)

// Bounds of watches.
const (
	maxWatches      = 16_384    // of one stream
	maxWatchKeys    = 16 << 20  // bytes of the keys of one stream's watches
	maxAllWatchKeys = 256 << 20 // bytes of the keys of a node's watches
	maxAllRanges    = 100_000   // watches of ranges of a node
	maxWatchAnswer  = 1 << 20   // bytes of one response, but for a single larger event
	catchUpEvents   = 512       // of one step through the history
	catchUpBytes    = 512 << 10
	progressEvery   = 5 * time.Second
	watchEventExtra = 48 // bytes that an event is reckoned with beside its texts
)

// watch is one watch of a stream. It is live, or behind: then it goes through
// the history until it has caught up.
type watch struct {
	stream   *stream
	id       uint64
	space    store.Space
	key, end string
	prefix   bool // the range is that of the keys that begin with key
	prev     bool
	noPut    bool
	noDelete bool
	progress bool

	next uint64 // the revision to go on from: everything before has been delivered
	told uint64 // up to here the client knows that everything has been delivered
	live bool
}

// size is what a watch is reckoned with.
func (w *watch) size() int { return len(w.key) + len(w.end) + 128 }

// wants says whether an event is for the watch.
func (w *watch) wants(e *store.Event) bool {
	if e.Space != w.space || e.Revision() < w.next || e.Deleted && w.noDelete || !e.Deleted && w.noPut {
		return false
	}
	k := e.Record.Key
	switch w.end {
	case "":
		return k == w.key
	case store.Everything:
		return k >= w.key
	}
	return k >= w.key && k < w.end
}

// watches finds the live watches of an event: those of one key and of a prefix by
// these, those of other ranges one after the other.
type watches struct {
	byKey    map[watchKey]watchSet
	byPrefix map[watchKey]watchSet
	lengths  map[int]int // of the prefixes, and how many have each
	ranges   watchSet
	behind   map[*stream]struct{} // streams with watches that can catch up now
	count    int
	bytes    int  // as they are reckoned
	spans    int  // watches of ranges, live or behind
	going    bool // a step of catching up is due
}

type watchSet map[*watch]struct{}

func newWatches() watches {
	return watches{
		byKey: map[watchKey]watchSet{}, byPrefix: map[watchKey]watchSet{}, lengths: map[int]int{}, ranges: watchSet{},
		behind: map[*stream]struct{}{},
	}
}

type watchKey struct {
	space store.Space
	key   string
}

// index is where a watch is found by its key; nil: nowhere, it is gone through.
func (ws *watches) index(w *watch) map[watchKey]watchSet {
	switch {
	case w.prefix:
		return ws.byPrefix
	case w.end == "":
		return ws.byKey
	}
	return nil
}

// live makes a watch one that is told of changes as they happen.
func (ws *watches) live(w *watch) {
	if w.live {
		return
	}
	w.live = true
	in, k := ws.index(w), watchKey{w.space, w.key}
	if in == nil {
		ws.ranges[w] = struct{}{}
		return
	}
	if w.prefix {
		ws.lengths[len(w.key)]++
	}
	if in[k] == nil {
		in[k] = watchSet{}
	}
	in[k][w] = struct{}{}
}

// dim undoes live.
func (ws *watches) dim(w *watch) {
	if !w.live {
		return
	}
	w.live = false
	in, k := ws.index(w), watchKey{w.space, w.key}
	if in == nil {
		delete(ws.ranges, w)
		return
	}
	if w.prefix {
		if ws.lengths[len(w.key)]--; ws.lengths[len(w.key)] == 0 {
			delete(ws.lengths, len(w.key))
		}
	}
	if delete(in[k], w); len(in[k]) == 0 {
		delete(in, k)
	}
}

// of calls f with the live watches that may want an event.
func (ws *watches) of(e *store.Event, f func(*watch)) {
	k := watchKey{e.Space, e.Record.Key}
	for w := range ws.byKey[k] {
		f(w)
	}
	for n := range ws.lengths {
		if n <= len(e.Record.Key) {
			k.key = e.Record.Key[:n]
			for w := range ws.byPrefix[k] {
				f(w)
			}
		}
	}
	for w := range ws.ranges {
		f(w)
	}
}

// add reckons a watch in (1) or out (-1).
func (ws *watches) add(w *watch, sign int) {
	ws.count += sign
	ws.bytes += sign * w.size()
	if w.end != "" {
		ws.spans += sign
	}
}

// remove forgets a watch.
func (ws *watches) remove(w *watch) {
	ws.dim(w)
	ws.add(w, -1)
}

// prepareWatch checks a watch. One that begins now, or beyond what this node has
// seen, first makes sure what now is.
func (l *loop) prepareWatch(c *call, q *api.WatchRequest) (item, *api.Error) {
	if e := checkSpace(q.GetSpace()); e != nil {
		return item{}, e
	}
	if e := checkSpan(q.GetKey(), q.GetRangeEnd()); e != nil {
		return item{}, e
	}
	w := &watch{
		stream: c.stream, id: c.id, space: store.Space(q.GetSpace()), key: string(q.GetKey()), end: string(q.GetRangeEnd()),
		prefix: string(q.GetRangeEnd()) == prefixEnd(string(q.GetKey())),
		prev:   q.GetPrev(), noPut: q.GetNoPut(), noDelete: q.GetNoDelete(), progress: q.GetProgress(), next: q.GetFromRevision(),
	}
	return item{call: c, run: func() {
		// A revision that this node has not seen may be one that it is late for.
		if w.next == 0 || w.next > l.machine().Store().Revision()+1 {
			l.reading(c, func() { l.startWatch(c, w) })
			return
		}
		l.startWatch(c, w)
	}}, nil
}

// startWatch puts a watch in place.
func (l *loop) startWatch(c *call, w *watch) {
	st, s := w.stream, l.machine().Store()
	if w.next == 0 {
		w.next = s.Revision() + 1
	}
	switch {
	case st.closed:
		c.finish(api.Code_UNAVAILABLE)
		return
	case st.watches[w.id] != nil:
		l.refuse(c, invalid("id: %d is that of a watch of this stream", w.id))
		return
	case len(st.watches) >= maxWatches:
		l.refuse(c, refuse(api.Code_LIMIT_REACHED, "%d watches of this stream, which is the limit", maxWatches))
		return
	case st.watchBytes+w.size() > maxWatchKeys:
		l.refuse(c, refuse(api.Code_LIMIT_REACHED, "the keys of the watches of this stream have %d bytes: at most %d are allowed", st.watchBytes+w.size(), maxWatchKeys))
		return
	case l.watches.bytes+w.size() > maxAllWatchKeys:
		l.refuse(c, refuse(api.Code_LIMIT_REACHED, "the keys of all watches of this node have %d bytes: at most %d are allowed", l.watches.bytes+w.size(), maxAllWatchKeys))
		return
	case w.end != "" && l.watches.spans >= maxAllRanges:
		l.refuse(c, refuse(api.Code_LIMIT_REACHED, "%d watches of ranges on this node, which is the limit", maxAllRanges))
		return
	case w.next < s.Compacted():
		e := refuse(api.Code_COMPACTED, "watch from revision %d: it has been compacted, the oldest kept is %d", w.next, s.Compacted())
		e.Revision = s.Compacted()
		l.refuse(c, e)
		return
	case w.next > s.Revision()+1:
		e := refuse(api.Code_FUTURE_REVISION, "watch from revision %d: it has not happened yet, the newest is %d, and %d can be waited for", w.next, s.Revision(), s.Revision()+1)
		e.Revision = s.Revision()
		l.refuse(c, e)
		return
	}
	if w.next <= s.Revision() && planted.On(planted.ResumedOneLate) {
		w.next++
	}
	w.told = w.next - 1
	st.watches[w.id] = w
	st.watchBytes += w.size()
	l.watches.add(w, 1)
	l.reply(c, &api.Response{Result: &api.Response_Watch{Watch: &api.WatchResponse{Started: true, Revision: w.next - 1}}})
	if w.next > s.Revision() {
		l.watches.live(w)
		return
	}
	l.fallBehind(w)
}

func (l *loop) cancelWatch(c *call, id uint64) {
	if w := c.stream.watches[id]; w != nil {
		l.endWatch(w, nil)
	}
	if c.id == 0 {
		c.finish(api.Code_OK)
		return
	}
	l.reply(c, &api.Response{})
}

// endWatch takes a watch down, and tells why if nobody asked for it.
func (l *loop) endWatch(w *watch, e *api.Error) {
	st := w.stream
	l.watches.remove(w)
	delete(st.watches, w.id)
	st.watchBytes -= w.size()
	if i := slices.Index(st.behind, w); i >= 0 {
		st.behind = slices.Delete(st.behind, i, i+1)
	}
	if e != nil {
		st.tell(&api.Response{Id: w.id, Error: e})
	}
}

// changes tells live watches of what has just happened.
func (l *loop) changes(events []store.Event) {
	ws := &l.watches
	if ws.count == 0 {
		return
	}
	// 1. Who wants what. A watch gets its events in their order.
	wanted := map[*watch][]int{}
	var order []*watch
	for i := range events {
		ws.of(&events[i], func(w *watch) {
			if w.wants(&events[i]) {
				if wanted[w] == nil {
					order = append(order, w)
				}
				wanted[w] = append(wanted[w], i)
			}
		})
	}
	// 2. Telling it, once for each.
	slices.SortFunc(order, func(a, b *watch) int { return cmp.Compare(a.id, b.id) })
	revision := l.machine().Store().Revision()
	told := make([]*api.WatchEvent, len(events))
	plain := make([]*api.WatchEvent, len(events))
	for _, w := range order {
		cache := plain
		if w.prev {
			cache = told
		}
		if !w.stream.out.room(sizeOf(events, wanted[w])) {
			w.next = max(w.next, events[0].Revision()) // it was live until now
			if planted.On(planted.SkippedAtLag) {
				w.next = revision + 1
			}
			l.fallBehind(w)
			continue
		}
		l.deliver(w, events, wanted[w], cache, revision)
	}
}

// sizeOf reckons the bytes of events.
func sizeOf(events []store.Event, which []int) (n int) {
	for _, i := range which {
		e := &events[i]
		n += watchEventExtra + len(e.Record.Key) + len(e.Record.Value) + len(e.Prev.Value)
	}
	return n
}

// deliver sends a watch the events that it wants, as few responses as their
// bytes allow, and says that everything up to a revision has been delivered. The
// cache keeps an event that was converted for the next watch.
func (l *loop) deliver(w *watch, events []store.Event, which []int, cache []*api.WatchEvent, upTo uint64) {
	r := &api.WatchResponse{}
	size := 0
	for n, i := range which {
		e := &events[i]
		if cache[i] == nil {
			cache[i] = l.watchEvent(e, w.prev)
		}
		r.Events = append(r.Events, cache[i])
		size += cache[i].SizeVT() + 8
		if last := n == len(which)-1; size >= maxWatchAnswer && !last {
			// The rest of a revision may be still to come.
			r.Revision = e.Revision() - 1
			if events[which[n+1]].Revision() > e.Revision() {
				r.Revision = e.Revision()
			}
			w.stream.tell(&api.Response{Id: w.id, Result: &api.Response_Watch{Watch: r}})
			r, size = &api.WatchResponse{}, 0
		}
	}
	r.Revision = upTo
	w.stream.tell(&api.Response{Id: w.id, Result: &api.Response_Watch{Watch: r}})
	w.next, w.told = max(w.next, upTo+1), max(w.told, upTo)
	l.load.metrics.watchEvents.Add(float64(len(which)))
}

// watchEvent is a change as a watcher is told.
func (l *loop) watchEvent(e *store.Event, prev bool) *api.WatchEvent {
	out := &api.WatchEvent{Deleted: e.Deleted, Kv: l.keyValue(e.Space, e.Record), UnixMs: e.Millis}
	if prev && e.Prev.Exists() && !planted.On(planted.PrevDropped) {
		out.Prev = l.keyValue(e.Space, e.Prev)
	}
	return out
}

// fallBehind makes a watch go through the history from where it is.
func (l *loop) fallBehind(w *watch) {
	l.watches.dim(w)
	w.stream.behind = append(w.stream.behind, w)
	l.catchUp(w.stream)
}

// catchUp says that the watches of a stream that are behind can go on.
func (l *loop) catchUp(st *stream) {
	if st.closed || len(st.behind) == 0 {
		return
	}
	l.watches.behind[st] = struct{}{}
	if !l.watches.going {
		l.watches.going = true
		l.submit(item{run: l.catchUpStep})
	}
}

// catchUpStep takes one step through the history, for all streams that have
// watches behind and room for what they get.
func (l *loop) catchUpStep() {
	ws := &l.watches
	ws.going = false
	// 1. The watch that is furthest behind says where, and those that are
	// there, too, come along.
	from := uint64(0)
	for st := range ws.behind {
		if !st.out.room(catchUpBytes) {
			if st.stalled == 0 {
				st.stalled = l.now()
			}
			delete(ws.behind, st) // until its client has read
			continue
		}
		st.stalled = 0
		for _, w := range st.behind {
			if from == 0 || w.next < from {
				from = w.next
			}
		}
	}
	if from == 0 {
		return
	}
	s := l.machine().Store()
	if from < s.Compacted() {
		for st := range ws.behind {
			for _, w := range slices.Clone(st.behind) {
				if planted.On(planted.GapNotTold) {
					w.next = max(w.next, s.Compacted())
				} else if w.next < s.Compacted() {
					l.lagging(w)
				}
			}
			if len(st.behind) == 0 {
				delete(ws.behind, st)
			}
		}
		l.continueCatchUp()
		return
	}
	events, next, err := s.Since(from, catchUpEvents, catchUpBytes)
	if err != nil { // not possible after the check
		l.log.Error().Err(err).Uint64("revision", from).Msg("the history cannot be read")
		return
	}
	// 2. Each gets what it wants of this step.
	told, plain := make([]*api.WatchEvent, len(events)), make([]*api.WatchEvent, len(events))
	for st := range ws.behind {
		kept := st.behind[:0]
		for n, w := range st.behind {
			if w.next < next && w.next >= from {
				if !st.out.room(0) {
					kept = append(kept, st.behind[n:]...)
					break
				}
				l.advance(w, events, next, plain, told)
			}
			if w.next > s.Revision() {
				ws.live(w)
				l.tellProgress(w, w.next-1)
				continue
			}
			kept = append(kept, w)
		}
		clear(st.behind[len(kept):])
		if st.behind = kept; len(kept) == 0 {
			delete(ws.behind, st)
		}
	}
	l.continueCatchUp()
}

func (l *loop) continueCatchUp() {
	if ws := &l.watches; len(ws.behind) > 0 && !ws.going {
		ws.going = true
		l.submit(item{run: l.catchUpStep})
	}
}

// advance takes a watch over the events of one step, up to the revision next.
func (l *loop) advance(w *watch, events []store.Event, next uint64, plain, told []*api.WatchEvent) {
	var which []int
	for i := range events {
		if w.wants(&events[i]) {
			which = append(which, i)
		}
	}
	if len(which) == 0 {
		w.next = next
		return
	}
	cache := plain
	if w.prev {
		cache = told
	}
	l.deliver(w, events, which, cache, next-1)
}

// lagging ends a watch that fell too far behind.
func (l *loop) lagging(w *watch) {
	e := refuse(api.Code_LAGGING, "the watch fell behind: its client did not read fast enough; go on from revision %d", w.next)
	e.Revision = w.next
	l.load.metrics.lagging.Inc()
	l.endWatch(w, e)
}

// tellProgress tells a live watch that wants to know that everything up to a
// revision has been delivered, unless it knows. One that has gone through the
// history is told at once: whoever reads the history waits for its end.
func (l *loop) tellProgress(w *watch, revision uint64) {
	if !w.progress || w.told >= revision {
		return
	}
	w.next, w.told = max(w.next, revision+1), revision
	w.stream.tell(&api.Response{Id: w.id, Result: &api.Response_Watch{Watch: &api.WatchResponse{Revision: revision}}})
}

// sweepWatches ends watches whose client has held them up for too long, and
// tells of progress.
func (l *loop) sweepWatches(now time.Duration) {
	for st := range l.streams {
		if len(st.behind) > 0 && st.stalled != 0 && now-st.stalled >= l.cfg.WatchStall {
			for _, w := range slices.Clone(st.behind) {
				l.lagging(w)
			}
			st.stalled = 0
			delete(l.watches.behind, st)
		}
	}
	if now-l.progressAt >= progressEvery {
		l.progressAt = now
		l.progress()
	}
}

// progress tells all live watches how far everything has been delivered.
func (l *loop) progress() {
	l.progressTo = l.machine().Store().Revision()
	for st := range l.streams {
		if !st.out.room(0) {
			continue
		}
		for _, w := range st.watches {
			if w.live {
				l.tellProgress(w, l.progressTo)
			}
		}
	}
}

// compacted tells of progress when the history has been compacted beyond what
// quiet watches were told last: a client that knew no more could not go on from
// there on another connection, though it has missed nothing.
func (l *loop) compacted() {
	if l.watches.count > 0 && l.machine().Store().Compacted() > l.progressTo+1 {
		l.progress()
	}
}
