package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"syscall"
)

// osFile adds Sync, WriteSync and Size to an *os.File.
type osFile struct {
	*os.File
	direct  direct
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

// WriteAt implements [File].
func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	f.direct.changed(math.MaxInt64)
	return f.File.WriteAt(p, off)
}

// Truncate implements [File].
func (f *osFile) Truncate(size int64) error {
	f.direct.changed(size)
	return f.File.Truncate(size)
}

// writeSync implements [syncWriter].
func (f *osFile) writeSync(p []byte, off int64) error {
	if done, err := f.direct.write(f, p, off); done || err != nil {
		return err
	}
	if _, err := f.WriteAt(p, off); err != nil {
		return err
	}
	return f.Sync()
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

// Close implements [File].
func (f *osFile) Close() error { return errors.Join(f.direct.close(), f.File.Close()) }

// Size implements [File].
func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
