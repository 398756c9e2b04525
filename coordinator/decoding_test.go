package coordinator

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"storj.io/drpc/drpcmigrate"
	"storj.io/drpc/drpcwire"

	"github.com/conch-lock/conch/api"
)

// deepTxn is a frame with a transaction in a transaction and so on, size bytes.
func deepTxn(size int) []byte {
	buf := make([]byte, size)
	at := size
	wrap := func(tag ...byte) {
		at -= len(tag)
		n := binary.PutUvarint(buf[at-5:], uint64(size-at-len(tag)))
		copy(buf[at-n:], append(slices.Clone(tag), buf[at-5:at-5+n]...))
		at -= n
	}
	for at > 64 {
		wrap(0x22) // Op.txn
		wrap(0x1a) // TxnRequest.success
	}
	request, _ := (&api.Request{Op: &api.Request_Txn{Txn: &api.TxnRequest{}}}).MarshalVT()
	wrap(request[:len(request)-1]...)
	wrap(0x0a) // ClientFrames.requests
	return buf[at:]
}

// flat is a frame with as many empty requests as go into size bytes.
func flat(size int) []byte {
	b := make([]byte, 0, size)
	for len(b)+2 <= size {
		b = append(b, 0x0a, 0)
	}
	return b
}

// fullTxns is the most that a frame of a correct client has in it.
func fullTxns() *api.ClientFrames {
	ops := make([]*api.Op, 128)
	for i := range ops {
		ops[i] = &api.Op{Op: &api.Op_Put{Put: &api.PutOp{Key: []byte{'k'}}}}
	}
	f := &api.ClientFrames{}
	for i := range uint64(maxRequests) {
		f.Requests = append(f.Requests, &api.Request{Id: i + 1, Op: &api.Request_Txn{Txn: &api.TxnRequest{Success: ops}}})
	}
	return f
}

// taken is how many bytes f allocates, and how large the stacks are afterwards.
func taken(f func()) (heap, stacks uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, after.StackSys
}

// TestMeasure: what would blow up in memory is refused before it is decoded, and
// whatever a correct client can say is not.
func TestMeasure(t *testing.T) {
	s := api.NewShapes()
	for name, b := range map[string][]byte{"deep": deepTxn(4 << 20), "flat": flat(4 << 20), "no message": bytes.Repeat([]byte{0xff}, 1000), "a group": bytes.Repeat([]byte{0x0b, 0x0c}, 1000)} {
		if name == "deep" {
			// The input is what it is meant to be: a small one decodes, and goes deep.
			var f api.ClientFrames
			if err := f.UnmarshalVT(deepTxn(4096)); err != nil || f.GetRequests()[0].GetTxn().GetSuccess()[0].GetTxn().GetSuccess()[0].GetTxn() == nil {
				t.Fatalf("no deep transaction: %v, %v", &f, err)
			}
		}
		heap, _ := taken(func() {
			if e := (*api.BoundsError)(nil); !errors.As(s.Measure(&api.ClientFrames{}, b, api.MaxClientParts), &e) {
				t.Errorf("%s: not refused", name)
			}
		})
		if heap > 1<<20 {
			t.Errorf("%s: refusing took %d bytes", name, heap)
		}
	}
	b, err := fullTxns().MarshalVT()
	if err != nil || len(b) > 1<<20 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if e := s.Measure(&api.ClientFrames{}, b, api.MaxClientParts); e != nil {
		t.Errorf("the most that a client says: %v", e)
	}
	heap, _ := taken(func() {
		if err := new(api.ClientFrames).UnmarshalVT(b); err != nil {
			t.Error(err)
		}
	})
	if heap > 48<<20 {
		t.Errorf("the most that a client says takes %d bytes", heap)
	}
}

// sendRaw opens a stream and sends one message of it.
func sendRaw(t *testing.T, address string, message []byte) net.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	b := []byte(drpcmigrate.DRPCHeader)
	for i, data := range [][]byte{[]byte(rpcStream), message} {
		kind := drpcwire.KindMessage
		if i == 0 {
			kind = drpcwire.KindInvoke
		}
		b = drpcwire.AppendFrame(b, drpcwire.Frame{ID: drpcwire.ID{Stream: 1, Message: uint64(i + 1)}, Kind: kind, Data: data, Done: true})
	}
	_ = raw.SetWriteDeadline(time.Now().Add(patience))
	_, _ = raw.Write(b) // it may be closed already
	return raw
}

