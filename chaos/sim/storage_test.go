package sim

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/conch-lock/conch/raftnode/snapshot"
	"github.com/conch-lock/conch/raftnode/wal"
)

func TestNamed(t *testing.T) {
	for _, x := range []struct {
		err   error
		named bool
	}{
		{fmt.Errorf("open: %w", &wal.CorruptError{File: "1.wal"}), true},
		{fmt.Errorf("open: %w", &snapshot.CorruptError{File: "1.snap"}), true},
		{errors.New("group 1 has had data, and its log is gone: no"), true},
		{errors.New("group 1 has no usable snapshot although its log begins at 5"), true},
		{errors.New("something is wrong"), false},
		{errors.New("wal: 1.wal cannot be read"), false},
		{fmt.Errorf("open: %w", syscall.EIO), false},
		{fmt.Errorf("open: %w", syscall.ENOSPC), false},
	} {
		if named(x.err) != x.named {
			t.Errorf("%v: names the damage: %v", x.err, !x.named)
		}
	}
}

// TestRefusalWithoutAName: a node whose data were damaged may not refuse to start
// without saying what is damaged, and one whose data were not may not do so at all.
func TestRefusalWithoutAName(t *testing.T) {
	for _, x := range []struct {
		what    string
		damaged bool
		err     error
	}{
		{"damaged, for no reason that is told", true, errors.New("something is wrong")},
		{"not damaged, for no reason that is told", false, errors.New("something is wrong")},
		{"not damaged, for damage", false, &wal.CorruptError{File: "1.wal"}},
	} {
		w := &world{}
		n := w.newNode()
		n.hurt, n.wounded = x.damaged, x.damaged
		n.startFailed(x.err)
		if w.failed == nil || w.failed.Property != Damage {
			t.Errorf("%s: %v", x.what, w.failed)
		}
	}
}
