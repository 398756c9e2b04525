package sdk

import (
	"context"

	"github.com/conch-lock/conch/api"
)

// Space is one of the key spaces of a cell. Only keys can be written with the
// calls of this file; locks and elections can be read and watched.
type Space int

// The spaces.
const (
	Keys      Space = iota // the users' keys
	Locks                  // the records of locks, keyed by name
	Elections              // the records of elections, keyed by name
)

// KeyRange is the keys from Key up to, and without, End. An empty End means
// Key alone; End "\x00" means all keys from Key on.
type KeyRange struct{ Key, End string }

// One is the range of a single key.
func One(key string) KeyRange { return KeyRange{Key: key} }

// From is the range of all keys from key on.
func From(key string) KeyRange { return KeyRange{Key: key, End: "\x00"} }

// Prefix is the range of all keys that begin with prefix; "" means all keys.
func Prefix(prefix string) KeyRange {
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		if prefix == "" {
			prefix = "\x00"
		}
		return KeyRange{Key: prefix, End: "\x00"}
	}
	end[len(end)-1]++
	return KeyRange{Key: prefix, End: string(end)}
}

// name is what an error calls the range; nothing for that of all keys.
func (r KeyRange) name() string {
	if r == Prefix("") {
		return ""
	}
	return shorten(r.Key)
}

// KeyValue is one version of a key.
type KeyValue struct {
	Key            string    `json:"key"`
	Value          []byte    `json:"value"`
	CreateRevision uint64    `json:"create_revision"`
	ModRevision    uint64    `json:"mod_revision"`
	Version        uint64    `json:"version"`
	Session        SessionID `json:"session"` // whose end deletes it; 0: nobody's
}

// Order is what a Range is sorted by.
type Order int

// The orders.
const (
	ByKey Order = iota
	ByVersion
	ByCreateRevision
	ByModRevision
	ByValue
)

// RangeOption changes what Range and Get return.
type RangeOption func(*api.RangeRequest)

// AtRevision reads the state at an earlier revision. ErrCompacted: it is gone.
func AtRevision(rev uint64) RangeOption { return func(r *api.RangeRequest) { r.Revision = rev } }

// Limit returns at most n keys; RangeResult.More tells whether there are others.
func Limit(n int) RangeOption { return func(r *api.RangeRequest) { r.Limit = uint64(max(n, 0)) } }

// Serializable answers from the node that is asked: cheaper, perhaps stale.
func Serializable() RangeOption { return func(r *api.RangeRequest) { r.Serializable = true } }

// KeysOnly leaves out the values.
func KeysOnly() RangeOption { return func(r *api.RangeRequest) { r.KeysOnly = true } }

// CountOnly leaves out the keys, too.
func CountOnly() RangeOption { return func(r *api.RangeRequest) { r.CountOnly = true } }

// SortBy sorts the result.
func SortBy(o Order, descending bool) RangeOption {
	return func(r *api.RangeRequest) { r.Order, r.Descending = api.Order(o), descending }
}

// InSpace reads another space than Keys.
func InSpace(s Space) RangeOption { return func(r *api.RangeRequest) { r.Space = api.Space(s) } }

// ModRevisions leaves out keys changed last before least or, if most is not 0, after most.
func ModRevisions(least, most uint64) RangeOption {
	return func(r *api.RangeRequest) { r.MinModRevision, r.MaxModRevision = least, most }
}

// CreateRevisions leaves out keys created before least or, if most is not 0, after most.
func CreateRevisions(least, most uint64) RangeOption {
	return func(r *api.RangeRequest) { r.MinCreateRevision, r.MaxCreateRevision = least, most }
}

// RangeResult is what a Range found.
type RangeResult struct {
	KVs      []KeyValue
	More     bool   // the limit, or the bound of an answer, left some out
	Count    uint64 // keys in the range, without the limit
	Revision uint64 // of the cell when it answered
}

// Range reads the keys of a range, in the order of the keys unless told
// otherwise. An answer has at most 65,536 keys and about 2 MiB, whatever the
// limit: when RangeResult.More says that there are others, they are read from
// the last key, with a zero byte behind it, on, at the same revision.
func (c *Client) Range(ctx context.Context, keys KeyRange, opts ...RangeOption) (RangeResult, error) {
	req := rangeRequest(keys, opts)
	req.Cell = c.cfg.Cell
	resp, err := c.call(ctx, "range", keys.Key, &api.Request{Op: &api.Request_Range{Range: req}}, repeatable)
	if err != nil {
		return RangeResult{}, err
	}
	return rangeResultOf(resp.GetRange()), nil
}

