package nowait

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// pair is a connection and its other end.
func pair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if there, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// TestWhatDoesNotFitComesFirst: a prompt writer never waits for a reader, and
// everything arrives in the order in which it was written.
func TestWhatDoesNotFitComesFirst(t *testing.T) {
	here, there := pair(t)
	atOnce := 0
	w := New(here, here, func(n int) { atOnce += n })
	if !w.Able() {
		t.Fatal("a TCP connection cannot be written to without waiting")
	}
	var want bytes.Buffer
	piece := make([]byte, 100_000)
	w.Prompt(true)
	for i := 0; !w.Behind() || i%7 != 0; i++ {
		for j := range piece {
			piece[j] = byte(i)
		}
		want.Write(piece)
		if n, err := w.Write(piece); n != len(piece) || err != nil {
			t.Fatalf("%d bytes written, %v", n, err)
		}
	}
	w.Prompt(false)
	if atOnce == 0 || atOnce >= want.Len() {
		t.Fatalf("%d bytes of %d were written at once: want some, and not all", atOnce, want.Len())
	}
	done := make(chan error, 1)
	go func() {
		_, err := w.Write([]byte("the end"))
		here.Close()
		done <- err
	}()
	want.WriteString("the end")
	got, err := io.ReadAll(there)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes arrived, %v: want %d, in order", len(got), err, want.Len())
	}
	if err := <-done; err != nil || w.Behind() {
		t.Errorf("the last write: %v, behind: %v", err, w.Behind())
	}
}

// TestNothingFollowsAHole: what did not fit and could not be written later either
// is missing, and nothing may be written behind it.
func TestNothingFollowsAHole(t *testing.T) {
	here, _ := pair(t)
	w := New(here, here, func(int) {})
	w.Prompt(true)
	for !w.Behind() {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	w.Prompt(false)
	if err := here.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.CatchUp(); err == nil {
		t.Fatal("a rest was written to a connection that takes nothing")
	}
	if err := here.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, prompt := range []bool{false, true} {
		w.Prompt(prompt)
		if n, err := w.Write([]byte("the end")); err == nil {
			t.Errorf("prompt %v: %d bytes were written behind a hole", prompt, n)
		}
	}
}

func TestAClosedConnection(t *testing.T) {
	here, _ := pair(t)
	w := New(here, here, func(int) {})
	w.Prompt(true)
	here.Close()
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a write to a closed connection worked")
	}
}

func TestOtherConnectionsWait(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if New(a, a, func(int) {}).Able() {
		t.Error("a pipe can be written to without waiting")
	}
}
