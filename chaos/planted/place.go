package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/conch-lock/conch/internal/planted"
)

// module is the path of this module, and of its root package.
const module = "github.com/conch-lock/conch"

// pkg is what is to be known of a package of this module.
type pkg struct {
	ImportPath, Dir                    string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
	TestGoFiles, XTestGoFiles          []string
}

// path is the package's path below the module.
func (p *pkg) path() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// hasTests says whether there is anything to run.
func (p *pkg) hasTests() bool { return len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 }

// imports says whether the package's code, not its tests, imports another.
func (p *pkg) imports(path string) bool { return slices.Contains(p.Imports, path) }

// tests says whether the package's tests import another.
func (p *pkg) tests(path string) bool {
	return slices.Contains(p.TestImports, path) || slices.Contains(p.XTestImports, path)
}

// packages lists those of this module, those before that others import.
func packages() ([]*pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports,TestGoFiles,XTestGoFiles", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if strings.HasPrefix(p.ImportPath, module+"/") {
			all = append(all, p)
		}
	}
}

var useOfBug = regexp.MustCompile(`planted\.On\(planted\.(\w+)\)`)

// places finds the package in which each bug stands.
func places(all []*pkg) (map[planted.Bug]*pkg, error) {
	byName := map[string]planted.Bug{}
	for _, b := range planted.All() {
		byName[strings.ReplaceAll(b.String(), "-", "")] = b
	}
	at := map[planted.Bug]*pkg{}
	for _, p := range all {
		if p.path() == "internal/planted" || strings.HasPrefix(p.path(), "chaos/") {
			continue
		}
		for _, file := range p.GoFiles {
			source, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				return nil, err
			}
			for _, use := range useOfBug.FindAllSubmatch(source, -1) {
				b, ok := byName[strings.ToLower(string(use[1]))]
				if !ok {
					return nil, fmt.Errorf("%s/%s: there is no bug %s", p.path(), file, use[1])
				}
				if at[b] != nil {
					return nil, fmt.Errorf("%s stands in %s and in %s: once is allowed", b, at[b].path(), p.path())
				}
				at[b] = p
			}
		}
	}
	for _, b := range planted.All() {
		if at[b] == nil {
			return nil, fmt.Errorf("%s stands nowhere", b)
		}
	}
	return at, nil
}

// leaning lists the packages whose code leans on p, the nearest first.
func leaning(all []*pkg, p *pkg) []*pkg {
	found := []*pkg{p}
	for i := 0; i < len(found); i++ {
		for _, q := range all {
			if q.imports(found[i].ImportPath) && !slices.Contains(found, q) {
				found = append(found, q)
			}
		}
	}
	return found[1:]
}
