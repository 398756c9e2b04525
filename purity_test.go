package conch_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// harmless are the packages outside this module that a pure package may import.
var harmless = []string{
	"bufio", "bytes", "cmp", "container/heap", "crypto/sha256", "encoding", "encoding/binary", "encoding/hex",
	"errors", "fmt", "hash", "hash/crc32", "hash/crc64", "io", "iter", "maps", "math", "math/bits", "slices",
	"sort", "strconv", "strings", "time", "unicode", "unicode/utf8",
	"github.com/tidwall/btree",  // an ordered tree in memory
	"github.com/tidwall/buntdb", // opened with :memory: alone, without TTLs; see coordinator/store
}

// impureImports are banned by name, with what they would do to a pure package.
var impureImports = map[string]string{
	"context":      "whether a context is over depends on a clock and on other goroutines",
	"crypto/rand":  "chance differs from node to node: identity comes from the log",
	"log":          "a logger may block, and what it writes is an output that nobody replicates",
	"log/slog":     "a logger may block, and what it writes is an output that nobody replicates",
	"math/rand":    "chance differs from node to node: identity comes from the log",
	"math/rand/v2": "chance differs from node to node: identity comes from the log",
	"net":          "the network answers differently at every replay",
	"net/http":     "the network answers differently at every replay",
	"os":           "files and the environment differ from node to node: bytes go through io.Reader and io.Writer",
	"reflect":      "it ranges over maps without being seen to",
	"runtime":      "the state of the process is no input",
	"sync":         "one goroutine owns the state: a mutex means that somebody else touches it",
	"sync/atomic":  "one goroutine owns the state: an atomic means that somebody else touches it",
	"unsafe":       "addresses differ from process to process",

	"github.com/rs/zerolog": "a logger may block, and what it writes is an output that nobody replicates",
}

// timeAllowed is all that a pure package may use of package time: lengths. What
// time it is comes in with the entry of the log.
var timeAllowed = []string{"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}

// TestPurity holds the rule that the state machine is a function of the log.
func TestPurity(t *testing.T) {
	exports := exportData(t)
	used := make(map[string]bool)
	checked := 0
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.path()) {
			continue
		}
		checked++
		c := newChecker(p.path(), exports)
		for _, name := range p.GoFiles {
			if err := c.parse(filepath.Join(p.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		findings, err := c.check(p.ImportPath)
		if err != nil {
			t.Fatalf("%s: %v", p.path(), err)
		}
		for _, f := range findings {
			if reason, ok := mapRanges[f.rangeOver]; ok && f.rangeOver != "" && reason != "" {
				used[f.rangeOver] = true
				continue
			}
			t.Error(f)
		}
	}
	if checked < 6 {
		t.Errorf("%d pure packages were checked: more were expected", checked)
	}
	for place := range mapRanges {
		if !used[place] {
			t.Errorf("mapRanges allows %q, which is not there any more: take it out", place)
		}
	}
}

// TestPuritySeesBadSource makes sure that the checker can fail: every line of
// the sources in testdata/arch that ends in a comment "want: words" must be
// found with those words in the reason, and no other line.
func TestPuritySeesBadSource(t *testing.T) {
	const file = "testdata/arch/impure.go"
	c := newChecker("testdata/arch", exportData(t))
	if err := c.parse(file); err != nil {
		t.Fatal(err)
	}
	findings, err := c.check("impure")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wanted := make(map[int]string)
	for i, line := range strings.Split(string(source), "\n") {
		if _, want, ok := strings.Cut(line, "// want: "); ok {
			wanted[i+1] = want
		}
	}
	if len(wanted) < 10 {
		t.Fatalf("%s has %d lines that want a finding: more were expected", file, len(wanted))
	}
	for _, f := range findings {
		want, ok := wanted[f.at.Line]
		switch {
		case !ok:
			t.Errorf("not wanted: %v", f)
		case !strings.Contains(f.String(), want):
			t.Errorf("want %q in: %v", want, f)
		}
		delete(wanted, f.at.Line)
	}
	for line, want := range wanted {
		t.Errorf("%s:%d was not found: %s", file, line, want)
	}
}

// finding is one place where a package is not pure.
type finding struct {
	at        token.Position
	what, why string
	rangeOver string // the key in mapRanges when it is a range over a map
}

func (f finding) String() string {
	out := fmt.Sprintf("%s: %s: %s", f.at, f.what, f.why)
	if f.rangeOver != "" {
		out += fmt.Sprintf("; if the order cannot reach an output, add %q to mapRanges with the reason", f.rangeOver)
	}
	return out
}

// checker looks at the source of one package.
type checker struct {
	path    string
	files   *token.FileSet
	parsed  []*ast.File
	exports map[string]string
	info    types.Info
	found   []finding
}

func newChecker(path string, exports map[string]string) *checker {
	return &checker{path: path, files: token.NewFileSet(), exports: exports, info: types.Info{
		Types: make(map[ast.Expr]types.TypeAndValue), Uses: make(map[*ast.Ident]types.Object),
	}}
}

func (c *checker) parse(file string) error {
	f, err := parser.ParseFile(c.files, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	c.parsed = append(c.parsed, f)
	return nil
}

// check returns what is not pure, in the order of the source.
func (c *checker) check(importPath string) ([]finding, error) {
	conf := types.Config{Importer: importer.ForCompiler(c.files, "gc", func(path string) (io.ReadCloser, error) {
		file := c.exports[path]
		if file == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(file)
	})}
	if _, err := conf.Check(importPath, c.files, c.parsed, &c.info); err != nil {
		return nil, err
	}
	for _, f := range c.parsed {
		c.imports(f)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				c.function(fn)
			} else {
				ast.Inspect(d, func(n ast.Node) bool { c.node(n, ""); return true })
			}
		}
	}
	return c.found, nil
}

func (c *checker) report(at token.Pos, what, why string) {
	c.found = append(c.found, finding{at: c.files.Position(at), what: what, why: why})
}

func (c *checker) imports(f *ast.File) {
	for _, spec := range f.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		switch why, banned := impureImports[path]; {
		case banned:
			c.report(spec.Pos(), "import of "+path, why)
		case slices.Contains(harmless, path) || below(path, module):
		default:
			c.report(spec.Pos(), "import of "+path, "nobody has said that it is pure: if it is, add it to harmless")
		}
	}
}

