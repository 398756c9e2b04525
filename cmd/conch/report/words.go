package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Duration rounds d to what a person wants to read: "850ms", "4.2s", "4m12s",
// "3h05m", "2d4h".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-max(d, -1<<63+1))
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', -1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// Clock is a time of day, with the date unless it is today.
func (p *Printer) Clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.In(p.Zone)
	if t.Format(time.DateOnly) == p.Now().In(p.Zone).Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// Since is the time and how long ago that is.
func (p *Printer) Since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	ago := p.Now().Sub(t)
	if ago < time.Second {
		return p.Clock(t) + " (just now)"
	}
	return fmt.Sprintf("%s (%s ago)", p.Clock(t), Duration(ago))
}

// Until is how long it is to t, "now" when that has come.
func (p *Printer) Until(t *time.Time) string {
	if t == nil {
		return ""
	}
	if d := t.Sub(p.Now()); d > 0 {
		return "in " + Duration(d)
	}
	return "now"
}

// Ordinal is 1st, 2nd, 3rd, 4th.
func Ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// Count is "1 waiter", "2 waiters".
func Count[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Bytes is a size in binary units.
func Bytes(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 1024 && unit < 6 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, " KMGTPE"[unit])
}

// Labels is k=v k=v, by key.
func Labels(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		v := Text(labels[k])
		if strings.ContainsAny(v, " ") {
			v = `"` + v + `"`
		}
		parts = append(parts, Text(k)+"="+v)
	}
	return strings.Join(parts, " ")
}

// who is how a session is named in a sentence.
func who(session uint64, labels map[string]string) string {
	if len(labels) == 0 {
		return fmt.Sprintf("session %d", session)
	}
	return fmt.Sprintf("session %d (%s)", session, Labels(labels))
}

// Text makes s safe to show: what is not printable is escaped as in Go.
func Text(s string) string {
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			q := strconv.Quote(s)
			return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		}
	}
	return s
}

// clip shortens s for a column.
func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
