//go:build !unix

package nowait

// possible: a write can be told not to wait.
const possible = false

// now is not called: no writer is [Writer.Able].
func (w *Writer) now([]byte) (int, error) { return 0, nil }
