//go:build planted

package planted

import (
	"fmt"
	"os"
)

// current is the bug that is on, chosen before anything else runs. It is the
// one global of Conch, for want of any other way into the middle of the code.
var current = chosen(os.Getenv(Environment))

// chosen finds the bug of a name. A wrong name must not look like a bug that
// nobody finds.
func chosen(name string) Bug {
	if name == "" {
		return None
	}
	b, err := Find(name)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Environment, err)
		os.Exit(BadName)
	}
	return b
}

// On says whether a bug is on.
func On(b Bug) bool { return b == current }