func (c *checker) function(fn *ast.FuncDecl) {
	name := fn.Name.Name
	if fn.Recv != nil && len(fn.Recv.List) == 1 {
		name = types.ExprString(fn.Recv.List[0].Type) + "." + name
	}
	if fn.Name.Name == "init" && fn.Recv == nil {
		c.report(fn.Pos(), "func init", "it runs at a time that nobody chose: one constructor wires things together")
	}
	if fn.Body != nil {
		ast.Inspect(fn.Body, func(n ast.Node) bool { c.node(n, name); return true })
	}
}

// node looks at one node of the tree, inside a function when it has a name.
func (c *checker) node(n ast.Node, function string) {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.report(n.Pos(), "go statement", "goroutines run in any order: the state machine is one step after the other")
	case *ast.SelectStmt:
		c.report(n.Pos(), "select statement", "it picks among what is ready by chance")
	case *ast.RangeStmt:
		if c.isMap(n.X) {
			over := fmt.Sprintf("%s: %s: %s", c.path, function, types.ExprString(n.X))
			c.found = append(c.found, finding{
				at: c.files.Position(n.Pos()), what: "range over the map " + types.ExprString(n.X),
				why: "its order differs at every run", rangeOver: over,
			})
		}
	case *ast.CallExpr:
		c.call(n, function)
	case *ast.Ident:
		obj := c.info.Uses[n]
		if obj == nil || obj.Pkg() == nil || obj.Pkg().Path() != "time" || obj.Parent() != obj.Pkg().Scope() {
			return // methods and fields have no such parent
		}
		if !slices.Contains(timeAllowed, obj.Name()) {
			c.report(n.Pos(), "time."+obj.Name(), "a clock differs from node to node: time comes in with the entry")
		}
	}
}

// call finds the order of a map that is handed on as a sequence. Sorting it at
// once is the one use that is fine.
func (c *checker) call(call *ast.CallExpr, function string) {
	if name := c.calledIn(call, "slices"); strings.HasPrefix(name, "Sorted") {
		for _, arg := range call.Args {
			if inner, ok := arg.(*ast.CallExpr); ok && c.calledIn(inner, "maps") != "" {
				c.info.Uses[called(inner)] = nil // seen, and fine
			}
		}
	}
	if name := c.calledIn(call, "maps"); name == "Keys" || name == "Values" || name == "All" {
		over := fmt.Sprintf("%s: %s: %s", c.path, function, types.ExprString(call))
		c.found = append(c.found, finding{
			at: c.files.Position(call.Pos()), what: "maps." + name,
			why: "its order differs at every run: wrap it in slices.Sorted", rangeOver: over,
		})
	}
}

// calledIn is the name of the function that is called when it is one of the
// package, otherwise empty.
func (c *checker) calledIn(call *ast.CallExpr, pkg string) string {
	if id := called(call); id != nil {
		if obj := c.info.Uses[id]; obj != nil && obj.Pkg() != nil && obj.Pkg().Path() == pkg {
			return obj.Name()
		}
	}
	return ""
}

func called(call *ast.CallExpr) *ast.Ident {
	fun := ast.Unparen(call.Fun)
	if index, ok := fun.(*ast.IndexExpr); ok {
		fun = index.X
	}
	switch fun := fun.(type) {
	case *ast.SelectorExpr:
		return fun.Sel
	case *ast.Ident:
		return fun
	}
	return nil
}

func (c *checker) isMap(e ast.Expr) bool {
	t := c.info.Types[e].Type
	if t == nil {
		return false
	}
	if p, ok := t.(*types.TypeParam); ok { // ~map[K]V
		found := false
		if u, ok := p.Constraint().Underlying().(*types.Interface); ok {
			for i := range u.NumEmbeddeds() {
				if union, ok := u.EmbeddedType(i).(*types.Union); ok {
					for j := range union.Len() {
						_, m := union.Term(j).Type().Underlying().(*types.Map)
						found = found || m
					}
				}
			}
		}
		return found
	}
	_, ok := t.Underlying().(*types.Map)
	return ok
}

// exportData says where the compiled form of every package is.
func exportData(t *testing.T) map[string]string {
	t.Helper()
	all, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string, len(all))
	for _, p := range all {
		out[p.ImportPath] = p.Export
	}
	return out
}
