// Package recorder makes calls of the Go client and writes down what was asked
// for and what was told, as a history that package check can judge.
//
// A [Client] wraps the calls; each is written down before it is made, with an
// unknown outcome, and again when it has returned. So a client that is killed in
// between leaves the truth behind. Where that goes is a [Sink]: a [Journal] in
// the same process, or a pipe to one in another.
//
// What the SDK does not tell stays open in the history: the revision of a
// release, the sequence of a request. A [Repeater] does without the SDK and tells
// both: it asks for everything several times and writes down every answer.
//
// A [Follower] consumes a watch or an observer for a whole run.
package recorder
