package sdk

import (
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// SessionID names a session of a cell. It is given by the cell and never reused.
type SessionID uint64

// String is the number in decimal.
func (id SessionID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Token is the fencing token of a grant: larger than that of every earlier
// grant of the cell. Hand it to the resource with every write.
type Token uint64

// String is the number in decimal.
func (t Token) String() string { return strconv.FormatUint(uint64(t), 10) }

const (
	maxName       = 512
	maxLabels     = 16
	maxLabelKey   = 64
	maxLabelValue = 256
	maxItems      = 64
	maxReason     = 256
)

// checkName refuses what cannot be the name of a lock.
func checkName(op, name string) error { return checkNameOf("a lock", op, name) }

// checkElection refuses what cannot be the name of an election.
func checkElection(op, name string) error { return checkNameOf("an election", op, name) }

func checkNameOf(what, op, name string) error {
	if why := badName(name); why != "" {
		return invalid(op, shorten(name), "the name of %s is 1 to %d bytes of UTF-8 without control characters: %s", what, maxName, why)
	}
	return nil
}

func badName(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > maxName:
		return fmt.Sprintf("it has %d bytes", len(name))
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	}
	for i, r := range name {
		if unicode.IsControl(r) {
			return fmt.Sprintf("it has the control character %U at byte %d", r, i)
		}
	}
	return ""
}

// shorten keeps a hostile name out of messages.
func shorten(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}

func checkLabels(op string, labels map[string]string) error {
	if len(labels) > maxLabels {
		return invalid(op, "", "%d labels: at most %d are allowed", len(labels), maxLabels)
	}
	for k, v := range labels {
		if k == "" || len(k) > maxLabelKey || !utf8.ValidString(k) {
			return invalid(op, "", "label %q: a key is 1 to %d bytes of UTF-8", shorten(k), maxLabelKey)
		}
		if len(v) > maxLabelValue || !utf8.ValidString(v) {
			return invalid(op, "", "label %q: a value is at most %d bytes of UTF-8, not %d", k, maxLabelValue, len(v))
		}
	}
	return nil
}

func checkReason(op, reason string) error {
	if len(reason) > maxReason || !utf8.ValidString(reason) {
		return invalid(op, "", "a reason is at most %d bytes of UTF-8, not %d", maxReason, len(reason))
	}
	return nil
}
