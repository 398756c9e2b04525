// Package tally is what a layer that breaks Conch tells of what it did, for who
// adds several up: which faults took effect and how often, and how much was
// judged.
//
// A layer writes a [Tally] as JSON into a file that it is told. What did not
// happen is told, too, with a count of zero: who adds up sees what never happened
// in any of them.
package tally
