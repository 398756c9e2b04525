package conch_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/conch-lock/conch/internal/planted"
)

// TestPlantedOnce holds that every bug stands in exactly one place, and that the
// question whether it is on is all that the code knows of package planted.
func TestPlantedOnce(t *testing.T) {
	places := map[string][]string{}
	for _, p := range packages(t) {
		if p.path() == plantedPath || below(p.path(), "chaos") {
			continue
		}
		for _, file := range p.GoFiles {
			uses, wrong, err := plantedIn(filepath.Join(p.Dir, file), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range wrong {
				t.Error(w)
			}
			for name, at := range uses {
				places[name] = append(places[name], at...)
			}
		}
	}
	for _, b := range planted.All() {
		name := strings.ReplaceAll(b.String(), "-", "")
		if at := places[name]; len(at) != 1 {
			t.Errorf("%s stands in %d places, not in one: %v", b, len(at), at)
		}
		delete(places, name)
	}
	for name, at := range places {
		t.Errorf("%v: no bug is called %s in the environment", at, name)
	}
}

// TestPlantedOnceSeesOtherUses makes sure that the rule can fail.
func TestPlantedOnceSeesOtherUses(t *testing.T) {
	const source = `package p
import "github.com/conch-lock/conch/internal/planted"
func f(b planted.Bug) bool { return planted.On(b) || planted.On(planted.LogNotSynced) || planted.LogNotSynced == b }
`
	uses, wrong, err := plantedIn("p.go", source)
	if err != nil {
		t.Fatal(err)
	}
	if len(uses["lognotsynced"]) != 1 || len(wrong) != 3 {
		t.Errorf("found %v, and wrong %q: want one bug and three wrong uses", uses, wrong)
	}
}

// plantedIn finds the bugs planted in a file, by their names in small letters,
// and every other use of the package.
func plantedIn(file string, source any) (uses map[string][]string, wrong []string, err error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, 0)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(parsed.Imports, func(s *ast.ImportSpec) bool {
		path, _ := strconv.Unquote(s.Path.Value)
		return path == module+"/"+plantedPath
	}) {
		return nil, nil, nil
	}
	uses = map[string][]string{}
	fine := map[ast.Node]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && types.ExprString(call.Fun) == "planted.On" && len(call.Args) == 1 {
			if bug, ok := call.Args[0].(*ast.SelectorExpr); ok && types.ExprString(bug.X) == "planted" {
				name := strings.ToLower(bug.Sel.Name)
				uses[name] = append(uses[name], files.Position(n.Pos()).String())
				fine[call.Fun], fine[bug] = true, true
			}
		}
		if s, ok := n.(*ast.SelectorExpr); ok && types.ExprString(s.X) == "planted" && !fine[s] {
			wrong = append(wrong, fmt.Sprintf("%s: %s: only planted.On(planted.X) is allowed, with the name of the bug", files.Position(n.Pos()), types.ExprString(s)))
		}
		return true
	})
	return uses, wrong, nil
}

// TestPlantedNowhereInTheProgram: an ordinary build has no trace of the bugs.
// That a build with the tag has shows that the traces would be found.
func TestPlantedNowhereInTheProgram(t *testing.T) {
	traces := []string{module + "/" + plantedPath, planted.Environment}
	for _, b := range planted.All() {
		traces = append(traces, b.Breaks())
	}
	for _, tagged := range []bool{false, true} {
		program := filepath.Join(t.TempDir(), "conch")
		args := []string{"build", "-o", program}
		if tagged {
			args = append(args, "-tags", "planted")
		}
		if out, err := exec.Command("go", append(args, "./cmd/conch")...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
		data, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		for _, trace := range traces[:2] {
			if bytes.Contains(data, []byte(trace)) != tagged {
				t.Errorf("built with the tag: %v; has %q: %v", tagged, trace, !tagged)
			}
		}
		for _, trace := range traces[2:] {
			if !tagged && bytes.Contains(data, []byte(trace)) {
				t.Errorf("an ordinary program has %q in it", trace)
			}
		}
	}
}

// TestPlantedTable: the table in the README of chaos has the bugs that there
// are, and says what finds each.
func TestPlantedTable(t *testing.T) {
	text, err := os.ReadFile("chaos/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- planted: begin -->\n")
	table, _, ok2 := strings.Cut(rest, "<!-- planted: end -->\n")
	if !ok || !ok2 {
		t.Fatal("chaos/README.md has no table of planted bugs")
	}
	row := regexp.MustCompile(`(?m)^\| ([a-z-]+) \| (.*) \| (.*) \| (.*) \| (.*) \|$`)
	found := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		if m[1] != "bug" {
			found[m[1]] = m[2:]
		}
	}
	for _, b := range planted.All() {
		r, ok := found[b.String()]
		switch {
		case !ok:
			t.Errorf("%s is not in the table: make planted WRITE=1 makes it anew", b)
		case r[0] != b.Breaks():
			t.Errorf("%s is told to be %q, the code says %q", b, r[0], b.Breaks())
		case !strings.Contains(r[1]+r[2]+r[3], " s"):
			t.Errorf("%s: nothing finds it, says the table", b)
		}
		delete(found, b.String())
	}
	for name := range found {
		t.Errorf("%s is in the table and no bug", name)
	}
	if n := len(planted.All()); n < 40 {
		t.Errorf("%d bugs are planted: at least 40 are wanted", n)
	}
}
