package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// check computes from the orders themselves what the ledger must be, and says
// what is different.
func check(s store, out io.Writer) error {
	book, err := s.readLedger()
	if err != nil {
		return err
	}
	waiting, err := s.waiting()
	if err != nil {
		return err
	}
	done, err := list(s.done(""))
	if err != nil {
		return err
	}
	var wrong []error
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }

	// 1. Every file once.
	times := make(map[string]int)
	for _, b := range book.files {
		times[b.file]++
	}
	for _, file := range done {
		if times[file] != 1 {
			bad("%s is done and stands %d times in the ledger", file, times[file])
		}
	}
	for _, file := range waiting {
		if times[file] > 1 {
			bad("%s stands %d times in the ledger", file, times[file])
		}
	}
	// 2. The totals are what the booked files add up to.
	want := &ledger{totals: make(map[account]total)}
	for _, file := range slices.Sorted(maps.Keys(times)) {
		path := s.done(file)
		if slices.Contains(waiting, file) {
			path = s.inbox(file)
		}
		orders, err := readOrders(path)
		if err != nil {
			return err
		}
		want.book(file, 0, orders)
	}
	sum := total{}
	for a, t := range want.totals {
		sum.orders, sum.cents = sum.orders+t.orders, sum.cents+t.cents
		if got := book.totals[a]; got != t {
			bad("%s on %s: the ledger has %d orders of %s, the files %d of %s", a.customer, a.day, got.orders, money(got.cents), t.orders, money(t.cents))
		}
	}
	if len(book.totals) != len(want.totals) {
		bad("the ledger has %d totals, the files %d", len(book.totals), len(want.totals))
	}
	// 3. Under tokens that rise, one for each file.
	for i := 1; i < len(book.files); i++ {
		if b, before := book.files[i], book.files[i-1]; b.token <= before.token {
			bad("%s was booked under token %d, after %s under %d: tokens must rise", b.file, b.token, before.file, before.token)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("the ledger is WRONG:\n%w", err)
	}
	fmt.Fprintf(out, "the ledger is right: %d files, %d orders, %s; %d files are waiting\n", len(book.files), sum.orders, money(sum.cents), len(waiting))
	return nil
}
