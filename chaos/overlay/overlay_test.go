package overlay

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuild: files of a module change for one build, in the order that is asked
// for, and what is not there is not taken for changed.
func TestBuild(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module hello\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { println(greeting) }\n",
		"greeting.go": "package main\n\nconst greeting = \"good morning\"\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "hello")
	greeting := func(from, to string) Source {
		return Source{
			Module: map[string]File{"greeting.go": {Texts: []Text{{from, to}}, Add: "\nconst late = true\n"}},
			Main:   map[string]string{"added.go": "package main\n\nfunc init() { println(\"added\", late) }\n"},
		}
	}
	if err := Build(t.Context(), root, ".", program, greeting("morning", "night")); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(program).CombinedOutput(); err != nil || string(said) != "added true\ngood night\n" {
		t.Errorf("it says %q, %v", said, err)
	}
	for what, c := range map[string]struct {
		sources []Source
		says    string
	}{
		"a text that is not there": {[]Source{greeting("evening", "night")}, "is not in it"},
		"one file twice":           {[]Source{greeting("morning", "night"), greeting("morning", "day")}, "changed twice"},
		"a file that is not there": {[]Source{{Module: map[string]File{"none.go": {}}}}, "no such file"},
		"no Go":                    {[]Source{greeting("morning\"", "")}, "build ."},
	} {
		if err := Build(t.Context(), root, ".", program, c.sources...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(root, "greeting.go")); err != nil || !strings.Contains(string(b), "morning") {
		t.Errorf("the source itself has changed: %q, %v", b, err)
	}
}

// TestFailingSync: it fits the source as it is.
func TestFailingSync(t *testing.T) {
	root, err := Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range FailingSync().Module {
		if _, err := f.apply(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
}
