package raftnode

import (
	"path"
	"sync/atomic"
	"time"
)

// logTime adds up how long the syncs of the log take, also of the segment that it prepares.
type logTime struct{ spent atomic.Int64 }

func (l *logTime) synced(name string, took time.Duration) {
	if path.Base(path.Dir(name)) == logName {
		l.spent.Add(int64(took))
	}
}

// take returns how long they took since it was asked last.
func (l *logTime) take() time.Duration { return time.Duration(l.spent.Swap(0)) }
