package transport

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/conch-lock/conch/internal/onestream"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcstream"
)

// accept takes connections until the listener is closed. Running out of file
// descriptors is no reason to stop: it waits and goes on.
func (t *Transport) accept() {
	var pause time.Duration
	for {
		raw, err := t.cfg.Listener.Accept()
		if err == nil {
			pause = 0
			t.accepted.Add(1)
			t.take(raw)
			continue
		}
		if t.ctx.Err() != nil || isClosed(err) {
			return
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		if pass, n := t.quiet.pass(); pass {
			t.log.Error().Err(err).Int("suppressed", n).Msg("cannot take a connection")
		}
		select {
		case <-time.After(pause):
		case <-t.ctx.Done():
			return
		}
	}
}

// take serves a connection in a goroutine of its own, if there is room for it.
func (t *Transport) take(raw net.Conn) {
	secured := raw
	if t.cfg.ServerTLS != nil {
		secured = tls.Server(raw, t.cfg.ServerTLS)
	}
	c := newConn(secured, raw, t.cfg.WriteTimeout, &t.strangerBytes, &t.strangerBytes)
	c.budget.Store(handshakeBytes)

	t.mu.Lock()
	closed := t.closed
	var victim *conn
	if len(t.conns) >= t.cfg.MaxConnections || t.strangers.Len() >= t.cfg.MaxHandshakes {
		// Whoever has not said in all this time who it is makes room: a node
		// says it at once, and must get in while strangers wait in its way.
		victim = t.longestStranger()
	}
	room := !closed && len(t.conns) < t.cfg.MaxConnections
	if room {
		t.conns[c] = struct{}{}
		c.stranger = t.strangers.PushBack(c)
		t.wg.Go(func() { t.serve(c) })
	}
	t.mu.Unlock()
	if victim != nil {
		victim.fail(errCrowdedOut)
		_ = victim.Close()
	}
	if !room {
		_ = c.Close()
	}
	if closed || room && victim == nil {
		return
	}
	t.limited.Add(1)
	if pass, n := t.quiet.pass(); pass {
		t.log.Warn().Stringer("remote", raw.RemoteAddr()).Int("suppressed", n).Msg("connection closed: too many at a time")
	}
}

// longestStranger takes the connection out that has been in the handshake for the
// longest; nil: none is. It expects t.mu to be held.
func (t *Transport) longestStranger() *conn {
	e := t.strangers.Front()
	if e == nil {
		return nil
	}
	c := e.Value.(*conn)
	t.known(c)
	delete(t.conns, c)
	return c
}

// known says that a connection is not in the handshake any more. It expects t.mu
// to be held.
func (t *Transport) known(c *conn) {
	if c.stranger != nil {
		t.strangers.Remove(c.stranger)
		c.stranger = nil
	}
}

// serve answers on one connection until it ends.
func (t *Transport) serve(c *conn) {
	defer func() {
		_ = c.Close()
		t.mu.Lock()
		delete(t.conns, c)
		t.mu.Unlock()
	}()
	in, err := t.shake(c)
	if in != nil {
		defer func() { _ = in.man.Close() }()
	}
	if err != nil {
		t.refused.Add(1)
		if in != nil {
			in.refuse(err)
		}
	}
	t.mu.Lock()
	t.known(c)
	t.mu.Unlock()
	if err != nil {
		if pass, n := t.quiet.pass(); pass && t.ctx.Err() == nil {
			t.log.Warn().Err(err).Stringer("remote", c.RemoteAddr()).Int("suppressed", n).Msg("connection refused")
		}
		return
	}
	if !in.peer.register(c) {
		return
	}
	defer in.peer.unregister(c)
	if in.rpc == rpcSnapshot {
		in.peer.takeSnapshot(in)
	} else {
		in.peer.receive(in)
	}
}

// incoming is a connection taken from a peer whose handshake is done.
type incoming struct {
	peer   *peer
	conn   *conn
	man    *drpcmanager.Manager
	stream *drpcstream.Stream
	rpc    string

	messages *onestream.Reader // of Raft: DRPC does not read these

	patience time.Duration // how long a refusal may take to be read
}

// refuse ends the stream with an error and waits, not for long, until the other
// side has closed the connection. What comes until then is thrown away, by DRPC
// where it reads: were there
// something unread when the connection is closed, the kernel would reset it,
// and the other side would see that instead of the error.
func (in *incoming) refuse(err error) {
	_ = in.stream.SendError(err)
	if in.messages != nil && in.conn.why() == nil {
		_ = in.conn.SetReadDeadline(time.Now().Add(in.patience))
		_, _ = io.Copy(io.Discard, passedOn{in.conn})
		return
	}
	timeout := time.NewTimer(in.patience)
	defer timeout.Stop()
	select {
	case <-in.conn.failed:
	case <-timeout.C:
	}
}

// shake is this side of the handshake. With an error, incoming is not nil when
// the other side is able to read why.
func (t *Transport) shake(c *conn) (*incoming, error) {
	if err := tune(c.raw, t.cfg.SilenceTimeout); err != nil {
		return nil, fmt.Errorf("transport: set up connection: %w", err)
	}
	if err := c.SetDeadline(time.Now().Add(t.cfg.HandshakeTimeout)); err != nil {
		return nil, err
	}
	secured, _ := c.Conn.(*tls.Conn)
	if secured != nil {
		if err := secured.HandshakeContext(t.ctx); err != nil {
			return nil, fmt.Errorf("transport: TLS: %w", err)
		}
	}
	in := &incoming{conn: c, man: drpcmanager.NewWithOptions(c, t.managerOptions(answerBytes)), patience: t.cfg.HandshakeTimeout}
	var err error
	if in.stream, in.rpc, err = in.man.NewServerStream(t.ctx); err != nil {
		_ = in.man.Close()
		if cause := c.why(); cause != nil && cause != errClosedHere {
			err = cause
		}
		return nil, fmt.Errorf("transport: no hello: %w", err)
	}
	if in.rpc != rpcMessages && in.rpc != rpcSnapshot {
		return in, refuse(RefusedMessage, "unknown method %.64q: this port is for the nodes of a cluster, clients have another", in.rpc)
	}
	var f frame
	if err := in.stream.MsgRecv(&f, &codec{max: handshakeBytes}); err != nil {
		return in, refuse(RefusedMessage, "cannot read a hello: %v", err)
	}
	h, err := decodeHello(&f)
	if err == nil {
		err = t.check(h)
	}
	if err == nil && t.cfg.VerifyPeer != nil {
		if err = t.cfg.VerifyPeer(h.from, secured.ConnectionState()); err != nil {
			err = refuse(RefusedCertificate, "the certificate is not that of node %v: %v", h.from, err)
		}
	}
	if err == nil {
		in.peer, err = t.admit(h.from)
	}
	if err == nil {
		err = t.ask(h)
	}
	if err != nil {
		return in, err
	}
	c.count(&in.peer.receivedBytes, &in.peer.sentBytes)
	if err := c.established(0); err != nil {
		return in, err
	}
	if in.rpc == rpcMessages {
		// The dialing node says nothing until it is welcome.
		reader, err := c.passReading(in.patience)
		if err != nil {
			return in, err
		}
		in.messages = onestream.NewReader(reader, t.maxPacket())
	}
	return in, t.welcome(in.stream)
}
