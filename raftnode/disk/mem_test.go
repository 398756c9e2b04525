package disk

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestCrashLosesWhatIsNotSynced(t *testing.T) {
	m := NewMem()
	f, err := m.Create("/kept")
	must(t, err)
	write(t, f, "durable", 0)
	must(t, f.Sync())
	must(t, m.SyncDir("/"))
	write(t, f, "DURABLE and more", 0)
	must(t, f.Truncate(2))
	write(t, f, "xyz", 1)

	g, err := m.Create("/unnamed")
	must(t, err)
	write(t, g, "synced, but its name is not", 0)
	must(t, g.Sync())

	m.Crash(DropUnsynced())
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, ErrCrashed) {
		t.Fatalf("a handle outlived the crash: %v", err)
	}
	if got := read(t, m, "/kept"); got != "durable" {
		t.Fatalf("after the crash: %q", got)
	}
	if _, err := m.ReadFile("/unnamed"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a name outlived the crash without a sync of its directory: %v", err)
	}
}

func TestCrashTakesBackNames(t *testing.T) {
	m := NewMem()
	must(t, m.WriteFile("/a", []byte("A")))
	must(t, m.WriteFile("/b", []byte("B")))
	must(t, m.WriteFile("/c", []byte("C")))
	must(t, m.Rename("/a", "/b"))
	must(t, m.Remove("/c"))
	must(t, m.Rename("/b", "/c"))

	for kept, want := range []string{"a=A b=B c=C", "b=A c=C", "b=A", "c=A"} {
		c := m.Clone()
		c.Crash(Survival{Keep: func(n int) int { return kept }})
		if got := all(t, c); got != want {
			t.Errorf("%d of 3 changes kept: %s, want %s", kept, got, want)
		}
	}
	must(t, m.SyncDir("/"))
	m.Crash(DropUnsynced())
	if got := all(t, m); got != "c=A" {
		t.Errorf("after SyncDir: %s", got)
	}
}

// TestCrashKeepsSectors checks that a sector is one of the versions it went
// through, whole, and that every version is met.
func TestCrashKeepsSectors(t *testing.T) {
	m := NewMem()
	must(t, m.WriteFile("/f", sectors("aaa")))
	f, err := m.Open("/f")
	must(t, err)
	write(t, f, string(sectors("bb")), 0)
	write(t, f, string(sectors("c")), SectorBytes/2)
	write(t, f, string(sectors("dd")), 2*SectorBytes)
	rng := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for range 2000 {
		c := m.Clone()
		c.Crash(KeepSome(rng))
		data := []byte(read(t, c, "/f"))
		if len(data) != 3*SectorBytes && len(data) != 4*SectorBytes {
			t.Fatalf("size %d", len(data))
		}
		var shape strings.Builder
		for s := range slices.Chunk(data, SectorBytes/2) {
			if slices.Min(s) != slices.Max(s) {
				t.Fatalf("a sector was torn: %q", s)
			}
			shape.WriteByte(max(s[0], '0'))
		}
		got := shape.String()
		if !slices.Contains([]string{"aa", "bb", "bc"}, got[:2]) || !slices.Contains([]string{"aa", "bb", "cb"}, got[2:4]) {
			t.Fatalf("sectors %s never were like this", got)
		}
		seen[got] = true
	}
	if want := 3 * 3 * 2 * 3; /* none, zero, d */ len(seen) != want {
		t.Errorf("%d different outcomes, want %d: %v", len(seen), want, seen)
	}
	k := m.Clone()
	k.Crash(KeepUnsynced())
	if read(t, k, "/f") != read(t, m, "/f") {
		t.Error("KeepUnsynced lost something")
	}
}

func TestCrashTearsTheLastWrite(t *testing.T) {
	m := NewMem()
	f, err := m.Create("/f")
	must(t, err)
	must(t, m.SyncDir("/"))
	write(t, f, "first", 0)
	write(t, f, "second", 5)
	rng := rand.New(rand.NewPCG(3, 4))
	seen := map[string]bool{}
	for range 200 {
		c := m.Clone()
		c.Crash(TearLast(rng))
		seen[read(t, c, "/f")] = true
	}
	for n := range 6 {
		if !seen["firstsecond"[:5+n]] {
			t.Errorf("never torn after %d bytes", n)
		}
	}
	if len(seen) != 6 {
		t.Errorf("torn in a way that cannot be: %v", seen)
	}
}

