package coordinator

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/conch-lock/conch/api"
)

// reader is a client on a bench that reads when the test lets it.
type reader struct {
	tb     testing.TB
	bench  *bench
	stream *stream
	id     uint64
	read   []*api.Response
}

func newReader(b *bench) *reader {
	c := &reader{tb: b.tb, bench: b, stream: b.newStream()}
	c.ask(&api.Request{Op: &api.Request_Hello{Hello: &api.Hello{Client: "reader"}}})
	return c
}

// ask hands requests in, in one frame, and returns the id of the first.
func (c *reader) ask(list ...*api.Request) (first uint64) {
	c.tb.Helper()
	first = c.id + 1
	for _, q := range list {
		c.id++
		q.Id = c.id
	}
	frame, err := (&api.ClientFrames{Requests: list}).MarshalVT()
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := c.stream.read(context.Background(), &frames{call: c.stream.in, list: [][]byte{frame}}); err != io.EOF {
		c.tb.Fatalf("the stream ends with %v", err)
	}
	return first
}

// watch begins a watch and returns its id.
func (c *reader) watch(q *api.WatchRequest) uint64 {
	return c.ask(&api.Request{Op: &api.Request_Watch{Watch: q}})
}

// take reads one frame, as the writer of a stream does, and says whether there
// was one.
func (c *reader) take() bool {
	list, _ := c.stream.out.take(nil)
	c.read = append(c.read, list...)
	if c.stream.out.written() {
		c.stream.loop.submit(item{run: func() { c.stream.loop.catchUp(c.stream) }})
	}
	return len(list) > 0
}

// drain reads everything that there is.
func (c *reader) drain() {
	for c.take() {
	}
}

// told spells what a watch has told so far, and checks that the revision up to
// which it says to be complete is true of it.
func (c *reader) told(id uint64) (list []string) {
	c.tb.Helper()
	upTo := uint64(0)
	for _, r := range c.read {
		if r.GetId() != id {
			continue
		}
		if r.GetError() != nil {
			c.tb.Fatalf("watch %d ended after %d events: %v", id, len(list), r.GetError())
		}
		for _, e := range r.GetWatch().GetEvents() {
			at := e.GetKv().GetModRevision()
			if at <= upTo {
				c.tb.Fatalf("watch %d told of revision %d after it had been complete up to %d", id, at, upTo)
			}
			list = append(list, spellEvent(e))
		}
		upTo = max(upTo, r.GetWatch().GetRevision())
	}
	return list
}

func spellEvent(e *api.WatchEvent) string {
	return fmt.Sprintf("%d: %q is %.12q, was %.12q", e.GetKv().GetModRevision(), e.GetKv().GetKey(), e.GetKv().GetValue(), e.GetPrev().GetValue())
}

// newest is the newest revision there is.
func (b *bench) newest() uint64 { return b.loop.machine().Store().Revision() }

// diary writes keys, each with values that nobody else puts, and knows what a
// watch has to tell of them.
type diary struct {
	writer *reader
	pages  []page
	now    map[string]string
	pad    string // at the end of each value
}

type page struct {
	revision         uint64
	key, value, prev string
}

func newDiary(b *bench, pad int) *diary {
	return &diary{writer: newReader(b), now: map[string]string{}, pad: strings.Repeat(".", pad)}
}

func (d *diary) put(key string) {
	value := fmt.Sprint("value ", len(d.pages), d.pad)
	d.writer.ask(putRequest(key, value))
	d.writer.drain()
	d.pages = append(d.pages, page{d.writer.bench.newest(), key, value, d.now[key]})
	d.now[key] = value
}

// from spells what a watch of the keys from a revision on has to tell.
func (d *diary) from(revision uint64, prev bool, keys ...string) (list []string) {
	for _, p := range d.pages {
		if p.revision < revision || !slices.Contains(keys, p.key) {
			continue
		}
		e := &api.WatchEvent{Kv: &api.KeyValue{Key: []byte(p.key), Value: []byte(p.value), ModRevision: p.revision}}
		if prev && p.prev != "" {
			e.Prev = &api.KeyValue{Value: []byte(p.prev)}
		}
		list = append(list, spellEvent(e))
	}
	return list
}

// TestWatchFromEveryRevision: a watch from any revision begins with exactly that
// one, whether it has happened or is the next to come, and goes on with what
// comes then.
func TestWatchFromEveryRevision(t *testing.T) {
	b := newBench(t)
	d := newDiary(b, 0)
	before := b.newest()
	for i := range 12 {
		d.put([]string{"a", "b", "a", "c"}[i%4])
	}
	c := newReader(b)
	type begun struct{ one, all, from uint64 }
	var list []begun
	for from := before + 1; from <= b.newest()+1; from++ {
		list = append(list, begun{c.watch(watchKeys("a", "", from)), c.watch(&api.WatchRequest{Key: []byte("a"), RangeEnd: []byte("d"), FromRevision: from, Prev: true}), from})
	}
	for i := range 4 {
		d.put([]string{"a", "b", "a", "c"}[i%4])
	}
	c.drain()
	for _, x := range list {
		if got, want := c.told(x.one), d.from(x.from, false, "a"); !slices.Equal(got, want) {
			t.Errorf("a watch of one key from revision %d of %d told\n%q, want\n%q", x.from, b.newest(), got, want)
		}
		if got, want := c.told(x.all), d.from(x.from, true, "a", "b", "c"); !slices.Equal(got, want) {
			t.Errorf("a watch of a range from revision %d of %d told\n%q, want\n%q", x.from, b.newest(), got, want)
		}
	}
	b.end(c.stream, d.writer.stream)
}

// TestWatchThatFallsBehind: a client reads a frame for every so many changes, so
// that its watches fall behind and catch up at one place or another, again and
// again. Nothing is missing and nothing comes twice.
func TestWatchThatFallsBehind(t *testing.T) {
	for _, pace := range []int{1, 6, 9, 30} {
		b := newBenchOf(t, 1<<30, 8<<20)
		d, c := newDiary(b, 128<<10), newReader(b)
		begin := b.newest() + 1
		one := c.watch(watchKeys("a", "", 0))
		all := c.watch(&api.WatchRequest{Key: []byte("a"), RangeEnd: []byte("d"), Prev: true})
		last := c.watch(watchKeys("c", "", 0))
		fell, caughtUp, behind := 0, 0, 0
		note := func() {
			fell += max(0, len(c.stream.behind)-behind)
			caughtUp += max(0, behind-len(c.stream.behind))
			behind = len(c.stream.behind)
		}
		for i := range 80 {
			d.put([]string{"a", "b", "a", "c"}[i%4])
			note()
			if i%pace == 0 {
				c.take()
				note()
			}
		}
		c.drain()
		note()
		t.Logf("a frame for every %d changes: watches fell behind %d times and caught up %d times", pace, fell, caughtUp)
		if fell != caughtUp || fell == 0 && pace > 1 {
			t.Errorf("a frame for every %d changes: watches fell behind %d times and caught up %d times", pace, fell, caughtUp)
		}
		for id, want := range map[uint64][]string{
			one: d.from(begin, false, "a"), all: d.from(begin, true, "a", "b", "c"), last: d.from(begin, false, "c"),
		} {
			if got := c.told(id); !slices.Equal(got, want) {
				t.Errorf("a frame for every %d changes: watch %d told of %d changes, want %d:\n%q, want\n%q", pace, id, len(got), len(want), got, want)
			}
		}
		b.end(c.stream, d.writer.stream)
	}
}
