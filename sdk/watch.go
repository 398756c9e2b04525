package sdk

// WatchOption changes what a watch delivers.
type WatchOption func(*watchOptions)

type watchOptions struct {
	space    Space
	from     uint64
	prev     bool
	noPut    bool
	noDelete bool
	progress bool
}

// WatchSpace watches another space than Keys.
func WatchSpace(s Space) WatchOption { return func(o *watchOptions) { o.space = s } }

// FromRevision delivers every change from that revision on; without it, or
// with 0, those after the watch was put in place.
func FromRevision(rev uint64) WatchOption { return func(o *watchOptions) { o.from = rev } }

// WithPrev has every event carry the version that it replaced.
func WithPrev() WatchOption { return func(o *watchOptions) { o.prev = true } }

// NoPuts leaves out puts.
func NoPuts() WatchOption { return func(o *watchOptions) { o.noPut = true } }

// NoDeletes leaves out deletes.
func NoDeletes() WatchOption { return func(o *watchOptions) { o.noDelete = true } }

// WithProgress also delivers batches without events: one when the watch is in
// place, and one now and then while nothing changes.
func WithProgress() WatchOption { return func(o *watchOptions) { o.progress = true } }
