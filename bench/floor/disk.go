package floor

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

const (
	// payload is the bytes of one commit.
	payload = 256
	// fileBytes is the size of the files: written with zeros beforehand, so that
	// a write changes no length and no block map, and written round and round.
	fileBytes = 16 << 20
)

// journal is a file that is written from front to back, again and again.
type journal struct {
	file *os.File
	at   int64
}

func createJournal(path string) (*journal, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < fileBytes && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros, at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &journal{file: f}, nil
}

// append writes p and waits until it is on disk.
func (j *journal) append(p []byte) error {
	if j.at+int64(len(p)) > fileBytes {
		j.at = 0
	}
	if _, err := j.file.WriteAt(p, j.at); err != nil {
		return err
	}
	j.at += int64(len(p))
	if err := syscall.Fdatasync(int(j.file.Fd())); err != nil {
		return fmt.Errorf("fdatasync %s: %w", j.file.Name(), err)
	}
	return nil
}

// Fdatasync writes 256 bytes and syncs them, again and again, and returns how
// long each took, sorted.
func Fdatasync(dir string, length time.Duration) ([]time.Duration, error) {
	j, err := createJournal(dir + "/fdatasync")
	if err != nil {
		return nil, err
	}
	defer os.Remove(j.file.Name())
	defer j.file.Close()
	return repeat(length, func() error { return j.append(make([]byte, payload)) })
}

// repeat times do, after a few runs that do not count.
func repeat(length time.Duration, do func() error) ([]time.Duration, error) {
	const warmup = 100
	var times []time.Duration
	for i, begin := 0, time.Now(); ; i++ {
		if i == warmup {
			begin = time.Now()
		}
		if i > warmup && time.Since(begin) > length {
			slices.Sort(times)
			return times, nil
		}
		start := time.Now()
		if err := do(); err != nil {
			return nil, err
		}
		if i >= warmup {
			times = append(times, time.Since(start))
		}
	}
}
