package disk

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// osFile adds Sync and Size to an *os.File.
type osFile struct {
	*os.File
	raw     syscall.RawConn
	sync    func(fd uintptr) // made once, so that Sync allocates nothing
	syncErr error            // result of the last call of sync
}

func openOS(name string, flags int) (File, error) {
	file, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	f := &osFile{File: file, raw: raw}
	f.sync = func(fd uintptr) { f.syncErr = syncData(f.File, fd) }
	return f, nil
}

// Sync implements [File].
func (f *osFile) Sync() error {
	if err := f.raw.Control(f.sync); err != nil {
		return err
	}
	if f.syncErr != nil {
		return &fs.PathError{Op: "sync", Path: f.Name(), Err: f.syncErr}
	}
	return nil
}

// Size implements [File].
func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
