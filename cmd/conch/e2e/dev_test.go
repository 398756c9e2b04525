package e2e

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/conch-lock/conch/internal/cluster"
)

// TestDevIsReadySoon measures conch dev from its start to its ready line, takes
// a lock, and sees that nothing is left at the end.
func TestDevIsReadySoon(t *testing.T) {
	const bound = 10 * time.Second // the aim is 2 s
	var took []time.Duration
	for range 3 {
		temp := t.TempDir()
		cmd := exec.Command(binary, "dev", "--listen=127.0.0.1:0")
		cmd.Env = append(os.Environ(), "TMPDIR="+temp)
		cmd.SysProcAttr = cluster.ProcessAttributes()
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		lines := bufio.NewScanner(out)
		if !lines.Scan() {
			_ = cmd.Wait()
			t.Fatalf("conch dev said nothing: %s", complaints.String())
		}
		took = append(took, time.Since(began))
		endpoints, ok := strings.CutPrefix(lines.Text(), "ready ")
		if !ok {
			t.Errorf("conch dev said %q, want ready and the endpoints", lines.Text())
		}
		if o := conch(within(t, 20*time.Second), temp, nil, "lock", "first", "--endpoints="+endpoints, "--", "true"); o.code != 0 {
			t.Errorf("after ready, conch lock ended with %d: %s", o.code, o.errors)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if lines.Scan() {
			t.Errorf("conch dev also said %q", lines.Text())
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("conch dev, told to stop: %v: %s", err, complaints.String())
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("conch dev left %v in the temporary folder (%v)", left, err)
		}
	}
	t.Logf("conch dev with three nodes is ready after %v (median of %v)", median(took), rounded(took))
	if median(took) > bound {
		t.Errorf("it took %v: want %v at most", median(took), bound)
	}
}
