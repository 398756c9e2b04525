package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLastWordsDoNotWait: a node that failed ends although nobody reads its
// standard error.
func TestLastWordsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := make(chan struct{})
		w := &lastWords{writerFunc(func(p []byte) (int, error) {
			<-reads
			return len(p), nil
		})}
		begin := time.Now()
		if _, err := w.Write([]byte("the disk is broken")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write that stands still: %v", err)
		}
		if took := time.Since(begin); took != lastWordsPatience {
			t.Errorf("it took %v, want %v", took, lastWordsPatience)
		}
		close(reads)
		if n, err := w.Write([]byte("x")); n != 1 || err != nil {
			t.Errorf("a write that is read: %d, %v", n, err)
		}
	})
}

func TestDevKeepsItsNumberOfNodes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for range 2 {
		if err := keepNodes(dir, 3); err != nil {
			t.Fatal(err)
		}
	}
	err := keepNodes(dir, 5)
	if err == nil || codeOf(err) != exitUsage || !strings.Contains(err.Error(), "--nodes 5: the cluster in --data-dir "+dir+" has 3: use --nodes 3") {
		t.Errorf("five nodes over the data of three: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, nodesFile), []byte("many"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keepNodes(dir, 3); err == nil || !strings.Contains(err.Error(), `"many"`) {
		t.Errorf("a damaged note: %v", err)
	}
}
