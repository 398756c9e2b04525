package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BinaryVariable names the environment variable with the path of a conch
// program that tests use instead of building one, such as one with the race
// detector in it.
const BinaryVariable = "CONCH_BINARY"

// Build builds the conch program into a folder, from the source of the module
// that this package is of, and returns its path. It can be called in every
// module that uses this one.
func Build(ctx context.Context, dir string) (string, error) {
	if path := os.Getenv(BinaryVariable); path != "" {
		return path, nil
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/conch-lock/conch").Output()
	if err != nil {
		return "", fmt.Errorf("find the source of conch: %w", err)
	}
	path := filepath.Join(dir, "conch")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/conch")
	build.Dir = strings.TrimSpace(string(out))
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build conch: %w\n%s", err, said)
	}
	return path, nil
}
