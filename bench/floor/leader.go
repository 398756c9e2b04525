package floor

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const (
	maxBatch  = 1024 // commits that are written together
	lag       = 64   // batches that a follower may be behind before the leader waits for it
	headBytes = 12   // of a batch: its number and its length
)

// Node runs one node until its parent kills it: a leader when followers, a list
// of addresses with commas between, is not empty.
func Node(listen, file, followers string) error {
	j, err := createJournal(file)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if followers == "" {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		return follow(conn, j)
	}
	n := &leader{journal: j, requests: make(chan request, maxBatch), acks: make(chan uint64, 2*lag)}
	for address := range strings.SplitSeq(followers, ",") {
		conn, err := reach(address)
		if err != nil {
			return err
		}
		batches := make(chan []byte, lag)
		n.followers = append(n.followers, batches)
		go n.send(conn, batches) // ends with the process, as all goroutines here do
		go n.hear(conn)
	}
	go n.accept(l)
	return n.commit()
}

// reach connects to a follower, which may have to start first.
func reach(address string) (net.Conn, error) {
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil || time.Now().After(until) {
			return conn, err
		}
	}
}

// follow writes what the leader sends and says how far it is.
func follow(conn net.Conn, j *journal) error {
	in := bufio.NewReaderSize(conn, 1<<20)
	head, batch := make([]byte, headBytes), make([]byte, maxBatch*payload)
	for {
		if _, err := io.ReadFull(in, head); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(head[8:])
		if size > maxBatch*payload {
			return fmt.Errorf("a batch of %d bytes", size)
		}
		if _, err := io.ReadFull(in, batch[:size]); err != nil {
			return err
		}
		if err := j.append(batch[:size]); err != nil {
			return err
		}
		if _, err := conn.Write(head[:8]); err != nil {
			return err
		}
	}
}

// request is one client's 256 bytes.
type request struct {
	from net.Conn
	data [payload]byte
}

type leader struct {
	journal   *journal
	requests  chan request
	followers []chan []byte
	acks      chan uint64 // numbers of batches that a follower has on disk
}

// send sends batches to a follower.
func (n *leader) send(conn net.Conn, batches <-chan []byte) {
	for b := range batches {
		if _, err := conn.Write(b); err != nil {
			fail(err)
		}
	}
}

// hear hears how far a follower is.
func (n *leader) hear(conn net.Conn) {
	number := make([]byte, 8)
	for {
		if _, err := io.ReadFull(conn, number); err != nil {
			fail(err)
		}
		n.acks <- binary.BigEndian.Uint64(number)
	}
}

// accept takes clients.
func (n *leader) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			fail(err)
		}
		go func() { // ends with the client
			defer conn.Close()
			for {
				r := request{from: conn}
				if _, err := io.ReadFull(conn, r.data[:]); err != nil {
					return
				}
				n.requests <- r
			}
		}()
	}
}

// commit takes what has arrived, one batch at a time.
func (n *leader) commit() error {
	var batch []request
	for number := uint64(1); ; number++ {
		// 1. Everything that waits.
		batch = append(batch[:0], <-n.requests)
		for more := true; more && len(batch) < maxBatch; {
			select {
			case r := <-n.requests:
				batch = append(batch, r)
			default:
				more = false
			}
		}
		// 2. To the followers, while it is written here.
		frame := make([]byte, headBytes, headBytes+payload*len(batch))
		binary.BigEndian.PutUint64(frame, number)
		binary.BigEndian.PutUint32(frame[8:], uint32(payload*len(batch)))
		for i := range batch {
			frame = append(frame, batch[i].data[:]...)
		}
		for _, f := range n.followers {
			f <- frame
		}
		if err := n.journal.append(frame[headBytes:]); err != nil {
			return err
		}
		// 3. One follower has it as well. The other may be behind: what it says
		// of earlier batches is not waited for.
		for <-n.acks < number {
		}
		// 4. Every client is told.
		for i := range batch {
			if _, err := batch[i].from.Write(frame[:1]); err != nil {
				batch[i].from.Close() // its reader ends with it
			}
		}
	}
}

// fail ends the process: a floor with a broken part is none.
func fail(err error) {
	fmt.Fprintln(os.Stderr, "floor:", err)
	os.Exit(1)
}
