//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conch-lock/conch/internal/cluster"
)

// requirePowerCut makes it a failure when power cannot be cut here.
const requirePowerCut = "REQUIRE_POWER_CUT"

// ext4Shutdown is the request EXT4_IOC_SHUTDOWN, _IOR('X', 125, uint32): from
// then on the file system refuses everything. With noLogFlush not even its
// journal is written, so that what was not fsynced is gone at the next mount:
// bytes, sizes, renames and new files, as when the power fails.
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

// TestPowerCut: all nodes lose their power at once under load, and everything
// that was acknowledged is there when they are back.
func TestPowerCut(t *testing.T) {
	c := prepare(t)
	var disks []*disk
	for _, n := range c.Nodes() {
		d := newDisk(t, n.Name)
		n.Data = filepath.Join(d.mount, "data")
		disks = append(disks, d)
	}
	t.Cleanup(c.Close) // before the disks are unmounted
	proveThatItCuts(t, disks[0])
	startAll(t, c)
	acknowledgedSurvives(t, c, 3, func() error { return powerCut(t, c, disks) })
}

// powerCut takes the power from all nodes and brings them up again.
func powerCut(t *testing.T, c *cluster.Cluster, disks []*disk) error {
	for _, d := range disks {
		if err := d.cut(); err != nil {
			return err
		}
	}
	if err := c.KillAll(); err != nil {
		return err
	}
	for _, d := range disks {
		if err := d.remount(); err != nil {
			return err
		}
	}
	return c.Start(within(t, time.Minute))
}

// proveThatItCuts makes sure that the technique works here: a file that was
// not fsynced is gone, one that was is there.
func proveThatItCuts(t *testing.T, d *disk) {
	t.Helper()
	safe, unsafe := filepath.Join(d.mount, "fsynced"), filepath.Join(d.mount, "not-fsynced")
	f, err := os.Create(safe)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unsafe, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.cut(), d.remount()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(safe); err != nil {
		t.Fatalf("what was fsynced is gone after the cut: %v", err)
	}
	if _, err := os.Stat(unsafe); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("what was not fsynced is there after the cut (%v): it cuts nothing", err)
	}
}

// disk is a file system in a file.
type disk struct {
	image, mount string
	mounted      bool
}

// newDisk makes one and mounts it, or skips the test where that is not allowed.
func newDisk(t *testing.T, name string) *disk {
	t.Helper()
	dir := t.TempDir()
	d := &disk{image: filepath.Join(dir, name+".ext4"), mount: filepath.Join(dir, name)}
	t.Cleanup(func() {
		if d.mounted {
			_ = unix.Unmount(d.mount, unix.MNT_DETACH)
		}
	})
	err := func() error {
		if os.Geteuid() != 0 {
			return errors.New("only root can mount")
		}
		if err := os.Mkdir(d.mount, 0o755); err != nil {
			return err
		}
		f, err := os.Create(d.image)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Truncate(512<<20), f.Close()); err != nil { // takes up what is written
			return err
		}
		if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
			return fmt.Errorf("mkfs.ext4 (apt-get install e2fsprogs): %w: %s", err, out)
		}
		return d.remount()
	}()
	if err != nil {
		if os.Getenv(requirePowerCut) != "" {
			t.Fatalf("power cannot be cut here: %v", err)
		}
		t.Skipf("power cannot be cut here: %v", err)
	}
	return d
}

func (d *disk) cut() error {
	dir, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), ext4Shutdown, noLogFlush); err != nil {
		return fmt.Errorf("shut down the file system at %s: %w", d.mount, err)
	}
	return nil
}

// remount mounts the disk, and takes it down before when it is mounted.
func (d *disk) remount() error {
	if d.mounted {
		if err := unix.Unmount(d.mount, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", d.mount, err)
		}
		d.mounted = false
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mount).CombinedOutput(); err != nil {
		return fmt.Errorf("mount %s: %w: %s", d.image, err, out)
	}
	d.mounted = true
	return nil
}
