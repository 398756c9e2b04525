//go:build linux

package child

import (
	"os"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// socketPair is one like that between conch and its guard.
func socketPair(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs = os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// now is a deadline of the length that deadlines have here.
func now(t *testing.T) int64 {
	t.Helper()
	at, err := boottime()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// fill sends deadlines until one has to wait, and returns how many fit.
func fill(t *testing.T, b *outbox) (fit int) {
	t.Helper()
	for at := now(t); !b.full(); at++ {
		b.send(order{Deadline: at})
		fit++
	}
	return fit - 1
}

// heard reads until an order to stop.
func heard(t *testing.T, b *outbox, socket *os.File) (all []order) {
	t.Helper()
	orders := receive[order](socket)
	end := time.After(patience)
	for {
		var again <-chan time.Time
		if b.full() {
			again = time.After(time.Millisecond)
		}
		select {
		case o, ok := <-orders:
			if !ok {
				t.Fatalf("the stream is garbled after %d orders", len(all))
			}
			if all = append(all, o); o.Stop {
				return all
			}
		case <-again:
			b.flush()
		case <-end:
			t.Fatalf("heard %d orders and never the one to stop", len(all))
		}
	}
}

// Nothing but superseded orders is lost on a guard that does not read, and
// what waits is bounded.
func TestOutboxOfAGuardThatDoesNotRead(t *testing.T) {
	ours, theirs := socketPair(t)
	b := &outbox{socket: ours}
	fit := fill(t, b)
	for i := range 1000 {
		b.send(order{Deadline: int64(i + 1)})
		b.send(order{Signal: int(unix.SIGTSTP)})
		b.send(order{Signal: int(unix.SIGCONT)})
		b.send(order{Signal: int(unix.SIGTERM)})
	}
	b.send(order{Signal: int(unix.SIGTSTP)})
	if len(b.waiting) != 4 {
		t.Errorf("%d orders wait, want 4: %+v", len(b.waiting), b.waiting)
	}
	b.send(order{Stop: true})
	all := heard(t, b, theirs)
	want := []order{ // after what was in the socket, and the one that was on its way
		{Deadline: 1000},
		{Signal: int(unix.SIGCONT)}, {Signal: int(unix.SIGTERM)}, {Signal: int(unix.SIGTSTP)},
		{Stop: true},
	}
	if got := all[min(fit+1, len(all)):]; !reflect.DeepEqual(got, want) {
		t.Errorf("heard %+v after the first %d, want %+v", got, fit+1, want)
	}
}

// An order of which only a part fits is finished later.
func TestOutboxFinishesAnOrder(t *testing.T) {
	ours, theirs := socketPair(t)
	conn, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if broken := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10)
	}); broken != nil || err != nil {
		t.Fatal(broken, err)
	}
	b := &outbox{socket: ours}
	path := make([]byte, 256<<10) // more than the socket holds
	b.send(order{Start: &start{Path: path}})
	if !b.full() {
		t.Fatal("all of it fits")
	}
	b.send(order{Signal: int(unix.SIGINT)})
	b.send(order{Stop: true})
	all := heard(t, b, theirs)
	if len(all) != 3 || all[0].Start == nil || len(all[0].Start.Path) != len(path) || all[1].Signal != int(unix.SIGINT) {
		t.Errorf("heard %d orders", len(all))
	}
}

// The guard is stopped so long before the loss that it has more to read than
// the socket holds.
func TestGuardStoppedLongBeforeTheLossIsGivenUp(t *testing.T) {
	ours, _ := socketPair(t)
	fit := fill(t, &outbox{socket: ours})

	c := startConch(t, `echo $$ >> pids; exec sleep 1000`,
		"CHILD_KILL_AFTER=10ms", "CHILD_ROLLING=1m", "CHILD_EVERY=1ms", "CHILD_ASKED=asked")
	pids := c.pids(1)
	guard := c.guardPID()
	t.Cleanup(func() {
		if t.Failed() { // then it is there still, and has to see the end of conch
			_ = unix.Kill(guard, unix.SIGCONT)
		}
	})
	if err := unix.Kill(guard, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.await("the guard is stopped", func() bool { return state(guard) == "T" })
	before := len(c.read("asked"))
	c.await("conch has had twice as many deadlines to tell as the socket holds", func() bool {
		return len(c.read("asked")) > before+2*fit
	})
	c.lose()
	if _, result := c.exit(); result != "code=137 lost=true killed=true guard-died=true left=0" {
		t.Errorf("result %s", result)
	}
	c.gone(pids...)
}

// Whoever asks conch again and again to end or to go on does not put off the
// end of a guard that does not obey.
func TestLossHeardTwicePutsNothingOff(t *testing.T) {
	ours, _ := socketPair(t)
	r := &runner{spec: Spec{Deadline: func() time.Time { return time.Now().Add(-time.Second) }}, orders: outbox{socket: ours}}
	r.lose()
	hang := r.hang
	r.received(unix.SIGTERM)
	if r.hang != hang {
		t.Error("the time until the guard is given up began anew")
	}
}

// Without deadlines, too, the guard hears in the end what did not fit.
func TestWhatDidNotFitIsToldLater(t *testing.T) {
	ours, theirs := socketPair(t)
	r := &runner{spec: Spec{KillAfter: patience}, orders: outbox{socket: ours}}
	fill(t, &r.orders)
	r.lose()
	notices, ended := make(chan notice), make(chan error)
	go func() { ended <- r.loop(notices) }()
	orders := receive[order](theirs)
	end := time.After(patience)
	for stop := false; !stop; {
		select {
		case o := <-orders:
			stop = o.Stop
		case <-end:
			t.Fatal("the order to stop was never heard")
		}
	}
	notices <- notice{Finished: &finish{}}
	if err := <-ended; err != nil || !r.result.Lost {
		t.Errorf("ended with %v, %+v", err, r.result)
	}
}
