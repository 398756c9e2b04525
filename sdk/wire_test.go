package sdk

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"storj.io/drpc/drpcerr"
	"storj.io/drpc/drpcwire"

	"github.com/conch-lock/conch/api"
)

// bare is a client on a real socket whose link reads and has no writer.
func bare(t *testing.T, hook func(*api.Request) fault) (*Client, *link) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeCell(t, "n1:1")
	f.nodes["n1:1"].hook = hook
	f.wg.Go(func() {
		if conn, err := ln.Accept(); err == nil {
			f.nodes["n1:1"].serve(conn, &faultConn{Conn: conn, node: f.nodes["n1:1"]})
		}
	})
	cfg, err := Config{Endpoints: []string{ln.Addr().String()}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{
		cfg: cfg, gate: newGate(16, pendingBytes), poke: make(chan struct{}, 1), hinted: make(chan struct{}, 1),
		calls: map[uint64]*call{}, sessions: map[SessionID]*Session{}, wakeAt: never, shapes: api.NewShapes(),
	}
	l, err := c.open(t.Context(), cfg.Endpoints[0])
	if err != nil {
		t.Fatal(err)
	}
	c.link = l
	l.wg.Add(1)
	go l.read()
	t.Cleanup(func() {
		l.shut()
		_ = ln.Close()
		f.wg.Wait()
	})
	return c, l
}

// TestLonelyRequest: who asks while nothing else is under way writes the request
// itself. There is no writer here who could.
func TestLonelyRequest(t *testing.T) {
	c, l := bare(t, nil)
	for range 3 {
		if _, err := c.Put(t.Context(), "k", []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.wake) != 0 {
		t.Error("the writer was woken")
	}
}

// TestCompany: who asks while something is under way, or asks much, leaves it to
// the writer, who gathers.
func TestCompany(t *testing.T) {
	for name, tt := range map[string]struct{ under, large bool }{"company": {under: true}, "large": {large: true}} {
		t.Run(name, func(t *testing.T) {
			got := make(chan struct{}, 1)
			c, l := bare(t, func(*api.Request) fault {
				got <- struct{}{}
				return fault{lose: true}
			})
			value := []byte("v")
			if tt.large {
				value = make([]byte, promptBytes)
			}
			put := func() {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = c.Put(ctx, "k", value) // is cancelled
				}()
				t.Cleanup(func() { cancel(); <-done })
			}
			put()
			if tt.under {
				<-got
				if len(l.wake) != 0 {
					t.Fatal("the writer was woken for a lonely request")
				}
				put()
			}
			<-l.wake // the writer would be here
			c.mu.Lock()
			queued := len(l.queue)
			c.mu.Unlock()
			if queued != 1 {
				t.Errorf("%d requests are left to the writer, not 1", queued)
			}
		})
	}
}

// TestWireInPieces: a message larger than a piece arrives as it was sent.
func TestWireInPieces(t *testing.T) {
	w, far := newWirePair(t)
	for _, n := range []int{0, 1, 64<<10 - 20, 64 << 10, 300 << 10, 1 << 20, 5} {
		value := strings.Repeat("x", n)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			if err := w.send(&api.ClientFrames{Requests: []*api.Request{{Id: uint64(n) + 1, Op: &api.Request_Hello{Hello: &api.Hello{Client: value}}}}}); err != nil {
				t.Error(err)
			}
		}()
		for {
			packet, err := far.ReadPacket()
			if err != nil {
				t.Fatal(err)
			}
			if packet.Kind == drpcwire.KindInvoke {
				if string(packet.Data) != streamMethod {
					t.Errorf("invoked %q", packet.Data)
				}
				continue
			}
			var got api.ClientFrames
			if err := got.UnmarshalVT(packet.Data); err != nil {
				t.Fatal(err)
			}
			if r := got.GetRequests()[0]; r.GetId() != uint64(n)+1 || r.GetHello().GetClient() != value {
				t.Errorf("%d bytes arrived as request %d with %d bytes", n, r.GetId(), len(r.GetHello().GetClient()))
			}
			break
		}
		<-sent
	}
}

// newWirePair is a wire, and what its other end reads.
func newWirePair(t *testing.T) (*wire, *drpcwire.Reader) {
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	head := io.MultiReader(&header{conn: far}, far)
	return newWire(near, api.NewShapes()), drpcwire.NewReader(head)
}

// header takes the header off a connection.
type header struct {
	conn net.Conn
	off  bool
}

func (h *header) Read([]byte) (int, error) {
	if h.off {
		return 0, io.EOF
	}
	h.off = true
	b := make([]byte, 8)
	if _, err := io.ReadFull(h.conn, b); err != nil || string(b) != "DRPC!!!1" {
		return 0, errors.New("no header")
	}
	return 0, io.EOF
}

// TestWireReceives: what ends a stream, and what may be passed over.
func TestWireReceives(t *testing.T) {
	message, err := (&api.ServerFrames{Responses: []*api.Response{{Id: 9}}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	refusal := drpcwire.MarshalError(drpcerr.WithCode(errors.New("stopping"), uint64(api.Code_UNAVAILABLE)))
	type packet = drpcwire.Packet
	for name, tt := range map[string]struct {
		packets []packet
		fine    bool
		is      error
		code    api.Code
	}{
		"message":          {packets: []packet{{Kind: drpcwire.KindMessage, Data: message}}, fine: true},
		"unknown, control": {packets: []packet{{Kind: 40, Control: true}, {Kind: drpcwire.KindMessage, Data: message}}, fine: true},
		"unknown":          {packets: []packet{{Kind: 40}, {Kind: drpcwire.KindMessage, Data: message}}},
		"other stream":     {packets: []packet{{ID: drpcwire.ID{Stream: 2}, Kind: drpcwire.KindMessage, Data: message}}},
		"garbage":          {packets: []packet{{Kind: drpcwire.KindMessage, Data: []byte{0xff, 0xff}}}},
		"too large":        {packets: []packet{{Kind: drpcwire.KindMessage, Data: make([]byte, maxMessage+1)}}},
		"error":            {packets: []packet{{Kind: drpcwire.KindError, Data: refusal}}, code: api.Code_UNAVAILABLE},
		"close":            {packets: []packet{{Kind: drpcwire.KindClose}}, is: io.EOF},
		"close send":       {packets: []packet{{Kind: drpcwire.KindCloseSend}}, is: io.EOF},
		"cancel":           {packets: []packet{{Kind: drpcwire.KindCancel, Control: true}}, is: context.Canceled},
		"nothing":          {is: io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() {
				defer far.Close()
				out := drpcwire.NewWriter(far, 0)
				for i, p := range tt.packets {
					p.ID.Stream, p.ID.Message = max(p.ID.Stream, 1), uint64(i)+1
					if out.WritePacket(p) != nil {
						return
					}
				}
				_ = out.Flush()
			}()
			frames, err := newWire(near, api.NewShapes()).receive()
			switch {
			case tt.fine:
				if err != nil || len(frames.GetResponses()) != 1 || frames.GetResponses()[0].GetId() != 9 {
					t.Errorf("received %v, %v", frames, err)
				}
			case err == nil:
				t.Errorf("received %v", frames)
			case tt.is != nil && !errors.Is(err, tt.is):
				t.Errorf("ended by %v, not %v", err, tt.is)
			case tt.code != 0 && drpcerr.Code(err) != uint64(tt.code):
				t.Errorf("ended by %v with code %d, not %d", err, drpcerr.Code(err), tt.code)
			}
		})
	}
}
