//go:build !unix

package disk

import (
	"errors"
	"fmt"
	"io"
)

// Lock implements [FS]: it refuses, since without flock(2) two processes could
// open one directory.
func (OS) Lock(name string) (io.Closer, error) {
	return nil, fmt.Errorf("lock %s: %w: this system has no flock", name, errors.ErrUnsupported)
}