// TestFailedSyncIsNotRepaired checks that a second sync does not bring back
// what the first one lost, and that writing again does.
func TestFailedSyncIsNotRepaired(t *testing.T) {
	m := NewMem()
	must(t, m.WriteFile("/f", sectors("aa")))
	f, err := m.Open("/f")
	must(t, err)
	write(t, f, string(sectors("bb")), 0)
	m.Inject(Fault{Kind: OpSync})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	write(t, f, "c", SectorBytes)
	must(t, f.Sync())
	if got := read(t, m, "/f"); got[0] != 'b' {
		t.Fatal("the failed sync changed what is read")
	}
	m.Crash(DropUnsynced())
	want := string(sectors("a")) + "c" + string(sectors("b"))[1:]
	if read(t, m, "/f") != want {
		t.Fatal("a second sync made durable what the failed one had lost, or lost what was written again")
	}
}

func TestFaults(t *testing.T) {
	m := NewMem()
	f, err := m.Create("/f")
	must(t, err)
	m.Inject(Fault{Kind: OpWrite, Name: "f", Nth: 2, Short: 3})
	write(t, f, "hello", 0)
	if n, err := f.WriteAt([]byte("world"), 5); n != 3 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("short write: %d, %v", n, err)
	}
	expect(t, f, "hellowor")
	m.SetRoom(4)
	if n, err := f.WriteAt([]byte("0123456789"), 6); n != 6 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write on a full disk: %d, %v", n, err)
	}
	if err := f.Truncate(100); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("truncate on a full disk: %v", err)
	}
	must(t, f.Truncate(10))
	write(t, f, "ab", 10)
	m.SetRoom(-1)
	write(t, f, "0123456789", 20)

	m.Inject(Fault{Kind: OpRead, Always: true})
	for range 2 {
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, syscall.EIO) {
			t.Fatalf("read: %v", err)
		}
	}
	m.ClearFaults()
	must(t, f.Sync())
	must(t, m.FlipBit("/f", 0, 0))
	must(t, m.ZeroSector("/f", 0))
	if err := m.FlipBit("/f", 1000, 0); !errors.Is(err, fs.ErrInvalid) {
		t.Fatalf("flip past the end: %v", err)
	}
	if got := read(t, m, "/f"); got != string(make([]byte, 30)) {
		t.Fatalf("zeroed: %q", got)
	}
}

func TestHook(t *testing.T) {
	m := NewMem()
	var trace []string
	m.SetHook(func(op Op) error {
		trace = append(trace, op.Kind.String())
		if op.Kind == OpSync {
			m.Crash(DropUnsynced())
		}
		if op.Kind == OpRemove {
			return syscall.EROFS
		}
		return nil
	})
	f, err := m.Create("/f")
	must(t, err)
	write(t, f, "x", 0)
	must(t, m.SyncDir("/"))
	if err := m.Remove("/f"); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("remove: %v", err)
	}
	if err := f.Sync(); !errors.Is(err, ErrCrashed) {
		t.Fatalf("sync over a crash: %v", err)
	}
	if got := read(t, m, "/f"); got != "" {
		t.Fatalf("content %q", got)
	}
	if want := []string{"create", "write", "syncdir", "remove", "sync"}; !slices.Equal(trace, want) {
		t.Fatalf("trace %q, want %q", trace, want)
	}
	if m.Ops() != 5 {
		t.Fatalf("%d operations", m.Ops())
	}
}

func BenchmarkMemWriteSync(b *testing.B) {
	m := NewMem()
	f, err := m.Create("/f")
	must(b, err)
	must(b, f.Truncate(1<<20))
	must(b, f.Sync())
	p := make([]byte, 256)
	b.ReportAllocs()
	for i := range b.N {
		if _, err := f.WriteAt(p, int64(i%4096)*256); err != nil {
			b.Fatal(err)
		}
		if i%4 == 3 {
			must(b, f.Sync())
		}
	}
}

// sectors is a sector of each letter.
func sectors(letters string) []byte {
	var p []byte
	for _, c := range []byte(letters) {
		for range SectorBytes {
			p = append(p, c)
		}
	}
	return p
}

func read(t testing.TB, m *Mem, name string) string {
	t.Helper()
	p, err := m.ReadFile(name)
	must(t, err)
	return string(p)
}

func all(t testing.TB, m *Mem) string {
	names, err := m.List("/")
	must(t, err)
	var parts []string
	for _, name := range names {
		parts = append(parts, name+"="+read(t, m, "/"+name))
	}
	return strings.Join(parts, " ")
}
