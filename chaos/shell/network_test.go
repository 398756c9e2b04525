package shell

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// linked is two hosts and a connection between them.
func linked(t *testing.T) (n *network, a, b *host, here, there net.Conn) {
	t.Helper()
	n = newNetwork(1)
	a, b = n.boot("a"), n.boot("b")
	l, err := b.listen("b:1", peerSilence)
	if err != nil {
		t.Fatal(err)
	}
	if here, err = a.dial(context.Background(), "b:1"); err != nil {
		t.Fatal(err)
	}
	if there, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return n, a, b, here, there
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, text string) {
	t.Helper()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Fatalf("received %q, %v: want %q", b, err, text)
	}
}

// TestCutDelivers: what is sent while a way is cut arrives, in order, when it is
// open again, and the other way is not hurt.
func TestCutDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _, here, there := linked(t)
		heal := n.cut(way{"a", "b"})
		send(t, here, "one")
		send(t, here, "two")
		send(t, there, "back")
		receive(t, here, "back")
		_ = there.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err := there.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("over a way that is cut came %v", err)
		}
		_ = there.SetReadDeadline(time.Time{})
		heal()
		begin := time.Now()
		receive(t, there, "onetwo")
		if took := time.Since(begin); took == 0 || took > resendMost {
			t.Errorf("it arrived %v after the way was open", took)
		}
		if err := here.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := there.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the other side closed: %v", err)
		}
		_ = there.Close()
	})
}

// TestCutEndsInSilence: a way that stays cut ends connections, on both sides.
func TestCutEndsInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, _, here, there := linked(t)
		defer n.cut(way{"b", "a"})()
		begin := time.Now()
		for _, c := range []net.Conn{here, there} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
				t.Errorf("a connection in silence ended with %v", err)
			}
		}
		if took := time.Since(begin); took != peerSilence {
			t.Errorf("it took %v, want %v", took, peerSilence)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := a.dial(ctx, "b:1"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("dialing over a way that is cut: %v", err)
		}
	})
}

// TestEnds: the kernel of a process that ended says so, that of a machine without
// power does not until it is on again.
func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b, here, _ := linked(t)
		n.end(b, false)
		begin := time.Now()
		if _, err := here.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || time.Since(begin) > 100*time.Millisecond {
			t.Errorf("the other process ended: %v after %v", err, time.Since(begin))
		}
		if _, err := a.dial(context.Background(), "b:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialing where nobody listens: %v", err)
		}
		n, _, b, here, _ = linked(t)
		n.end(b, true)
		begin = time.Now()
		time.AfterFunc(2*time.Second, func() { n.boot("b") })
		send(t, here, "is there anybody")
		if _, err := here.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || time.Since(begin) < 2*time.Second {
			t.Errorf("the other machine came back: %v after %v", err, time.Since(begin))
		}
	})
}

// TestWindow: who does not read holds up who writes, and a deadline ends that.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, _, here, there := linked(t)
		_ = here.SetWriteDeadline(time.Now().Add(time.Second))
		sent, err := here.Write(make([]byte, 2*window))
		if !errors.Is(err, os.ErrDeadlineExceeded) || sent != window {
			t.Errorf("%d bytes were taken by one that does not read, then %v", sent, err)
		}
		_ = here.SetWriteDeadline(time.Time{})
		go func() { _, _ = io.CopyN(io.Discard, there, 2*window) }()
		if _, err := here.Write(make([]byte, window)); err != nil {
			t.Error(err)
		}
		// Unread bytes make a close a reset.
		send(t, there, "late")
		time.Sleep(time.Second)
		_ = here.Close()
		if _, err := there.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after a close with bytes unread: %v", err)
		}
	})
}
