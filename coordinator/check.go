package coordinator

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/coordinator/machine"
	"github.com/conch-lock/conch/coordinator/store"
	"github.com/conch-lock/conch/locks"
	"github.com/conch-lock/conch/sessions"
)

// Bounds that the machine does not know of.
const (
	maxRequests   = 1024 // in one frame
	maxKeepAlives = 1024 // in one request
	maxPage       = 10_000
	defaultPage   = 1000
	maxClientName = 256
)

// checkCell: this node hosts one cell.
func checkCell(cell string) *api.Error {
	if cell != "" && cell != DefaultCell {
		return refuse(api.Code_CELL_NOT_FOUND, "cell %.80q: this node hosts the cell %q", cell, DefaultCell)
	}
	return nil
}

func checkSession(id uint64) *api.Error {
	if id == 0 {
		return invalid("session: it is missing: 0 is no session")
	}
	return nil
}

func checkSequence(session, sequence uint64) *api.Error {
	if e := checkSession(session); e != nil {
		return e
	}
	if sequence == 0 {
		return invalid("sequence: it is missing: sequences of a session count from 1")
	}
	return nil
}

func checkName(field, name string) *api.Error {
	if err := locks.Name(name).Check(); err != nil {
		return invalid("%s: %v", field, err)
	}
	return nil
}

func checkToken(token uint64) *api.Error {
	if token == 0 {
		return invalid("token: it is missing: 0 is no token")
	}
	return nil
}

func checkWait(waitMs uint64) *api.Error {
	if most := uint64(locks.MaxWait / sessions.Millisecond); waitMs > most {
		return invalid("wait_ms: %d: at most %d are allowed, 0 is for ever", waitMs, most)
	}
	return nil
}

func checkReason(reason string) *api.Error {
	if len(reason) > machine.MaxReason || !utf8.ValidString(reason) {
		return invalid("reason: it has %d bytes: at most %d bytes of UTF-8 are allowed", len(reason), machine.MaxReason)
	}
	return nil
}

// checkPrefix checks a part of a name, which may be empty.
func checkPrefix(field, s string) *api.Error {
	if s == "" {
		return nil
	}
	return checkName(field, s)
}

// labelsOf sorts and checks labels.
func labelsOf(m map[string]string) (sessions.Labels, *api.Error) {
	if len(m) > sessions.MaxLabels { // before anything is sorted
		return nil, invalid("labels: %d of them: at most %d are allowed", len(m), sessions.MaxLabels)
	}
	l := sessions.LabelsOf(m)
	if err := l.Check(); err != nil {
		return nil, invalid("labels: %v", err)
	}
	return l, nil
}

// itemsOf sorts and checks the locks of a claim.
func itemsOf(list []*api.ClaimItem) ([]locks.Item, *api.Error) {
	if len(list) < 1 || len(list) > locks.MaxItems {
		return nil, invalid("items: %d locks: 1 to %d are allowed", len(list), locks.MaxItems)
	}
	items := make([]locks.Item, len(list))
	for i, it := range list {
		if mode := it.GetMode(); mode < api.Mode_EXCLUSIVE || mode > api.Mode_PERMITS {
			return nil, invalid("items[%d].mode: %d is not known: 0 (exclusive), 1 (shared) and 2 (permits) are", i, mode)
		}
		items[i] = locks.Item{
			Name: locks.Name(it.GetName()), Mode: locks.Mode(it.GetMode()),
			Permits: it.GetPermits(), Capacity: it.GetCapacity(),
		}
		if err := items[i].Check(); err != nil {
			return nil, invalid("items[%d]: %v", i, err)
		}
	}
	slices.SortFunc(items, func(a, b locks.Item) int { return strings.Compare(string(a.Name), string(b.Name)) })
	for i := 1; i < len(items); i++ {
		if items[i-1].Name == items[i].Name {
			return nil, invalid("items: lock %q stands twice: each lock of a claim once is allowed", string(items[i].Name))
		}
	}
	return items, nil
}

// pageOf gives the size of a page.
func pageOf(limit uint32) (int, *api.Error) {
	if limit == 0 {
		return defaultPage, nil
	}
	if limit > maxPage {
		return 0, invalid("limit: %d: at most %d are allowed, 0 means %d", limit, maxPage, defaultPage)
	}
	return int(limit), nil
}

func checkSpace(s api.Space) *api.Error {
	if s < api.Space_KEYS || s > api.Space_ELECTIONS {
		return invalid("space: %d is not known: 0 (keys), 1 (locks) and 2 (elections) are", s)
	}
	return nil
}

// checkSpan checks a key and the end of its range.
func checkSpan(key, end []byte) *api.Error {
	if len(key) < 1 || len(key) > store.MaxKey {
		return invalid("key: it has %d bytes: 1 to %d are allowed", len(key), store.MaxKey)
	}
	if len(end) > store.MaxKey {
		return invalid("range_end: it has %d bytes: at most %d are allowed", len(end), store.MaxKey)
	}
	return nil
}
