package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// mostTold is how many lines of a crash are told.
const mostTold = 40

// crashed says whether a line of a node's log tells of a defect: of a panic that
// ended the process, or was caught on the way, of an end by the runtime, or of a
// data race.
func crashed(line string) bool {
	for _, begin := range []string{"panic: ", "fatal error: ", "runtime: ", "unexpected fault address ", "WARNING: DATA RACE"} {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	// What was caught is logged with this field, and quotes in a value are escaped.
	return strings.HasPrefix(line, "{") && strings.Contains(line, `"panic":`)
}

// crashesIn are the crashes that a log tells of, each with the lines that follow
// it, and how many bytes of it were read: up to the end of its last whole line.
func crashesIn(log io.Reader) (found []string, read int64, err error) {
	lines := bufio.NewReader(log)
	told := mostTold
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return found, read, nil
		}
		if err != nil {
			return found, read, err
		}
		read += int64(len(line))
		switch {
		case crashed(line):
			found, told = append(found, line), 1
		case strings.HasPrefix(line, "{"): // the log goes on
			told = mostTold
		case told < mostTold:
			found[len(found)-1] += line
			told++
		}
	}
}

// Crashes are what the node has logged of panics and data races since it was
// asked last, which no test is to overlook.
func (n *Node) Crashes() ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, err := os.Open(n.LogFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it was never started
	}
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	defer f.Close()
	if _, err := f.Seek(n.judged, io.SeekStart); err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	found, read, err := crashesIn(f)
	n.judged += read
	if err != nil {
		return found, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return found, nil
}

// LastWords is the last message that is no entry of the log: why it ended, or did
// not start. Empty: there is none.
func (n *Node) LastWords() (string, error) {
	b, err := os.ReadFile(n.LogFile)
	if err != nil {
		return "", fmt.Errorf("node %s: %w", n.Name, err)
	}
	last := ""
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "conch: ") {
			last = strings.TrimSpace(line)
		}
	}
	return last, nil
}

// raceOptions has a node that was built with the race detector end at the first
// race, with exit status 66.
func raceOptions(was string) string {
	return "GORACE=" + strings.TrimSpace(was+" halt_on_error=1")
}
