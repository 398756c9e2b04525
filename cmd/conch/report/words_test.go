package report

import (
	"math"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                             "0µs",
		850 * time.Microsecond:        "850µs",
		999 * time.Millisecond:        "999ms",
		4250 * time.Millisecond:       "4.2s",
		5 * time.Second:               "5s",
		59999 * time.Millisecond:      "59s",
		4*time.Minute + 2*time.Second: "4m02s",
		3*time.Hour + 5*time.Minute:   "3h05m",
		52*time.Hour + 30*time.Minute: "2d4h",
		-time.Minute:                  "-1m00s",
		time.Duration(math.MinInt64):  "-106751d23h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %s, want %s", d, got, want)
		}
	}
}

func TestOrdinal(t *testing.T) {
	for n, want := range map[int]string{
		1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 102: "102nd", 111: "111th",
	} {
		if got := Ordinal(n); got != want {
			t.Errorf("Ordinal(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 2 << 30: "2.0 GiB", math.MaxUint64: "16.0 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", n, got, want)
		}
	}
}

// Nothing that others chose can move the cursor.
func TestText(t *testing.T) {
	for s, want := range map[string]string{
		"plain": "plain", "größe": "größe", `a "quoted" word`: `a "quoted" word`,
		"a\x1b[2J": `a\x1b[2J`, "a\nb": `a\nb`, "\xff": `\xff`, "a\u202eb": `a\u202eb`, "\"\n": `"\n`,
	} {
		if got := Text(s); got != want {
			t.Errorf("Text(%q) = %s, want %s", s, got, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var all []time.Duration
	for i := range 1000 {
		all = append(all, time.Duration(i+1))
	}
	for share, want := range map[float64]time.Duration{0.5: 500, 0.9: 900, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := percentile(all, share); got != want {
			t.Errorf("percentile(%v) = %d, want %d", share, got, want)
		}
	}
	if got := percentile(all[:1], 0.5); got != 1 {
		t.Errorf("of one: %d", got)
	}
	if got := percentile(nil, 0.5); got != 0 {
		t.Errorf("of none: %d", got)
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	p := &Printer{Now: func() time.Time { return now }, Zone: time.UTC}
	for _, tt := range []struct {
		at   time.Time
		want string
	}{{now, "12:00:00"}, {now.Add(-13 * time.Hour), "2026-03-13 23:00:00"}, {time.Time{}, ""}} {
		if got := p.Clock(tt.at); got != tt.want {
			t.Errorf("Clock(%v) = %s, want %s", tt.at, got, tt.want)
		}
	}
}
