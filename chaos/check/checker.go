package check

import "fmt"

// Violation is a promise that a history breaks.
type Violation struct {
	Checker string // its name
	Text    string
}

// String is the checker and what it found.
func (v Violation) String() string { return v.Checker + ": " + v.Text }

// Checker looks for breaches of one property.
type Checker struct {
	Name     string
	Property string // what must hold
	// Judges are the kinds of things that it judges, as they are counted. A history
	// that has none of a kind proves nothing of it.
	Judges []string
	check  func(h *History, r *reporter)
}

// Check gives what it finds, at most mostFound of it.
func (c Checker) Check(h *History) []Violation { return c.run(h).found }

func (c Checker) run(h *History) *reporter {
	r := &reporter{checker: c.Name, judged: map[string]int{}}
	c.check(h, r)
	return r
}

// Checkers are all of them but the sceptic.
func Checkers() []Checker {
	return []Checker{
		{"audit", "every revision changes something, none is missing, and a record's revisions and version follow from its changes",
			[]string{changesReplayed}, audit},
		{"mutual exclusion", "at every revision a lock has one exclusive holder, or shared ones, or permits within its capacity",
			[]string{locksChanged, holdersBeside, severalLocks}, mutualExclusion},
		{"tokens", "tokens of grants rise with revisions, are never given twice, and a claim that was granted before another was made has the smaller one",
			[]string{tokensGranted, tokensTold, tokensInTime}, tokens},
		{"dead sessions", "nothing is granted to a session, and no key given to it, at or after the revision that ended it",
			[]string{deadHolds, deadKeys}, deadSessions},
		{"first come", "waiting claims of a lock are granted in the order in which the cell accepted them",
			[]string{claimsInQueues, claimsLater}, firstCome},
		{"exactly once", "a request takes effect once, and repeated it gets the same answer",
			[]string{answersTwice, valuesWritten}, exactlyOnce},
		{"elections", "an election has one leader at a time, each with the next term and a larger token",
			[]string{leadersAfter, leadersStayed}, elections},
		{"grants", "every grant, release and change of a leader that was told stands in the audit, and everything there is the doing of somebody",
			[]string{grantsTold, grantsUntold, endsTold, refusalsTold, refusalsInTime, proclamationsTold}, grants},
		{"keys", "every answer about keys is what the keys' specification says at its revision, and every change of a key is the doing of somebody",
			[]string{keysWritten, keysRead, keysUntold, keysOfSessions}, keys},
		{"real time", "what returned before something else was asked for has the smaller revision",
			[]string{pairsInTime}, realTime},
		{"watches", "a watch or an observer is told of every change of its range in order, whole revisions at a time, once, from where it was asked",
			[]string{changesTold, prevsTold, watchesResumed}, watches},
		{"never early", "no session expires while its client may rely on it",
			[]string{expiredLocks, expiredLeaders, expiredKeys}, neverEarly},
		{"not for ever", "a session of which nothing more was heard ends within its time to live, two elections and a second, faults allowed for",
			[]string{sessionsLeft}, notForEver},
		{"granted after death", "who waits for a lock or a lead is granted it within the time to live of a holder that died, three elections and a second, faults allowed for",
			[]string{heirsWaited}, grantedAfterDeath},
		{"kept out", "who is refused a lock or a lead as it is held, or waits for it in vain, was kept from it by a holder",
			[]string{triesRefused, waitsEnded}, keptOut},
		{"delays", "nobody is granted a lock in the delay after a holder that was lost",
			[]string{delaysKept}, delays},
		{"beliefs", "no two clients believe in incompatible holds of a lock at a moment",
			[]string{beliefsAfter, beliefsBeside}, beliefs},
		{"interventions", "what an operator was told to have ended ended so, nobody lost anything that way for which nobody had asked, and who had it is told, and nobody else",
			[]string{tenuresEnded, sessionsEnded, tokensRefused, takenAway, beliefsTaken, takingsTold}, interventions},
	}
}

// mostFound is how much one checker reports: after the first few the rest tell
// nothing new.
const mostFound = 20

// reporter collects what a checker finds.
type reporter struct {
	checker string
	found   []Violation
	judged  map[string]int
}

// judge counts one thing that is judged.
func (r *reporter) judge(what string) { r.judged[what]++ }

func (r *reporter) fail(format string, args ...any) {
	if len(r.found) < mostFound {
		r.found = append(r.found, Violation{Checker: r.checker, Text: fmt.Sprintf(format, args...)})
	}
}
