// Package report writes what the cell told for people and for scripts.
//
// Text is aligned columns with times of the local zone and rounded durations;
// it may change. JSON is one object, or one object a line where the report is
// a stream, with the field names that scripts rely on; times are RFC 3339 in
// UTC. Neither has colours. Names, labels and values come from others and may
// hold anything: in text, what would move the cursor is escaped.
package report
