package coordinator

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/raftnode"
)

// TestUnread: a node whose disk has failed tells who reads to ask another one. A
// watch that was told of a defect instead ended for good.
func TestUnread(t *testing.T) {
	l := &loop{}
	for want, err := range map[api.Code]error{
		api.Code_UNAVAILABLE: fmt.Errorf("raftnode: node 1 stopped at entry 7: write to the log: %w", syscall.EIO),
		api.Code_OVERLOADED:  raftnode.ErrBusy,
	} {
		if e := l.unread(err); e.GetCode() != want || !e.GetDefinite() {
			t.Errorf("%v: told %v, definite %v: want %v", err, e.GetCode(), e.GetDefinite(), want)
		}
	}
	if e := errorOf(errors.New("anything else")); e.GetDefinite() {
		t.Error("a command of which nothing is known is called definite")
	}
}
