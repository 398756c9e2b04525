package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcstream"
	"storj.io/drpc/drpcwire"
)

// outgoing is a connection to a peer whose handshake is done.
type outgoing struct {
	conn         *conn
	man          *drpcmanager.Manager
	*frameWriter // has the stream

	writing sync.Mutex // held by whoever writes
	batch   []frame    // reused by writeNow
}

func (o *outgoing) close() { _ = o.man.Close() }

// writeNow writes what is queued without waiting for anything. It reports false when the writer has to do the rest.
func (o *outgoing) writeNow(p *peer) bool {
	if !o.conn.Able() || !o.writing.TryLock() {
		return false
	}
	defer o.writing.Unlock()
	if o.conn.Behind() {
		return false
	}
	o.conn.Prompt(true)
	o.batch = p.queue.take(o.batch[:0])
	err := p.writeBatch(o, o.batch)
	o.conn.Prompt(false)
	clear(o.batch)
	if err != nil {
		o.conn.fail(err) // and with that the writer ends the connection
		return false
	}
	return !o.conn.Behind()
}

// blame returns why the connection is of no more use: what the other side said,
// what happened to the connection, or the error at hand, in this order.
func (o *outgoing) blame(p *peer, err error) error {
	if r := refusal(p.id, err); r != nil {
		return r
	}
	if cause := o.conn.why(); cause != nil && cause != errClosedHere {
		return cause
	}
	// Not wrapped: DRPC says io.EOF for many ends that are none of the peer's.
	return fmt.Errorf("transport: stream to node %v ended: %v", p.id, err)
}

// dial connects to the peer and shakes hands for one of the two methods.
func (p *peer) dial(ctx context.Context, address, rpc string) (_ *outgoing, err error) {
	t := p.t
	attempt, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	raw, err := t.cfg.Dial(attempt, address)
	cancel()
	if err != nil {
		return nil, err
	}
	secured := raw
	var state *tls.Conn
	if t.cfg.ClientTLS != nil {
		cfg := t.cfg.ClientTLS
		if cfg.ServerName == "" {
			cfg = cfg.Clone()
			cfg.ServerName, _, _ = net.SplitHostPort(address)
		}
		state = tls.Client(raw, cfg)
		secured = state
	}
	c := newConn(secured, raw, t.cfg.WriteTimeout, &p.receivedBytes, &p.sentBytes)
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	if err := tune(raw, t.cfg.SilenceTimeout); err != nil {
		return nil, fmt.Errorf("transport: set up connection to node %v: %w", p.id, err)
	}
	if err := c.SetDeadline(time.Now().Add(t.cfg.HandshakeTimeout)); err != nil {
		return nil, err
	}
	if state != nil {
		if err := state.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("transport: TLS with node %v: %w", p.id, err)
		}
		if t.cfg.VerifyPeer != nil {
			if err := t.cfg.VerifyPeer(p.id, state.ConnectionState()); err != nil {
				return nil, fmt.Errorf("transport: certificate at %s is not that of node %v: %w", address, p.id, err)
			}
		}
	}
	o := &outgoing{conn: c, man: drpcmanager.NewWithOptions(c, t.managerOptions(writeBytes))}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	stream, err := o.man.NewClientStream(ctx, rpc)
	if err != nil {
		return nil, o.blame(p, err)
	}
	o.frameWriter = newFrameWriter(stream, t.codec)
	if err := o.stream.RawWrite(drpcwire.KindInvoke, []byte(rpc)); err != nil {
		return nil, o.blame(p, err)
	}
	if err := t.introduce(o.stream, p.id); err != nil {
		return nil, o.blame(p, err)
	}
	if err := c.established(0); err != nil {
		return nil, err
	}
	return o, nil
}

// managerOptions are those of all connections; buffer is how much of a batch is
// gathered before it is written.
func (t *Transport) managerOptions(buffer int) drpcmanager.Options {
	return drpcmanager.Options{
		WriterBufferSize:  buffer,
		Reader:            drpcwire.ReaderOptions{MaximumBufferSize: t.maxPacket()},
		Stream:            drpcstream.Options{MaximumBufferSize: keptBytes},
		InactivityTimeout: t.cfg.HandshakeTimeout,
	}
}

func (t *Transport) maxPacket() int { return t.cfg.MaxMessageBytes + 1024 }

// The side that dials writes batches, the other one pongs.
const (
	writeBytes  = 128 << 10
	answerBytes = 1 << 10
)
