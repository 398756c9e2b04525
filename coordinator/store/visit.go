package store

import "fmt"

// Visit calls fn with the present records of a query's range, in the order of
// their keys, until it returns false. Of the query, Space, Key and End count.
// The store must not be changed meanwhile.
func (s *Store) Visit(q Query, fn func(Record) bool) { s.visit(q, fn) }

// CheckTxn says what is wrong with a transaction whatever it meets; Tx.Txn
// refuses it for the same.
func CheckTxn(txn *Txn) error {
	if err := checkTxn(txn); err != nil {
		return fmt.Errorf("txn: %w", err)
	}
	return nil
}
