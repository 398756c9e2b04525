package clock

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// change is a text in a file of the standard library, and what takes its place.
type change struct{ from, to string }

// patches are what changes, by file below GOROOT/src.
var patches = map[string]struct {
	changes []change
	add     string
}{
	"runtime/time.go": {
		[]change{
			{"	return time_now()\n}", "	sec, nsec, mono = time_now()\n	if skewPPM != 0 || skewAcc != 0 || skewWall != 0 {\n" +
				"		m := skewed(mono)\n		w := sec*1000000000 + int64(nsec) + (m - mono) + skewWall\n" +
				"		return w / 1000000000, int32(w % 1000000000), m\n	}\n	return\n}"},
			{"		return gp.bubble.now\n	}\n	return nanotime()\n}", "		return gp.bubble.now\n	}\n	return skewed(nanotime())\n}"},
			{"	} else {\n		now = nanotime()\n	}\n	when := now + ns", "	} else {\n		now = nanotime()\n		ns = unskew(ns)\n	}\n	when := now + ns"},
		}, `
// The clock shown is the real one since skewBase at another rate, and skewAcc.
var skewPPM, skewBase, skewAcc, skewWall int64

func skewed(n int64) int64 {
	if skewPPM == 0 {
		return n + skewAcc
	}
	return n + skewAcc + (n-skewBase)/1000*skewPPM/1000
}

// unskew is how long a duration of the clock shown takes.
func unskew(d int64) int64 {
	if skewPPM == 0 {
		return d
	}
	return int64(float64(d) * 1e6 / float64(1000000+skewPPM))
}

//go:linkname time_realWhen time.realWhen
func time_realWhen(d int64) int64 {
	if getg().bubble != nil {
		return getg().bubble.now + d
	}
	return nanotime() + unskew(d)
}

//go:linkname time_unskew time.unskewD
func time_unskew(d int64) int64 { return unskew(d) }

//go:linkname chaosSkew
func chaosSkew(ppm, jumpMono, jumpWall int64) {
	n := nanotime()
	shown := skewed(n)
	skewPPM, skewBase, skewAcc = ppm, n, shown-n+jumpMono
	skewWall += jumpWall
}
`,
	},
	"time/sleep.go": {
		[]change{{"	if d <= 0 {\n		return runtimeNano()\n	}\n	t := runtimeNano() + int64(d)", "	if d <= 0 {\n		return realWhen(0)\n	}\n	t := realWhen(int64(d))"}},
		"\nfunc realWhen(d int64) int64\nfunc unskewD(d int64) int64\n",
	},
	"time/tick.go": {
		[]change{
			{"newTimer(when(d), int64(d),", "newTimer(when(d), unskewD(int64(d)),"},
			{"when(d), int64(d))", "when(d), unskewD(int64(d)))"},
		}, "",
	},
}

// watch is the file that is added to the main package.
const watch = `package main

import (
	"fmt"
	"os"
	"time"
	_ "unsafe"
)

//go:linkname chaosSkew runtime.chaosSkew
func chaosSkew(ppm, jumpMono, jumpWall int64)

func init() {
	file := os.Getenv("` + Variable + `")
	if file == "" {
		return
	}
	go func() {
		for last := 0; ; time.Sleep(10 * time.Millisecond) {
			b, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			var number int
			var ppm, jump, wall int64
			if _, err := fmt.Sscan(string(b), &number, &ppm, &jump, &wall); err != nil || number == last {
				continue
			}
			chaosSkew(ppm, jump, wall)
			last = number
		}
	}()
}
`

// Build builds the main package in a folder, such as "./cmd/conch" below the
// root of its module, into a program with a clock that can go wrong. What it
// needs lies in the folder of the program.
func Build(ctx context.Context, root, main, program string) error {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("clock: where the standard library is: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(goroot)), "src")
	work, err := filepath.Abs(program + ".overlay")
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	replace := map[string]string{}
	put := func(original, text string) error {
		file := filepath.Join(work, strings.ReplaceAll(strings.TrimPrefix(original, string(filepath.Separator)), string(filepath.Separator), "_"))
		replace[original] = file
		return os.WriteFile(file, []byte(text), 0o644)
	}
	for name, p := range patches {
		original := filepath.Join(src, name)
		b, err := os.ReadFile(original)
		if err != nil {
			return fmt.Errorf("clock: %w", err)
		}
		text := string(b)
		for _, c := range p.changes {
			if !strings.Contains(text, c.from) {
				return fmt.Errorf("clock: this version of Go has another %s: %q is not in it", name, c.from)
			}
			text = strings.ReplaceAll(text, c.from, c.to)
		}
		if err := put(original, text+p.add); err != nil {
			return fmt.Errorf("clock: %w", err)
		}
	}
	dir, err := filepath.Abs(filepath.Join(root, main))
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	if err := put(filepath.Join(dir, "chaosclock.go"), watch); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	file := filepath.Join(work, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	program, err = filepath.Abs(program)
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", file, "-ldflags=-checklinkname=0", "-o", program, main)
	build.Dir = root
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("clock: build %s: %w\n%s", main, err, said)
	}
	return nil
}
