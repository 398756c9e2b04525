package coordinator

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/raftnode/disk"
)

// failingFS is the machine's file system, until the log's next fsync or write
// fails. It counts what happens to files of the log afterwards.
type failingFS struct {
	disk.FS
	arm    atomic.Int32 // 1: the next fsync, 2: the next write
	failed atomic.Bool
	after  atomic.Int32 // fsyncs and writes of the log after the failure
}

func (f *failingFS) Create(name string) (disk.File, error) { return f.wrap(name)(f.FS.Create(name)) }
func (f *failingFS) Open(name string) (disk.File, error)   { return f.wrap(name)(f.FS.Open(name)) }

func (f *failingFS) wrap(name string) func(disk.File, error) (disk.File, error) {
	return func(file disk.File, err error) (disk.File, error) {
		if err != nil || !strings.Contains(name, "/log/") {
			return file, err
		}
		return failingFile{file, f}, nil
	}
}

// fails says whether this operation is the one.
func (f *failingFS) fails(kind int32) bool {
	if f.failed.Load() {
		f.after.Add(1)
	}
	if f.arm.CompareAndSwap(kind, 0) {
		f.failed.Store(true)
		return true
	}
	return false
}

type failingFile struct {
	disk.File
	fs *failingFS
}

func (f failingFile) Sync() error {
	if f.fs.fails(1) {
		return syscall.EIO
	}
	return f.File.Sync()
}

func (f failingFile) WriteAt(p []byte, off int64) (int, error) {
	if f.fs.fails(2) {
		return 0, syscall.EIO
	}
	return f.File.WriteAt(p, off)
}

// TestFailStop: a node whose log cannot be written or fsynced answers nothing
// that would rest on it, ends with the reason, and touches the log no more. What
// it had answered before is there after a restart.
func TestFailStop(t *testing.T) {
	for kind, what := range map[int32]string{1: "fsync", 2: "write"} {
		t.Run(what, func(t *testing.T) {
			fs := &failingFS{FS: disk.OS{}}
			c := newCluster(t, 1, func(cfg *Config) { cfg.FS = fs })
			a := connect(t, c.address(0))
			var last uint64
			for i := range 20 {
				last = a.put(fmt.Sprint("k", i), "v")
			}
			fs.arm.Store(kind)
			// Many at once, so that some are behind the one that fails.
			var ids []uint64
			for i := range 50 {
				req := putRequest(fmt.Sprint("doomed", i), "v")
				a.mu.Lock()
				a.id++
				req.Id = a.id
				a.mu.Unlock()
				ids = append(ids, req.Id)
				if a.stream.Send(&api.ClientFrames{Requests: []*api.Request{req}}) != nil {
					break // it has ended
				}
			}
			<-c.nodes[0].Done()
			if err := c.nodes[0].Err(); !errors.Is(err, syscall.EIO) {
				t.Errorf("it ended with %v", err)
			}
			a.over()
			// No entry was applied after the one that failed, and there is one voter:
			// what was acknowledged is what is in the log below.
			acked := map[string]uint64{}
			a.mu.Lock()
			for i, id := range ids {
				for _, r := range a.answers[id] {
					if r.GetError() == nil {
						acked[fmt.Sprint("doomed", i)] = r.GetTxn().GetRevision()
					}
				}
			}
			a.mu.Unlock()
			if len(acked) == len(ids) {
				t.Error("everything was acknowledged: nothing failed")
			}
			if n := fs.after.Load(); n > 0 {
				t.Errorf("%d writes and fsyncs of the log after the failure", n)
			}
			_ = c.nodes[0].Close()
			fs.failed.Store(false)
			waitReady(t, c.start(0, nil))
			b := connect(t, c.address(0))
			r := b.must(&api.Request{Op: &api.Request_Range{Range: &api.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z")}}}).GetRange()
			found := map[string]uint64{}
			for _, kv := range r.GetKvs() {
				found[string(kv.GetKey())] = kv.GetModRevision()
			}
			for key, revision := range acked {
				if found[key] != revision {
					t.Errorf("%s was acknowledged at revision %d, and is there at %d", key, revision, found[key])
				}
			}
			if found["k19"] != last {
				t.Errorf("k19 is there at %d, acknowledged was %d", found["k19"], last)
			}
		})
	}
}
