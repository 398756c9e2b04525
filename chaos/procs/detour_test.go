//go:build linux

package main

import (
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listenIn listens in a network namespace.
func listenIn(t *testing.T, space, address string) net.Listener {
	t.Helper()
	type result struct {
		l   net.Listener
		err error
	}
	c := make(chan result)
	go func() {
		runtime.LockOSThread() // and the thread, which is in another namespace now, ends with this
		f, err := os.Open("/run/netns/" + space)
		if err != nil {
			c <- result{nil, err}
			return
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			c <- result{nil, err}
			return
		}
		l, err := net.Listen("tcp", address)
		c <- result{l, err}
	}()
	r := <-c
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { _ = r.l.Close() })
	return r.l
}

// TestDetour: a connection that is open goes on over the detour, where its
// packets are late or out of order, is cut there as well, and comes back.
func TestDetour(t *testing.T) {
	needNetwork(t)
	w, err := newNetwork(2, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if w.detour == nil {
		leaveOut(t, errNoTun)
	}
	l := listenIn(t, w.spaces[0], w.hosts[0].Address+":7000")
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }() // ends with the client
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	packets := func() uint64 {
		w.detour.mu.Lock()
		defer w.detour.mu.Unlock()
		return w.detour.count
	}
	echo := func(size int) time.Duration {
		t.Helper()
		began := time.Now()
		sent := make([]byte, size)
		for i := range sent {
			sent[i] = byte(i / 7)
		}
		go func() { _, _ = c.Write(sent) }() // ends when it is read
		got := make([]byte, size)
		_ = c.SetReadDeadline(began.Add(time.Minute))
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		if string(got) != string(sent) {
			t.Fatal("other bytes came back")
		}
		return time.Since(began)
	}
	echo(1 << 20)
	if n := packets(); n != 0 {
		t.Errorf("%d packets took the detour before it was opened", n)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.detour.take(0, []int{1, 2}, manner{delay: 30 * time.Millisecond, jitter: 10 * time.Millisecond, ordered: true}))
	if took := echo(100); took < 60*time.Millisecond {
		t.Errorf("there and back took %v: want 60 ms or more", took)
	}
	must(w.detour.take(0, []int{1, 2}, manner{jitter: 5 * time.Millisecond, twice: 10}))
	echo(1 << 20)
	must(w.silence(0, true))
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came from a node that is cut off", n)
	}
	must(w.silence(0, false))
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	must(w.detour.leave(0, []int{1, 2}))
	echo(1 << 20) // what is still under way is over
	before := packets()
	echo(1 << 20)
	if n := packets(); n != before {
		t.Errorf("%d packets took the detour after it was closed", n-before)
	}
}
