package conch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/conch-lock/conch"

// direction says which packages of this module a package may import. The
// first rule whose path fits counts; "x/..." fits x and everything below.
var direction = []struct {
	path   string
	may    []string
	reason string
}{
	{"record", nil, "it is the spelling of bytes that everything durable shares"},
	{"sessions", []string{"record"}, "sessions know of nothing that is held in them"},
	{"locks", []string{"record", "sessions"}, "locks are held in sessions and know of nothing above"},
	{"elections", []string{"record", "sessions", "locks"}, "an election is a lock with an audience"},
	{"coordinator/store", []string{"record"}, "the store keeps bytes and knows of no lock"},
	{"coordinator/machine", []string{"record", "sessions", "locks", "elections", "coordinator/store"},
		"the state machine must run without a server, a disk or a network around it"},
	{"coordinator/cell", []string{"record", "sessions", "locks", "elections", "coordinator/store", "coordinator/machine", "raftnode"},
		"a cell is the state machine as raftnode wants it, and must run in the simulation"},
	{"coordinator/...", []string{"api", "record", "sessions", "locks", "elections", "coordinator/...", "raftnode/...", "internal/nowait"},
		"the server must not lean on its own client, nor on the command line"},
	{"internal/cost", nil, "it is for tests, and no package that is tested may come with it"},
	{"internal/nowait", nil, "it writes bytes and knows nothing of what they say"},
	{"internal/onestream", nil, "it reads bytes and knows nothing of what they say"},
	{"raftnode/...", []string{"raftnode/...", "internal/nowait", "internal/onestream"}, "it replicates entries and must know nothing of what is in them"},
	{"api", nil, "the wire contract depends on nothing"},
	{"sdk/...", []string{"api", "sdk/...", "internal/nowait", "internal/onestream"}, "whoever imports the client must not get a server with it"},
	{plantedPath, nil, "whatever is to break leans on it, so it leans on nothing"},
	{"internal/cluster/...", []string{"sdk/...", "internal/cluster/..."}, "it drives real processes as a user would"},
	{"cmd/...", []string{"cmd/...", "api", "sdk/...", "coordinator/...", "raftnode/...", "locks", "sessions", "record", "internal/cluster/..."},
		"the command is the top of the tree, and tools for breaking things stay out of it"},
	{"examples/...", []string{"examples/...", "sdk/...", "internal/cluster/..."}, "an example shows what a user can do, and users have the client"},
	{"chaos/check", nil, "a defect of Conch must not be a defect of its judge"},
	{"chaos/...", []string{"..."}, "it may look at everything"},
	{"bench/...", []string{"..."}, "it may look at everything"},
	{"", nil, "the root has no code"},
}

// plantedPath has the bugs that are planted. Every package but those in which
// nothing is planted may import it, the pure ones too: in an ordinary build it
// is the constant false, and planted_test.go holds that its one function is all
// that is used of it.
const plantedPath = "internal/planted"

// unplanted are the packages that must not import it.
var unplanted = []string{"api", "record", "cmd/...", "examples/...", "internal/cluster/..."}

// pure are the packages that must give the same outputs for the same inputs on
// every node, today and at every replay of the log.
var pure = []string{
	"record", "sessions", "locks", "elections",
	"coordinator/store", "coordinator/machine", "coordinator/cell",
}

// mapRanges are the places where a pure package ranges over a map. In each the
// order cannot reach an output; the reason says why.
var mapRanges = map[string]string{
	"coordinator/cell: *Cell.Lead: c.heard":             "numbers heard are joined by their maximum; past the bound any may be left out, its client repeats it",
	"coordinator/cell: *Cell.Unlead: c.ticker.heard":    "numbers heard are joined by their maximum; past the bound any may be left out, its client repeats it",
	"coordinator/cell: *ticker.header: t.heard":         "collects, then sorts",
	"coordinator/cell: appendHeard: heard":              "collects, then sorts",
	"coordinator/store: *Store.Owned: s.owned[session]": "collects, then sorts",
	"coordinator/store: *Store.visitPast: were":         "collects, then sorts",
	"coordinator/store: *checker.replay: c.newest":      "a check that only fails; what it found is sorted",
	"elections: *Table.Check: t.byName":                 "a check that only fails: which of several defects it names first does not matter",
	"locks: *Table.Check: t.byName":                     "a check that only fails: which of several defects it names first does not matter",
	"locks: *Table.Check: t.bySession":                  "a check that only fails: which of several defects it names first does not matter",
	"locks: *Table.Names: t.byName":                     "collects, then sorts",
	"sessions: LabelsOf: m":                             "collects, then sorts",
}

