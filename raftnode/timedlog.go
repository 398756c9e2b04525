package raftnode

import (
	"path"
	"sync/atomic"
	"time"

	"github.com/conch-lock/conch/raftnode/disk"
)

// timedLog is a file system that adds up how long the syncs of the log take, also of the segment that it prepares.
type timedLog struct {
	disk.FS
	now   func() time.Duration
	spent atomic.Int64
}

// take returns how long they took since it was asked last.
func (l *timedLog) take() time.Duration { return time.Duration(l.spent.Swap(0)) }

func (l *timedLog) Create(name string) (disk.File, error) { return l.wrap(name)(l.FS.Create(name)) }
func (l *timedLog) Open(name string) (disk.File, error)   { return l.wrap(name)(l.FS.Open(name)) }

func (l *timedLog) wrap(name string) func(disk.File, error) (disk.File, error) {
	return func(f disk.File, err error) (disk.File, error) {
		if err != nil || path.Base(path.Dir(name)) != logName {
			return f, err
		}
		return timedFile{f, l}, nil
	}
}

type timedFile struct {
	disk.File
	log *timedLog
}

func (f timedFile) Sync() error {
	began := f.log.now()
	defer func() { f.log.spent.Add(int64(f.log.now() - began)) }()
	return f.File.Sync()
}
