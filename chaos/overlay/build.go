package overlay

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Source is what differs in one build.
type Source struct {
	// Standard and Module are the files that change, by path below the standard
	// library's source and below the root of the module.
	Standard, Module map[string]File
	// Main are files that are added to the main package, by name.
	Main map[string]string
	// Flags are further arguments of go build.
	Flags []string
}

// File is how a file changes.
type File struct {
	Texts []Text
	Add   string // at its end
}

// Text is a text that must be in a file, and what takes its place.
type Text struct{ From, To string }

// apply gives the changed text of a file.
func (f File) apply(original string) (string, error) {
	b, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	text := string(b)
	for _, t := range f.Texts {
		if !strings.Contains(text, t.From) {
			return "", fmt.Errorf("%s has changed: %q is not in it", original, t.From)
		}
		text = strings.ReplaceAll(text, t.From, t.To)
	}
	return text + f.Add, nil
}

// Build builds the main package in a folder, such as "./cmd/conch" below the
// root of its module, with what the sources change.
func Build(ctx context.Context, root, main, program string, sources ...Source) error {
	if err := build(ctx, root, main, program, sources); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	return nil
}

func build(ctx context.Context, root, main, program string, sources []Source) error {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("where the standard library is: %w", err)
	}
	standard := filepath.Join(strings.TrimSpace(string(goroot)), "src")
	if root, err = filepath.Abs(root); err != nil {
		return err
	}
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "conch-overlay-") // not where packages are looked for
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	replace := map[string]string{}
	put := func(original, text string) error {
		if _, twice := replace[original]; twice {
			return fmt.Errorf("%s is changed twice", original)
		}
		replace[original] = filepath.Join(work, fmt.Sprintf("%d-%s", len(replace), filepath.Base(original)))
		return os.WriteFile(replace[original], []byte(text), 0o644)
	}
	flags := []string{"build", "-o", program}
	for _, s := range sources {
		for below, files := range map[string]map[string]File{standard: s.Standard, root: s.Module} {
			for name, f := range files {
				original := filepath.Join(below, name)
				text, err := f.apply(original)
				if err != nil {
					return err
				}
				if err := put(original, text); err != nil {
					return err
				}
			}
		}
		for name, text := range s.Main {
			if err := put(filepath.Join(root, main, name), text); err != nil {
				return err
			}
		}
		flags = append(flags, s.Flags...)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	file := filepath.Join(work, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", append(flags, "-overlay", file, main)...)
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", main, err, said)
	}
	return nil
}

// Root is the folder of the module that Conch is built from.
func Root(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/conch-lock/conch").Output()
	if err != nil {
		return "", fmt.Errorf("overlay: where the source of conch is: %w", err)
	}
	return strings.TrimSpace(string(root)), nil
}
