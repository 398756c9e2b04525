package report

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/conch-lock/conch/sdk"
)

// key is a key as scripts see it. What is not UTF-8 is in the base64 field.
type key struct {
	Key            string        `json:"key"`
	KeyBase64      []byte        `json:"key_base64,omitempty"`
	Value          string        `json:"value"`
	ValueBase64    []byte        `json:"value_base64,omitempty"`
	CreateRevision uint64        `json:"create_revision"`
	ModRevision    uint64        `json:"mod_revision"`
	Version        uint64        `json:"version"`
	Session        sdk.SessionID `json:"session"`
}

func keyOf(kv sdk.KeyValue) key {
	k := key{
		CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Version: kv.Version, Session: kv.Session,
	}
	if utf8.ValidString(kv.Key) {
		k.Key = kv.Key
	} else {
		k.KeyBase64 = []byte(kv.Key)
	}
	if utf8.Valid(kv.Value) {
		k.Value = string(kv.Value)
	} else {
		k.ValueBase64 = kv.Value
	}
	return k
}

func prevOf(kv *sdk.KeyValue) *key {
	if kv == nil {
		return nil
	}
	k := keyOf(*kv)
	return &k
}

// Value writes the value of one key: in text the bare bytes, and a line end
// unless they have one, so that scripts can use it.
func (p *Printer) Value(kv sdk.KeyValue) error {
	if p.JSON {
		return p.Object(keyOf(kv))
	}
	out := kv.Value
	if len(out) == 0 || out[len(out)-1] != '\n' {
		out = append(out[:len(out):len(out)], '\n')
	}
	_, err := p.Out.Write(out)
	return err
}

// Keys lists keys; keysOnly: without values.
func (p *Printer) Keys(r sdk.RangeResult, keysOnly bool) error {
	if p.JSON {
		out := make([]key, 0, len(r.KVs))
		for _, kv := range r.KVs {
			out = append(out, keyOf(kv))
		}
		return p.Object(struct {
			Keys     []key  `json:"keys"`
			More     bool   `json:"more"`
			Count    uint64 `json:"count"`
			Revision uint64 `json:"revision"`
		}{out, r.More, r.Count, r.Revision})
	}
	if keysOnly {
		for _, kv := range r.KVs {
			if err := p.Line("%s", Text(kv.Key)); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]string
	for _, kv := range r.KVs {
		session := ""
		if kv.Session != 0 {
			session = kv.Session.String()
		}
		rows = append(rows, []string{
			Text(kv.Key), strconv.FormatUint(kv.ModRevision, 10), strconv.FormatUint(kv.Version, 10), session, clip(Text(string(kv.Value)), labelColumn),
		})
	}
	if len(rows) == 0 {
		return p.Line("no keys")
	}
	if err := p.Table("", []string{"KEY", "REVISION", "VERSION", "SESSION", "VALUE"}, rows); err != nil {
		return err
	}
	if r.More {
		return p.Line("%d of %d keys", len(r.KVs), r.Count)
	}
	return nil
}

// KeyCount tells how many keys there are in a range.
func (p *Printer) KeyCount(r sdk.RangeResult) error {
	if p.JSON {
		return p.Object(struct {
			Count    uint64 `json:"count"`
			Revision uint64 `json:"revision"`
		}{r.Count, r.Revision})
	}
	return p.Line("%d", r.Count)
}

// KeyEvent is one change of a key.
type KeyEvent struct {
	Deleted  bool
	KV       sdk.KeyValue
	Prev     *sdk.KeyValue // the version before, when it is known
	Revision uint64
	Time     time.Time // zero: not known
}

// KeyEvent writes one line.
func (p *Printer) KeyEvent(e KeyEvent) error {
	event := "put"
	if e.Deleted {
		event = "delete"
	}
	if p.JSON {
		return p.Object(struct {
			Event    string    `json:"event"`
			Revision uint64    `json:"revision"`
			Time     time.Time `json:"time,omitzero"`
			key
			Prev *key `json:"prev,omitempty"`
		}{event, e.Revision, e.Time.UTC(), keyOf(e.KV), prevOf(e.Prev)})
	}
	text := ""
	if !e.Deleted {
		text = " = " + Text(string(e.KV.Value))
	}
	if e.Prev != nil {
		text += ", before " + Text(string(e.Prev.Value))
	}
	if clock := p.Clock(e.Time); clock != "" {
		return p.Line("%s  %d  %s %s%s", clock, e.Revision, event, Text(e.KV.Key), text)
	}
	return p.Line("%d  %s %s%s", e.Revision, event, Text(e.KV.Key), text)
}

// Txn tells which branch ran, and what its reads found.
func (p *Printer) Txn(r sdk.TxnResult) error {
	type result struct {
		Put     bool    `json:"put,omitempty"`
		Deleted *uint64 `json:"deleted,omitempty"`
		Keys    []key   `json:"keys,omitempty"`
	}
	results := make([]result, 0, len(r.Results))
	for _, x := range r.Results {
		var out result
		switch {
		case x.Put != nil:
			out.Put = true
		case x.Delete != nil:
			out.Deleted = &x.Delete.Deleted
		case x.Range != nil:
			out.Keys = make([]key, 0, len(x.Range.KVs))
			for _, kv := range x.Range.KVs {
				out.Keys = append(out.Keys, keyOf(kv))
			}
		}
		results = append(results, out)
	}
	if p.JSON {
		return p.Object(struct {
			Succeeded bool     `json:"succeeded"`
			Results   []result `json:"results"`
			Revision  uint64   `json:"revision"`
		}{r.Succeeded, results, r.Revision})
	}
	outcome := "succeeded"
	if !r.Succeeded {
		outcome = "a condition did not hold"
	}
	if err := p.Line("%s, revision %d", outcome, r.Revision); err != nil {
		return err
	}
	for _, x := range r.Results {
		switch {
		case x.Put != nil:
			if err := p.Line("put"); err != nil {
				return err
			}
		case x.Delete != nil:
			if err := p.Line("deleted %d", x.Delete.Deleted); err != nil {
				return err
			}
		case x.Range != nil:
			if err := p.Keys(*x.Range, false); err != nil {
				return err
			}
		}
	}
	return nil
}
