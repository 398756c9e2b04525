package disk

// blockBytes is what is written at once past the page cache: the largest unit that
// disks ask for.
const blockBytes = 4096

// syncWriter is a file that writes and syncs in one go.
type syncWriter interface {
	writeSync(p []byte, off int64) error
}

// WriteSync writes p at byte off of f and makes it durable, as WriteAt and Sync
// do one after the other, in one go where the system can. It is for the end of a
// log: everything written before must be durable already, and the file must hold
// nothing but zeros from off+len(p) on. An error is final, as one of Sync.
func WriteSync(f File, p []byte, off int64) error {
	if w, ok := f.(syncWriter); ok {
		return w.writeSync(p, off)
	}
	if _, err := f.WriteAt(p, off); err != nil {
		return err
	}
	return f.Sync()
}
