package check

import "fmt"

// The kinds of things that checkers judge.
const (
	changesReplayed = "changes replayed"

	locksChanged  = "changes of holders"
	holdersBeside = "holders beside another"
	severalLocks  = "changes of holds of several locks as a whole"

	tokensGranted = "grants in the audit"
	tokensTold    = "grants that a client was told of"
	tokensInTime  = "grants asked for after another had returned"

	deadHolds = "holds of sessions that ended"
	deadKeys  = "keys of sessions that ended"

	claimsInQueues = "pairs in queues that somebody looked at"
	claimsLater    = "queues that somebody joined later"

	answersTwice  = "requests answered several times"
	valuesWritten = "values written"

	leadersAfter  = "leaders after another"
	leadersStayed = "changes that left the leader"

	grantsTold        = "grants that were told"
	grantsUntold      = "grants that nobody was told of"
	endsTold          = "ends that were told"
	refusalsTold      = "refusals for a holder"
	refusalsInTime    = "of them for one that ended, with something seen after that"
	proclamationsTold = "proclamations that were told"

	keysWritten    = "transactions that wrote"
	keysRead       = "transactions that read"
	keysUntold     = "transactions that happened though nobody was told"
	keysOfSessions = "keys that ended with their session"

	pairsInTime = "operations asked for after another had returned"

	changesTold    = "changes that were told"
	prevsTold      = "records that were told to have been replaced"
	watchesResumed = "watches that went on after a gap"

	expiredLocks   = "expired sessions that held a lock"
	expiredLeaders = "expired sessions that led an election"
	expiredKeys    = "ended sessions that owned a key"

	sessionsLeft = "sessions that were left to end"

	heirsWaited = "claims that waited for a holder that died"

	triesRefused = "claims refused as held, with all known of what may have kept them out"
	waitsEnded   = "claims whose wait was over, with all known of it"

	beliefsAfter  = "beliefs after another's"
	beliefsBeside = "beliefs beside another's"

	delaysKept = "grants after a holder with a delay that was lost"

	tenuresEnded  = "tenures that an operator ended"
	sessionsEnded = "sessions that an operator ended"
	tokensRefused = "operators refused for their token"
	takenAway     = "tenures that ended by what somebody asked for"
	beliefsTaken  = "beliefs that went on after that"
	takingsTold   = "clients that were told that it was taken away"
)

// Count is how much of one kind a checker had to judge: an operation, a change or
// a pair of them that would have been a violation if it had been otherwise.
type Count struct {
	Checker string
	What    string
	N       int
}

// String is a line of a report.
func (c Count) String() string { return fmt.Sprintf("%10d  %s: %s", c.N, c.Checker, c.What) }

// Judgement is what all checkers but the sceptic have to say of a history.
type Judgement struct {
	Violations []Violation
	// Counts are all that there can be, in a fixed order: one of 0 says that the
	// history proves nothing of that kind.
	Counts []Count
}

// Judge has all of them look.
func Judge(h *History) Judgement {
	var out Judgement
	for _, c := range Checkers() {
		r := c.run(h)
		out.Violations = append(out.Violations, r.found...)
		if c.Name == "interventions" && h.Interventions == nil {
			continue // nobody has operators
		}
		for _, what := range c.Judges {
			out.Counts = append(out.Counts, Count{c.Name, what, r.judged[what]})
		}
	}
	return out
}

// Idle are the kinds of which there was nothing to judge.
func (j Judgement) Idle() []Count {
	var out []Count
	for _, c := range j.Counts {
		if c.N == 0 {
			out = append(out, c)
		}
	}
	return out
}
