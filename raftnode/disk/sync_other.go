//go:build !linux

package disk

import "os"

// syncData is a full sync where there is no cheaper one; on macOS package os
// asks the drive to flush its cache as well.
func syncData(f *os.File, _ uintptr) error {
	return f.Sync()
}
