package sdk

import "testing"

// An error names what was tried, and on what, once.
func TestErrorsNameAThingOnce(t *testing.T) {
	for _, tt := range []struct{ op, name, message, want string }{
		{"show election", "e", `election "e": nobody ever led it`, `show election "e": nobody ever led it`},
		{"proclaim", "e", `election "e", token 5: not the token of the leader`, `proclaim "e": token 5: not the token of the leader`},
		{"proclaim", "e", `election "e/f", token 5: not the token`, `proclaim "e": election "e/f", token 5: not the token`},
		{"show lock", "l", `lock "l": nobody holds or awaits it`, `show lock "l": nobody holds or awaits it`},
		{"show session", "5", "session 5: no such session", `show session "5": no such session`},
		{"show session", "5", "session 55: no such session", `show session "5": session 55: no such session`},
		{"range", "a", "range: revision 3: it has been compacted", `range "a": revision 3: it has been compacted`},
		{"txn", "", "txn: operation 0: no such session", "txn: operation 0: no such session"},
		{"put", "k", "txn: operation 0: no such session", `put "k": operation 0: no such session`},
		{"compact", "", "compact to revision 5: it is compacted", "compact: to revision 5: it is compacted"},
		{"lock", "l", "lock", `lock "l": lock`},
		{"", "", "range: x", "range: x"},
	} {
		if got := (&Error{Op: tt.op, Name: tt.name, Code: CodeNotFound, Message: tt.message}).Error(); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	if got := Prefix("").name(); got != "" {
		t.Errorf("the range of all keys is called %q", got)
	}
}
