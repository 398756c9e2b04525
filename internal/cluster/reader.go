package cluster

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// reader reads what the lives of a node write to standard error, unless it is
// told not to.
type reader struct {
	mu    sync.Mutex
	open  chan struct{} // closed while it reads
	muted bool
	write *os.File // of the newest life's pipe; nil: there was none
}

func newReader() *reader {
	r := &reader{open: make(chan struct{})}
	close(r.open)
	return r
}

// filler is what Mute fills a pipe with: lines with nothing in them, which are not
// copied to the log. Most pipes take 64 KiB.
var filler = bytes.Repeat([]byte("\n"), 256<<10)

// stuff keeps a pipe full until it is read or closed.
func stuff(pipe *os.File) {
	_, _ = pipe.Write(filler) // closed
}

// pipe makes the pipe for a life. What comes out of it is copied until everybody
// has closed it; then the channel is closed. When the life is over, whoever muted
// it is not asked any more.
func (r *reader) pipe(to io.Writer, over <-chan struct{}) (w *os.File, copied <-chan struct{}, err error) {
	in, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	r.mu.Lock()
	r.write = w
	if r.muted {
		go stuff(w) // ends with the pipe
	}
	r.mu.Unlock()
	go func() { // ends when nobody has the other end
		defer close(done)
		defer in.Close()
		lines := bufio.NewReaderSize(in, 4096)
		for {
			r.mu.Lock()
			open := r.open
			r.mu.Unlock()
			select {
			case <-open:
			case <-over:
			}
			line, err := lines.ReadBytes('\n')
			if len(line) > 1 || len(line) == 1 && line[0] != '\n' {
				_, _ = to.Write(line) // a full disk: the log has a hole
			}
			if err != nil {
				return
			}
		}
	}()
	return w, done, nil
}

// Mute has nobody read what the process writes to standard error, and fills the
// pipe so that it can write nothing more; Unmute reads on. They need Piped.
func (n *Node) Mute() error {
	r := n.reader
	if r == nil {
		return fmt.Errorf("node %s does not write to a pipe", n.Name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.muted {
		r.muted, r.open = true, make(chan struct{})
		if r.write != nil {
			go stuff(r.write) // ends with the pipe, or when everything was read
		}
	}
	return nil
}

// Unmute ends Mute.
func (n *Node) Unmute() {
	r := n.reader
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.muted {
		r.muted = false
		close(r.open)
	}
}
