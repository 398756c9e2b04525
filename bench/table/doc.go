// Package table collects what was measured, over rounds, and writes it as
// Markdown and as JSON.
//
// A cell is the median of the rounds. The ratio in it says how many times better
// the first column is: the quotient of the two that is larger than 1 when the
// first column wins, whether more or less is better.
package table
