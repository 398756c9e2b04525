package sdk

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/conch-lock/conch/api"
)

// Scripts rely on the names of these fields, on lists and maps that are never
// null, and on null where there is no time.
func TestJSON(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000).UTC()
	info := lockInfoOf(&api.LockInfo{Name: "job", Mode: api.Mode_SHARED, Token: 7, Revision: 9, DelayedMs: 1000,
		Holders: []*api.LockHolder{{Session: 3, Token: 7, SinceUnixMs: at.UnixMilli()}},
		Waiters: []*api.LockWaiter{{Session: 4, Position: 1, SinceUnixMs: at.UnixMilli()}},
	}, at)
	info.Holders[0].Since, info.Waiters[0].Since = at, at
	tenure := tenureOf(&api.LockTenure{Name: "job", Token: 7, FromRevision: 2, FromUnixMs: at.UnixMilli()})
	tenure.FromTime = at
	over := tenureOf(&api.LockTenure{Name: "job", ToRevision: 3, ToUnixMs: at.UnixMilli(), Ended: api.EndReason_END_BROKEN})
	over.FromTime, *over.ToTime = at, at
	for _, tc := range []struct {
		value any
		want  string
	}{
		{info, `{"name":"job","mode":"shared","token":7,"holders":[{"session":3,"token":7,"since":"2023-11-14T22:13:20Z","labels":{},"permits":0}],` +
			`"waiters":[{"session":4,"position":1,"since":"2023-11-14T22:13:20Z","deadline":null,"labels":{}}],"waiter_count":1,"capacity":0,` +
			`"delayed_until":"2023-11-14T22:13:21Z","revision":9}`},
		{lockInfoOf(nil, at), `{"name":"","mode":"exclusive","token":0,"holders":[],"waiters":[],"waiter_count":0,"capacity":0,"delayed_until":null,"revision":0}`},
		{tenure, `{"name":"job","token":7,"session":0,"labels":{},"from_revision":2,"to_revision":0,"from_time":"2023-11-14T22:13:20Z","to_time":null,"ended":null}`},
		{over, `{"name":"job","token":0,"session":0,"labels":{},"from_revision":0,"to_revision":3,"from_time":"2023-11-14T22:13:20Z","to_time":"2023-11-14T22:13:20Z","ended":"broken"}`},
		{sessionInfoOf(&api.SessionInfo{Id: 3, TtlMs: 10000, RemainingMs: 9000, Keys: [][]byte{[]byte("k")}}),
			`{"id":3,"ttl_ms":10000,"remaining_ms":9000,"labels":{},"locks":[],"lock_count":0,"elections":[],"keys":["k"],"key_count":1,"created_revision":0}`},
		{fromWire("lock", "job", &api.Error{Code: api.Code_HELD, Message: "held", Definite: true, Holder: 3, Token: 7, Position: 2}),
			`{"code":"HELD","message":"held","definite":true,"holder":3,"token":7,"position":2}`},
	} {
		got, err := json.Marshal(tc.value)
		if err != nil || string(got) != tc.want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, tc.want)
		}
	}
}
