package clock

import "github.com/conch-lock/conch/chaos/overlay"

// Source is what gives a program a clock that can go wrong.
func Source() overlay.Source {
	return overlay.Source{
		Standard: standard,
		Main:     map[string]string{"chaosclock.go": watch},
		Flags:    []string{"-ldflags=-checklinkname=0"},
	}
}

// standard is what changes in the standard library.
var standard = map[string]overlay.File{
	"runtime/time.go": {
		Texts: []overlay.Text{
			{From: "	return time_now()\n}", To: "	sec, nsec, mono = time_now()\n	if skewPPM != 0 || skewAcc != 0 || skewWall != 0 {\n" +
				"		m := skewed(mono)\n		w := sec*1000000000 + int64(nsec) + (m - mono) + skewWall\n" +
				"		return w / 1000000000, int32(w % 1000000000), m\n	}\n	return\n}"},
			{From: "		return gp.bubble.now\n	}\n	return nanotime()\n}", To: "		return gp.bubble.now\n	}\n	return skewed(nanotime())\n}"},
			{From: "	} else {\n		now = nanotime()\n	}\n	when := now + ns", To: "	} else {\n		now = nanotime()\n		ns = unskew(ns)\n	}\n	when := now + ns"},
		}, Add: `
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
		Texts: []overlay.Text{{From: "	if d <= 0 {\n		return runtimeNano()\n	}\n	t := runtimeNano() + int64(d)", To: "	if d <= 0 {\n		return realWhen(0)\n	}\n	t := realWhen(int64(d))"}},
		Add:   "\nfunc realWhen(d int64) int64\nfunc unskewD(d int64) int64\n",
	},
	"time/tick.go": {
		Texts: []overlay.Text{
			{From: "newTimer(when(d), int64(d),", To: "newTimer(when(d), unskewD(int64(d)),"},
			{From: "when(d), int64(d))", To: "when(d), unskewD(int64(d)))"},
		},
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
