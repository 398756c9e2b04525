package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// TestWriteSync holds both implementations to what WriteSync promises, beside
// other writes, and to the bytes that an array would have.
func TestWriteSync(t *testing.T) {
	for seed := range uint64(20) {
		testWriteSync(t, OS{}, t.TempDir(), seed)
		testWriteSync(t, NewMem(), "/", seed)
	}
}

func testWriteSync(t *testing.T, fsys FS, dir string, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	name := filepath.Join(dir, "log")
	f, err := fsys.Create(name)
	must(t, err)
	// Also a size that is no multiple of a block, so that the last block is none.
	want := make([]byte, (1<<20)+rng.IntN(2)*(8+rng.IntN(5000)))
	write(t, f, string(want), 0)
	must(t, f.Sync())
	end := 0
	for end < len(want) {
		p := make([]byte, min(1+rng.IntN([]int{300, 9000, 200_000}[rng.IntN(3)]), len(want)-end))
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		switch rng.IntN(8) {
		case 0: // in two steps, as where not all is synced
			write(t, f, string(p), int64(end))
			must(t, f.Sync())
		case 1: // over bytes that are there
			if end > 0 {
				at := rng.IntN(end)
				q := p[:min(len(p), end-at)]
				write(t, f, string(q), int64(at))
				must(t, f.Sync())
				copy(want[at:], q)
			}
			continue
		case 2: // as after a start
			must(t, f.Close())
			f, err = fsys.Open(name)
			must(t, err)
			fallthrough
		default:
			must(t, WriteSync(f, p, int64(end)))
		}
		copy(want[end:], p)
		end += len(p)
		if rng.IntN(16) == 0 {
			expect(t, f, string(want))
		}
	}
	expect(t, f, string(want))
	must(t, f.Close())
	if err := WriteSync(f, []byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("WriteSync after close: %v", err)
	}
}

// TestMemWriteSync: what a disk need not survive is an error in memory.
func TestMemWriteSync(t *testing.T) {
	m := NewMem()
	f, err := m.Create("/f")
	must(t, err)
	write(t, f, "0123456789", 0)
	if err := WriteSync(f, []byte("x"), 10); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("beside bytes that are not synced: %v", err)
	}
	must(t, f.Sync())
	if err := WriteSync(f, []byte("x"), 8); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("before bytes that are not zero: %v", err)
	}
	must(t, WriteSync(f, []byte("x"), 9))
	must(t, m.SyncDir("/"))
	m.Crash(DropUnsynced())
	if got, err := m.ReadFile("/f"); err != nil || !bytes.Equal(got, []byte("012345678x")) {
		t.Errorf("after a crash: %q, %v", got, err)
	}
}
