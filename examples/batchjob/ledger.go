package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/conch-lock/conch/sdk"
	"github.com/conch-lock/conch/sdk/fence"
)

// ledger is the content of ledger.csv.
type ledger struct {
	token  sdk.Token // of the runner that wrote it last; 0: none
	files  []booking // in the order in which they were booked
	totals map[account]total
}

// booking is one file that is in the totals.
type booking struct {
	file   string
	token  sdk.Token // under which it was booked
	orders int
}

type total struct{ orders, cents int64 }

// booked tells whether a file is in the totals.
func (l *ledger) booked(file string) bool {
	return slices.ContainsFunc(l.files, func(b booking) bool { return b.file == file })
}

// book adds a file of orders to the totals.
func (l *ledger) book(file string, token sdk.Token, orders []order) {
	for _, o := range orders {
		t := l.totals[o.account]
		l.totals[o.account] = total{t.orders + 1, t.cents + o.cents}
	}
	l.files = append(l.files, booking{file, token, len(orders)})
}

// readLedger reads the ledger; without a file it is empty.
func (s store) readLedger() (*ledger, error) {
	l := &ledger{totals: make(map[account]total)}
	f, err := os.Open(s.ledger())
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.FieldsPerRecord = -1
	lines, err := in.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ledger(), err)
	}
	for n, line := range lines {
		if err := l.add(line); err != nil {
			return nil, fmt.Errorf("%s: line %d: %q: %w", s.ledger(), n+1, line, err)
		}
	}
	return l, nil
}

// add takes in one line of the file.
func (l *ledger) add(line []string) (err error) {
	number := func(i int) int64 {
		n, e := strconv.ParseInt(line[i], 10, 64)
		err = cmp.Or(err, e)
		return n
	}
	switch {
	case line[0] == "token" && len(line) == 2:
		l.token = sdk.Token(number(1))
	case line[0] == "file" && len(line) == 4:
		l.files = append(l.files, booking{line[1], sdk.Token(number(2)), int(number(3))})
	case line[0] == "total" && len(line) == 5:
		l.totals[account{line[1], line[2]}] = total{number(3), number(4)}
	default:
		return errors.New("a line is token, file or total with its fields")
	}
	return err
}

// lines is the ledger as it stands in its file.
func (l *ledger) lines() [][]string {
	text := func(n int64) string { return strconv.FormatInt(n, 10) }
	out := [][]string{{"token", text(int64(l.token))}}
	for _, b := range l.files {
		out = append(out, []string{"file", b.file, text(int64(b.token)), strconv.Itoa(b.orders)})
	}
	accounts := slices.SortedFunc(maps.Keys(l.totals), func(a, b account) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.customer, b.customer))
	})
	for _, a := range accounts {
		t := l.totals[a]
		out = append(out, []string{"total", a.day, a.customer, text(t.orders), text(t.cents)})
	}
	return out
}

// write puts a new ledger in the place of the old one, unless the old one was
// written under a larger token: then errors.Is finds fence.ErrStale, and
// nothing is written.
//
// This is the resource's side of the lock. A check is worth something only if
// nobody can write between it and the rename, so both happen under a lock of
// the file system, which is held for that moment alone. That lock could not do
// what Conch does: hold for the whole job, across machines, and end when its
// holder is gone.
func (s store) write(l *ledger, token sdk.Token) error {
	gate, err := os.OpenFile(s.ledger()+".gate", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer gate.Close() // gives the gate free
	if err := syscall.Flock(int(gate.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("%s: %w", gate.Name(), err)
	}
	old, err := s.readLedger()
	if err != nil {
		return err
	}
	var guard fence.Guard
	if old.token != 0 {
		if err := guard.Check(s.ledger(), old.token); err != nil {
			return err
		}
	}
	return guard.Do(s.ledger(), token, func() error {
		l.token = token
		return replace(s.ledger(), l.lines())
	})
}
