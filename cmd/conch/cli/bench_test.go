package cli

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// pagedCell has so many keys and tells of a few at a time.
type pagedCell struct {
	fakeCell
	keys, page, txns int
}

func (p *pagedCell) Range(context.Context, sdk.KeyRange, ...sdk.RangeOption) (r sdk.RangeResult, err error) {
	for i := range min(p.keys, p.page) {
		r.KVs = append(r.KVs, sdk.KeyValue{Key: fmt.Sprintf("k/%d.%d", p.txns, i)})
	}
	r.More = p.keys > p.page
	return r, nil
}

func (p *pagedCell) Txn(context.Context, sdk.Txn) (sdk.TxnResult, error) {
	p.keys -= min(p.keys, p.page)
	p.txns++
	return sdk.TxnResult{}, nil
}

// TestDeleteAll: what a benchmark left is deleted in parts, however much it is.
func TestDeleteAll(t *testing.T) {
	a := &App{}
	a.global.timeout = time.Minute
	for keys, txns := range map[int]int{0: 0, 1: 1, 10: 1, 11: 2, 95: 10} {
		c := &pagedCell{keys: keys, page: 10}
		if err := a.deleteAll(c, sdk.Prefix("k/")); err != nil || c.keys != 0 || c.txns != txns {
			t.Errorf("%d keys: %d are left after %d transactions, want %d: %v", keys, c.keys, c.txns, txns, err)
		}
	}
}