// Get reads one key. ErrNotFound: there is none.
func (c *Client) Get(ctx context.Context, key string, opts ...RangeOption) (KeyValue, error) {
	res, err := c.Range(ctx, One(key), opts...)
	if err != nil {
		return KeyValue{}, err
	}
	if len(res.KVs) == 0 {
		return KeyValue{}, &Error{Op: "get", Name: shorten(key), Code: CodeNotFound, Message: "no such key", Definite: true}
	}
	return res.KVs[0], nil
}

// PutOption changes how a key is put.
type PutOption func(*api.PutOp)

// OwnedBy has the key deleted in the revision that ends the session.
func OwnedBy(id SessionID) PutOption { return func(p *api.PutOp) { p.Session = uint64(id) } }

// PutPrev returns the version that the put replaced.
func PutPrev() PutOption { return func(p *api.PutOp) { p.Prev = true } }

// KeepValue leaves the value as it is.
func KeepValue() PutOption { return func(p *api.PutOp) { p.KeepValue = true } }

// KeepSession leaves the owner as it is.
func KeepSession() PutOption { return func(p *api.PutOp) { p.KeepSession = true } }

// PutResult tells of a put.
type PutResult struct {
	Revision uint64    // that the put made
	Prev     *KeyValue // with PutPrev; nil: there was none
}

// Put writes a key; a value is at most 1 MiB. ErrUnknownOutcome: the
// connection broke before the answer; Session.Txn is exactly-once.
func (c *Client) Put(ctx context.Context, key string, value []byte, opts ...PutOption) (PutResult, error) {
	res, err := c.txn(ctx, "put", key, Txn{Then: []Op{PutOp(key, value, opts...)}})
	if err != nil {
		return PutResult{}, err
	}
	out := PutResult{Revision: res.Revision}
	if len(res.Results) == 1 && res.Results[0].Put != nil {
		out.Prev = res.Results[0].Put.Prev
	}
	return out, nil
}

// DeleteResult tells of a delete.
type DeleteResult struct {
	Revision uint64
	Deleted  uint64
	Prevs    []KeyValue // of a DeleteOp that asked for them
}

// Delete deletes the keys of a range: 65,536 of 64 MiB at most, and else none
// (ErrLimitReached); a larger range is deleted in parts, whose ends a Range with
// a Limit finds. ErrUnknownOutcome as for Put.
func (c *Client) Delete(ctx context.Context, keys KeyRange) (DeleteResult, error) {
	res, err := c.txn(ctx, "delete", keys.Key, Txn{Then: []Op{DeleteOp(keys, false)}})
	if err != nil {
		return DeleteResult{}, err
	}
	out := DeleteResult{Revision: res.Revision}
	if len(res.Results) == 1 && res.Results[0].Delete != nil {
		out.Deleted, out.Prevs = res.Results[0].Delete.Deleted, res.Results[0].Delete.Prevs
	}
	return out, nil
}

// Compact forgets the history up to a revision.
func (c *Client) Compact(ctx context.Context, revision uint64) error {
	_, err := c.call(ctx, "compact", "", &api.Request{Op: &api.Request_Compact{Compact: &api.CompactRequest{
		Cell: c.cfg.Cell, Revision: revision,
	}}}, once)
	return err
}

func rangeRequest(keys KeyRange, opts []RangeOption) *api.RangeRequest {
	req := &api.RangeRequest{Key: []byte(keys.Key), RangeEnd: []byte(keys.End)}
	for _, o := range opts {
		o(req)
	}
	return req
}

func rangeResultOf(r *api.RangeResponse) RangeResult {
	out := RangeResult{More: r.GetMore(), Count: r.GetCount(), Revision: r.GetRevision(), KVs: make([]KeyValue, 0, len(r.GetKvs()))}
	for _, kv := range r.GetKvs() {
		out.KVs = append(out.KVs, keyValueOf(kv))
	}
	return out
}

func keyValueOf(kv *api.KeyValue) KeyValue {
	return KeyValue{
		Key: string(kv.GetKey()), Value: kv.GetValue(), CreateRevision: kv.GetCreateRevision(),
		ModRevision: kv.GetModRevision(), Version: kv.GetVersion(), Session: SessionID(kv.GetSession()),
	}
}

func keyValuePtr(kv *api.KeyValue) *KeyValue {
	if kv == nil {
		return nil
	}
	out := keyValueOf(kv)
	return &out
}
