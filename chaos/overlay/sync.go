package overlay

// SyncVariable names the environment variable with the path of the order: a file
// that, while it is there, has the next sync of a file of the log fail, and is
// gone when that was done.
const SyncVariable = "CONCH_CHAOS_SYNC"

// FailingSync has a sync of the log fail once when it is ordered, and then work
// again, as disks do that have lost a write. Fail-stop is what must come of it:
// the kernel reports such an error once, and what was not written stays so.
func FailingSync() Source {
	return Source{Module: map[string]File{
		"raftnode/disk/osfile.go": {Texts: []Text{{
			From: "	if err := f.raw.Control(f.sync); err != nil {\n",
			To:   "	if chaosFails(f.Name()) {\n		return chaosError(f.Name())\n	}\n	if err := f.raw.Control(f.sync); err != nil {\n",
		}, { // what was not written stays in the page cache
			From: "	if done, err := f.direct.write(f, p, off); done || err != nil {\n",
			To:   "	if chaosFails(f.Name()) {\n		_, _ = f.WriteAt(p, off)\n		return chaosError(f.Name())\n	}\n	if done, err := f.direct.write(f, p, off); done || err != nil {\n",
		}}, Add: `
func chaosError(name string) error {
	return &fs.PathError{Op: "sync", Path: name, Err: syscall.EIO}
}

var chaosOrder = os.Getenv("` + SyncVariable + `")

// chaosFails takes the order when there is one.
func chaosFails(name string) bool {
	return chaosOrder != "" && len(name) > 4 && name[len(name)-4:] == ".wal" && os.Remove(chaosOrder) == nil
}
`},
	}}
}
