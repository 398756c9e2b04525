package disk

import "time"

// Timed is a file system that tells how long each sync of a file took.
type Timed struct {
	FS
	// Synced is told of every Sync and WriteSync when it has ended: the file, and
	// how long it took.
	Synced func(name string, took time.Duration)
}

// Create implements [FS].
func (t Timed) Create(name string) (File, error) { return t.wrap(name)(t.FS.Create(name)) }

// Open implements [FS].
func (t Timed) Open(name string) (File, error) { return t.wrap(name)(t.FS.Open(name)) }

func (t Timed) wrap(name string) func(File, error) (File, error) {
	return func(f File, err error) (File, error) {
		if err != nil {
			return nil, err
		}
		return &timedFile{f, name, t.Synced}, nil // a pointer: files are compared
	}
}

type timedFile struct {
	File
	name   string
	synced func(string, time.Duration)
}

func (f *timedFile) Sync() error {
	defer f.time(time.Now())
	return f.File.Sync()
}

// writeSync implements [syncWriter].
func (f *timedFile) writeSync(p []byte, off int64) error {
	defer f.time(time.Now())
	return WriteSync(f.File, p, off)
}

func (f *timedFile) time(began time.Time) { f.synced(f.name, time.Since(began)) }
