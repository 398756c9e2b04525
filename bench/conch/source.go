package conch

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/conch-lock/conch/internal/cluster"
)

// builtFrom says of which commit a program is, how it was built when that is not
// as usual, and whether it is another one than that of this source.
func builtFrom(ctx context.Context, path string) string {
	commit, how := "", ""
	if info, err := buildinfo.ReadFile(path); err == nil {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				how += " with changes"
			case s.Key == "-race" && s.Value == "true", s.Key == "-tags" && s.Value != "":
				how += ", built with " + s.Key + "=" + s.Value
			}
		}
	}
	instead := os.Getenv(cluster.BinaryVariable)
	if commit == "" && instead == "" { // the build was told to leave it out
		commit = sourceCommit(ctx)
	}
	if commit == "" {
		commit = "unknown"
	}
	text := "commit " + commit + how
	if instead != "" {
		text += fmt.Sprintf(", the program that %s names: %s", cluster.BinaryVariable, instead)
	}
	return text
}

// sourceCommit is that of the source, as git knows it; empty: it does not.
func sourceCommit(ctx context.Context) string {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/conch-lock/conch").Output()
	if err != nil {
		return ""
	}
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", strings.TrimSpace(string(dir))}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "HEAD")
	if err != nil {
		return ""
	}
	if changed, err := git("status", "--porcelain", "--untracked-files=no"); err != nil || changed != "" {
		commit += " with changes"
	}
	return commit
}
