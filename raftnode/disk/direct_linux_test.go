package disk

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDirect: a log is written past the page cache where the file system can, and
// otherwise written and synced, with the same bytes.
func TestDirect(t *testing.T) {
	for name, break_ := range map[string]func(d *direct){
		"direct": func(*direct) {},
		"odd memory": func(d *direct) { // which a disk does not write from, and memory does
			d.buf = append(make([]byte, 1, 1+len(d.buf)), d.buf...)[1:]
		},
		"cannot be opened":   func(d *direct) { _ = d.close(); *d = direct{off: true} },
		"written by others":  func(d *direct) { d.changed(1 << 20) },
		"made too short":     func(d *direct) { d.changed(10) },
		"renamed, then used": func(d *direct) { _ = d.close(); *d = direct{} },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			file, err := OS{}.Create(path)
			must(t, err)
			defer file.Close()
			f := file.(*osFile)
			write(t, f, strings.Repeat("\x00", 3*blockBytes), 0)
			must(t, f.Sync())
			first, second := strings.Repeat("a", blockBytes-10), strings.Repeat("b", 100)
			must(t, WriteSync(f, []byte(first), 0))
			probe, err := os.OpenFile(path, os.O_WRONLY|syscall.O_DIRECT, 0)
			if err == nil {
				must(t, probe.Close())
			}
			if f.direct.off != (err != nil) {
				t.Errorf("direct writes are off: %t, where opening such a file says: %v", f.direct.off, err)
			}
			if name == "renamed, then used" {
				must(t, OS{}.Rename(path, path+"2"))
			}
			break_(&f.direct)
			must(t, WriteSync(f, []byte(second), int64(len(first))))
			if off, want := f.direct.off, err != nil || strings.Contains("cannot be opened, renamed, then used", name); off != want && name != "odd memory" {
				t.Errorf("direct writes are off: %t", off)
			}
			expect(t, f, first+second+strings.Repeat("\x00", 3*blockBytes-len(first)-len(second)))
		})
	}
}
