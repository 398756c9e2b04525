// Package impure has everything in it that a pure package must not have. The
// test of purity must find each line that says what it wants.
package impure

import (
	"context" // want: a context is over
	"fmt"
	"maps"
	"math/rand/v2" // want: chance
	"net"          // want: network
	"os"           // want: files and the environment
	"slices"
	"sync"          // want: one goroutine owns
	"text/template" // want: nobody has said
	"time"
)

type table struct {
	mu    sync.Mutex
	names map[string]time.Duration // lengths of time are fine
}

func init() { // want: func init
	_ = template.New("x")
}

func (t *table) leak(c chan int) (string, error) {
	go t.mu.Lock()            // want: go statement
	now := time.Now()         // want: time.Now
	time.Sleep(time.Second)   // want: time.Sleep
	<-time.After(time.Second) // want: time.After
	_ = time.NewTimer(0)      // want: time.NewTimer
	_ = time.Since(now)       // want: time.Since
	out := ""
	for n := range t.names { // want: testdata/arch: *table.leak: t.names
		out += n
	}
	for n := range maps.Keys(t.names) { // want: wrap it in slices.Sorted
		out += n
	}
	for _, n := range slices.Sorted(maps.Keys(t.names)) { // sorted: fine
		out += n
	}
	select { // want: select statement
	case <-c:
	default:
	}
	_, err := net.Dial("tcp", os.Args[rand.IntN(2)])
	return fmt.Sprint(out, t.names["x"].String(), err), context.Canceled
}

func each[M ~map[K]V, K comparable, V any](m M, f func(K, V)) {
	for k, v := range m { // want: range over the map
		f(k, v)
	}
}
