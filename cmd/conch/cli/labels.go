package cli

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ownLabels say to others who waits and holds: host, pid, user and cmd.
func ownLabels(cmd []string) map[string]string {
	labels := map[string]string{"pid": strconv.Itoa(os.Getpid())}
	if host, err := os.Hostname(); err == nil {
		labels["host"] = fit(host)
	}
	if name := userName(); name != "" {
		labels["user"] = fit(name)
	}
	if len(cmd) > 0 {
		labels["cmd"] = fit(strings.Join(cmd, " "))
	}
	return labels
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

// fit makes s a label's value: UTF-8, cut at its bound.
func fit(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxLabelValue {
		return s
	}
	end := maxLabelValue - len("…")
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
