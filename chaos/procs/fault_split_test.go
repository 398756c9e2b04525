//go:build linux

package main

import (
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestShapes: who still reaches whom, there and back, in cells that are cut in
// several shapes.
func TestShapes(t *testing.T) {
	reached := func(w ways, n int) (counts []int) {
		for i := range n {
			c := 0
			for j := range n {
				if i != j && !w[[2]int{i, j}] && !w[[2]int{j, i}] {
					c++
				}
			}
			counts = append(counts, c)
		}
		return counts
	}
	for _, c := range []struct {
		what string
		ways ways
		want []int
	}{
		{"split", splitIn([]int{3, 0, 1, 2, 4}, 2), []int{1, 2, 2, 1, 2}},
		{"bridge of 5", bridgeOf([]int{0, 1, 2, 3, 4}), []int{2, 2, 4, 2, 2}},
		{"bridge of 3", bridgeOf([]int{1, 0, 2}), []int{2, 1, 1}},
		{"ring", ringOf([]int{4, 2, 0, 1, 3}), []int{2, 2, 2, 2, 2}},
		{"one way", ways{}.cut([]int{0, 1}, []int{2, 3, 4}), []int{1, 1, 2, 2, 2}},
	} {
		for i, n := range reached(c.ways, len(c.want)) {
			if n != c.want[i] {
				t.Errorf("%s: node %d reaches %d others: want %d", c.what, i, n, c.want[i])
			}
		}
	}
}

// dialIn dials from a network namespace.
func dialIn(space, address string, patience time.Duration) error {
	c := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread, which is in another namespace now, ends with this
		f, err := os.Open("/run/netns/" + space)
		if err != nil {
			c <- err
			return
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			c <- err
			return
		}
		conn, err := net.DialTimeout("tcp", address, patience)
		if err == nil {
			_ = conn.Close()
		}
		c <- err
	}()
	return <-c
}

// TestBridgedNetwork: in a network that is a bridge the ends do not reach each
// other, all others do, and all do when it is over.
func TestBridgedNetwork(t *testing.T) {
	needNetwork(t)
	w, err := newNetwork(3, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for i, s := range w.spaces {
		l := listenIn(t, s, w.hosts[i].Address+":7000")
		go func() { // ends with the listener
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.Close()
			}
		}()
	}
	cut := bridgeOf([]int{0, 1, 2})
	for _, w2 := range []ways{cut, nil} {
		if err := w.set(w2); err != nil {
			t.Fatal(err)
		}
		for from := range 3 {
			for to := range 3 {
				if from == to {
					continue
				}
				blocked, patience := w2[[2]int{from, to}] || w2[[2]int{to, from}], 20*time.Second
				if blocked {
					patience = 200 * time.Millisecond
				}
				if err := dialIn(w.spaces[from], w.hosts[to].Address+":7000", patience); (err != nil) != blocked {
					t.Errorf("from node %d to %d: %v: cut %v", from, to, err, blocked)
				}
			}
		}
	}
}
