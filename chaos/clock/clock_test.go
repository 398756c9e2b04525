package clock

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/conch-lock/conch/chaos/overlay"
)

// ticker prints its monotonic and its wall clock whenever a line comes.
const ticker = `package main

import ("bufio"; "fmt"; "os"; "time")

func main() {
	began := time.Now()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(int64(time.Since(began)), time.Now().UnixNano())
	}
}
`

// TestClock: the clock of a program that was built so goes as it is told, and
// that of one that was not told goes right.
func TestClock(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the standard library")
	}
	root := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module ticker\n\ngo 1.26\n", "main.go": ticker} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "ticker")
	if err := overlay.Build(t.Context(), root, ".", program, Source()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "clock")
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), Variable+"="+file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	answers := bufio.NewReader(out)
	ask := func() (mono, wall time.Duration) {
		if _, err := fmt.Fprintln(in); err != nil {
			t.Fatal(err)
		}
		var m, w int64
		if _, err := fmt.Fscan(answers, &m, &w); err != nil {
			t.Fatal(err)
		}
		return time.Duration(m), time.Duration(w)
	}
	until := func(what string, ok func(mono, wall time.Duration) bool) {
		for since := time.Now(); !ok(ask()); time.Sleep(10 * time.Millisecond) {
			if time.Since(since) > 30*time.Second {
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	real := func() time.Duration { return time.Duration(time.Now().UnixNano()) }
	if _, wall := ask(); (wall - real()).Abs() > 10*time.Second {
		t.Fatalf("its clock is %v off before it was told anything", wall-real())
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(Fault{Wall: time.Hour}.Set(file, 1))
	until("the wall clock to jump", func(_, wall time.Duration) bool { return wall-real() > 50*time.Minute })
	before, _ := ask()
	must(Fault{Jump: 100 * time.Second, Wall: -time.Hour}.Set(file, 2))
	until("the monotonic clock to jump", func(mono, wall time.Duration) bool {
		return mono-before > 100*time.Second && (wall-real()-100*time.Second).Abs() < 10*time.Second
	})
	must(Fault{Rate: 1_000_000}.Set(file, 3)) // twice as fast
	start, began := func() (time.Duration, time.Time) { m, _ := ask(); return m, time.Now() }()
	until("the clock to run ahead", func(mono, _ time.Duration) bool { return mono-start-time.Since(began) > 500*time.Millisecond })
}