// TestMeasuredFrames: a server to which such frames are sent ends their streams
// and takes little for it.
func TestMeasuredFrames(t *testing.T) {
	c := newCluster(t, 1, nil)
	good := connect(t, c.address(0))
	for name, b := range map[string][]byte{"deep": deepTxn(4 << 20), "flat": flat(4 << 20)} {
		_, before := taken(func() {})
		for range 4 {
			raw := sendRaw(t, c.address(0), b)
			_ = raw.SetReadDeadline(time.Now().Add(patience))
			r := drpcwire.NewReader(raw)
			last := ""
			for {
				p, err := r.ReadPacket()
				if err != nil {
					break
				}
				if last = string(p.Data); p.Kind == drpcwire.KindError {
					break
				}
			}
			if !strings.Contains(last, "which is the limit") {
				t.Errorf("%s: the stream ended with %q", name, last)
			}
		}
		if _, after := taken(func() {}); after > before+16<<20 {
			t.Errorf("%s: the stacks grew from %d to %d bytes", name, before, after)
		}
	}
	// The same as JSON, and as a protocol that is not served.
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for name, body := range map[string]string{
		"deep": `{"success":[` + strings.Repeat(`{"txn":{"success":[`, 200_000),
		"flat": `{"success":[` + strings.Repeat(`{},`, 1_000_000),
	} {
		heap, _ := taken(func() {
			if code, r := post(t, c, "Txn", body); code != 400 || !strings.Contains(r["message"].(string), "which is the limit") {
				t.Errorf("%s as JSON: %d %v", name, code, r)
			}
		})
		if heap > 64<<20 {
			t.Errorf("%s as JSON took %d bytes", name, heap)
		}
	}
	resp, err := http.Post("http://"+c.address(0)+"/conch.v1.Conch/Txn", "application/protobuf", strings.NewReader("\x22\x00"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("protobuf over HTTP: %s", resp.Status)
	}
	good.put("k", "v")
}

// TestWeight: what a request is reckoned with is at least about what it takes.
func TestWeight(t *testing.T) {
	acquire := &api.AcquireRequest{Session: 1, Sequence: 1}
	for range 64 {
		acquire.Items = append(acquire.Items, &api.ClaimItem{Name: "n"})
	}
	beats := &api.KeepAliveRequest{}
	for i := range uint64(1024) {
		beats.Sessions = append(beats.Sessions, &api.KeepAlive{Session: i, Number: 1})
	}
	for _, req := range []*api.Request{
		{Op: &api.Request_Acquire{Acquire: acquire}}, {Op: &api.Request_KeepAlive{KeepAlive: beats}}, fullTxns().GetRequests()[0],
		{Op: &api.Request_Status{Status: &api.StatusRequest{}}},
	} {
		_, op := methodOf(req)
		b, _ := req.MarshalVT()
		const times = 100
		kept := make([]*api.Request, times)
		heap, _ := taken(func() {
			for i := range kept {
				kept[i] = new(api.Request)
				_ = kept[i].UnmarshalVT(b)
			}
		})
		if reckoned := len(b) + weight(op); int(heap)/times > 2*reckoned || reckoned > 64<<10+4*int(heap)/times {
			t.Errorf("%T is reckoned with %d bytes and takes %d", op, reckoned, int(heap)/times)
		}
	}
}

// TestIntake: unfinished messages are kept within a bound. The connection that
// stands still the longest goes first, and whoever keeps to little is not touched.
func TestIntake(t *testing.T) {
	c := newCluster(t, 1, func(cfg *Config) { cfg.intakeBytes = 8 << 20 })
	in := c.nodes[0].listener.intake
	in.rest = 0
	good := connect(t, c.address(0))
	half := make([]byte, 3<<20) // of a message of 4 MiB
	frame := drpcwire.AppendFrame([]byte(drpcmigrate.DRPCHeader), drpcwire.Frame{
		ID: drpcwire.ID{Stream: 1, Message: 1}, Kind: drpcwire.KindInvoke, Data: []byte(rpcStream), Done: true,
	})
	whole := drpcwire.AppendFrame(nil, drpcwire.Frame{ID: drpcwire.ID{Stream: 1, Message: 2}, Kind: drpcwire.KindMessage, Data: make([]byte, 4<<20-1), Done: true})
	frame = append(frame, whole[:len(half)]...)
	var conns []net.Conn
	for range 8 {
		raw, err := net.Dial("tcp", c.address(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = raw.Close() })
		conns = append(conns, raw)
		_ = raw.SetWriteDeadline(time.Now().Add(patience))
		if _, err := raw.Write(frame); err != nil {
			t.Fatal(err)
		}
		in.mu.Lock()
		used := in.used
		in.mu.Unlock()
		if used > in.limit {
			t.Fatalf("%d bytes of %d", used, in.limit)
		}
	}
	eventually(t, "six to be closed", func() bool { return in.closed.Load() >= 6 })
	_ = conns[0].SetReadDeadline(time.Now().Add(patience))
	if _, err := conns[0].Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the first connection: %v", err)
	}
	good.put("k", "v")
	// What ended is not reckoned any more.
	for _, raw := range conns {
		_ = raw.Close()
	}
	eventually(t, "room", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.used == 0
	})
	good.put("large", strings.Repeat("v", 1<<20))
}

// TestOutboxesTogether: past the bound of all, a client may have little waiting
// for it, and all that is dropped is given back.
func TestOutboxesTogether(t *testing.T) {
	all := &newTestLoad().queued
	response := func(size int) *api.Response {
		return &api.Response{Result: &api.Response_Range{Range: &api.RangeResponse{Kvs: []*api.KeyValue{{Value: make([]byte, size)}}}}}
	}
	all.Store(maxQueued - 600<<10) // other clients'
	a, b := newOutbox(8<<20, all), newOutbox(8<<20, all)
	if a.add(response(500 << 10)) {
		t.Error("cut off with room left")
	}
	if b.add(response(200 << 10)) {
		t.Error("cut off with little")
	}
	if !b.add(response(200 << 10)) {
		t.Error("not cut off past the bound of all")
	}
	a.close()
	b.close()
	if n := all.Load(); n != maxQueued-600<<10 {
		t.Errorf("%d bytes stay reckoned", n-(maxQueued-600<<10))
	}
	// A writer that takes and writes gives back the same.
	c := newOutbox(8<<20, all)
	c.add(response(100))
	c.take(nil)
	c.written()
	c.close()
	if n := all.Load(); n != maxQueued-600<<10 {
		t.Errorf("%d bytes stay reckoned", n-(maxQueued-600<<10))
	}
	if proto.Size(response(1)) == 0 {
		t.Error("an empty response")
	}
}

func newTestLoad() *load { return &load{metrics: newRequestMetrics()} }
