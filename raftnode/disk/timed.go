package disk

import "time"

// Timed is a file system that tells how long each sync of a file took.
type Timed struct {
	FS
	// Synced is told of every sync when it has ended: the file, and how long it
	// took.
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
	began := time.Now()
	defer func() { f.synced(f.name, time.Since(began)) }()
	return f.File.Sync()
}
