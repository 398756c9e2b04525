package disk

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestDirect: a log is written past the page cache where the file system can, and
// otherwise written and synced, with the same bytes.
func TestDirect(t *testing.T) {
	for name, break_ := range map[string]func(d *direct){
		"direct":             func(*direct) {},
		"refused":            func(d *direct) { d.buf = d.buf[1:] }, // no memory that a disk writes from
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
			if f.direct.off {
				t.Skip("the file system of temporary files has no direct writes")
			}
			if name == "renamed, then used" {
				must(t, OS{}.Rename(path, path+"2"))
			}
			break_(&f.direct)
			must(t, WriteSync(f, []byte(second), int64(len(first))))
			if off, want := f.direct.off, strings.Contains("refused, cannot be opened, renamed, then used", name); off != want {
				t.Errorf("direct writes are off: %t", off)
			}
			expect(t, f, first+second+strings.Repeat("\x00", 3*blockBytes-len(first)-len(second)))
		})
	}
}
