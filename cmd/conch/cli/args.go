package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/conch-lock/conch/sdk"
)

// Bounds of the wire contract, checked here so that what is wrong is said
// without a cluster.
const (
	maxName       = 512
	maxLocks      = 64
	maxLabels     = 16
	maxLabelKey   = 64
	maxLabelValue = 256
	maxReason     = 256
	maxLockDelay  = time.Hour
)

// checkName refuses what cannot be the name of a lock. what is the argument or
// flag that it came with.
func checkName(what, name string) error {
	why := ""
	switch {
	case name == "":
		why = "it is empty"
	case len(name) > maxName:
		why = fmt.Sprintf("it has %d bytes", len(name))
	case !utf8.ValidString(name):
		why = "it is not UTF-8"
	default:
		for i, r := range name {
			if unicode.IsControl(r) {
				why = fmt.Sprintf("it has the control character %U at byte %d", r, i)
				break
			}
		}
	}
	if why == "" {
		return nil
	}
	return usage("%s %s: a name is 1 to %d bytes of UTF-8 without control characters: %s", what, quote(name), maxName, why)
}

// quote shows a value in a message: escaped, and cut when it is long.
func quote(s string) string {
	if len(s) > 64 {
		return strconv.Quote(s[:64]) + "…"
	}
	return strconv.Quote(s)
}

func checkTTL(ttl time.Duration) error {
	if ttl < sdk.MinTTL || ttl > sdk.MaxTTL {
		return usage("--ttl %v: %v to %v are allowed", ttl, sdk.MinTTL, sdk.MaxTTL)
	}
	if ttl%time.Millisecond != 0 {
		return usage("--ttl %v: it is counted in whole milliseconds", ttl)
	}
	return nil
}

func checkReason(reason string) error {
	if reason == "" {
		return usage("--reason is missing: say why, others will read it")
	}
	if len(reason) > maxReason || !utf8.ValidString(reason) {
		return usage("--reason %s: at most %d bytes of UTF-8 are allowed, not %d", quote(reason), maxReason, len(reason))
	}
	return nil
}

// parseLabels reads k=v words into labels.
func parseLabels(into map[string]string, words []string) error {
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		switch {
		case !ok || k == "":
			return usage("--label %s: KEY=VALUE is allowed", quote(w))
		case len(k) > maxLabelKey || len(v) > maxLabelValue || !utf8.ValidString(w):
			return usage("--label %s: a key is at most %d and a value at most %d bytes of UTF-8", quote(w), maxLabelKey, maxLabelValue)
		}
		into[k] = v
	}
	if len(into) > maxLabels {
		return usage("--label: %d labels with host, pid, user and cmd: at most %d are allowed", len(into), maxLabels)
	}
	return nil
}

// parseNumber reads an id or a token.
func parseNumber(what, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 {
		return 0, usage("%s %s: a number from 1 on is allowed", what, quote(text))
	}
	return n, nil
}