// TestImportDirection holds the rule that imports point one way.
func TestImportDirection(t *testing.T) {
	for _, p := range packages(t) {
		if p.Error != nil {
			t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		for _, imported := range p.Imports {
			if why := forbidden(p.path(), imported); why != "" {
				t.Errorf("%s imports %s: %s", p.path(), imported, why)
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if below(imported, module+"/chaos") && !below(p.ImportPath, module+"/chaos") {
				t.Errorf("a test of %s imports %s: what breaks things is driven from chaos, nobody leans on it", p.path(), imported)
			}
		}
	}
	// The examples are a module of their own, so go list does not show them here.
	sources := exampleSources(t)
	if len(sources) == 0 {
		t.Error("no source of an example was found: is the folder examples gone?")
	}
	for _, file := range sources {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if why := forbidden(filepath.ToSlash(filepath.Dir(file)), imported); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
	}
}

// TestImportDirectionSeesBadImports makes sure that the rule can fail.
func TestImportDirectionSeesBadImports(t *testing.T) {
	for _, bad := range [][2]string{
		{"raftnode", "coordinator/machine"},
		{"raftnode/wal", "locks"},
		{"sdk", "coordinator"},
		{"sdk/fence", "coordinator/store"},
		{"locks", "coordinator/store"},
		{"sessions", "locks"},
		{"coordinator/machine", "raftnode"},
		{"coordinator", "sdk"},
		{"cmd/conch", "chaos/sim"},
		{"coordinator", "chaos"},
		{"examples/demo", "coordinator"},
		{"chaos/check", "sdk"},
		{"newfolder", "sdk"},
		{"cmd/conch", plantedPath},
		{plantedPath, "record"},
	} {
		if forbidden(bad[0], module+"/"+bad[1]) == "" {
			t.Errorf("%s may import %s", bad[0], bad[1])
		}
	}
	for _, good := range [][2]string{
		{"coordinator", "coordinator/machine"}, {"cmd/conch", "sdk"}, {"chaos/sim", "coordinator/cell"}, {"sdk/fence", "sdk"}, {"locks", plantedPath},
	} {
		if why := forbidden(good[0], module+"/"+good[1]); why != "" {
			t.Errorf("%s may not import %s: %s", good[0], good[1], why)
		}
	}
	if why := forbidden("raftnode", "fmt"); why != "" {
		t.Errorf("the rule is about this module alone: %s", why)
	}
}

// forbidden says why the package at path, below the module, may not import a
// package; empty: it may.
func forbidden(path, imported string) string {
	if !below(imported, module) {
		return ""
	}
	imported = strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
	if imported == plantedPath && !slices.ContainsFunc(unplanted, func(pattern string) bool { return fits(pattern, path) }) {
		return ""
	}
	for _, rule := range direction {
		if !fits(rule.path, path) {
			continue
		}
		for _, may := range rule.may {
			if fits(may, imported) {
				return ""
			}
		}
		return rule.reason
	}
	return "no rule says what this package may import: add one to the table direction"
}

// fits tells whether a path is what a pattern means.
func fits(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	if root, all := strings.CutSuffix(pattern, "/..."); all {
		return below(path, root)
	}
	return pattern == path
}

func below(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath, Dir, Export            string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
	Standard                           bool
	Error                              *struct{ Err string }
}

// path is the package's path below the module.
func (p pkg) path() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// listed asks the go command once for all packages, those that they import too.
var listed = sync.OnceValues(func() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-e", "-export", "-deps",
		"-json=ImportPath,Dir,Export,GoFiles,Imports,TestImports,XTestImports,Standard,Error",
		"./...", "context", "math/rand/v2", "net", "os", "sync", "text/template") // what testdata/arch imports
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, complaints.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, p)
	}
})

// packages are those of this module.
func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	var out []pkg
	for _, p := range all {
		if below(p.ImportPath, module) {
			out = append(out, p)
		}
	}
	if len(out) < 10 {
		t.Fatalf("go list names %d packages of this module: more were expected", len(out))
	}
	return out
}

func exampleSources(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir("examples", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") {
			out = append(out, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}
