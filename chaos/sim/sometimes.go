package sim

import "fmt"

// Situation is something that happens sometimes, and that a long run must have
// met: what never happens is not tested.
type Situation uint8

// The situations. Those before optional must each happen in a run of the
// nightly size.
const (
	crashed Situation = iota
	crashedWriting
	crashedAfterWrite
	leaderCrashedAfterWrite
	crashedBeforeSend
	crashedBeforeApply
	leaderCrashedBeforeApply
	crashedAfterApply
	crashedVoting
	crashedInSnapshot
	crashedInJoint
	crashedAll
	crashedStarting
	followerAhead
	tornTail
	damageRefused
	damageRepaired
	diskLost
	diskFull
	leaderDiskFull
	snapshotPutOff
	syncFailed
	writeFailed
	diskSlow
	nodePaused
	leaderPaused
	ownPauseNotCounted
	clockJumped
	leaderClockJumped
	clockChanged
	wallJumped
	clientClockJumped
	isolated
	oneWay
	linkCut
	split
	flapped
	netRough
	clientsPinned
	clientPaused
	leaderTransferred
	proposalDropped
	uncommittedFull
	timeOfLostTerm
	keepAliveUnconfirmed
	learnerAdded
	learnerPromoted
	learnerPromotedLoaded
	quorumsChanged
	memberRemoved
	leaderRemoved
	memberReplaced
	removedStillRuns
	snapshotTaken
	snapshotWithImages
	snapshotSent
	snapshotInstalled
	snapshotInstalledHeld
	retried
	retriedElsewhere
	sessionExpired
	sessionClosed
	expiredWaiting
	expiredReleasing
	clientGaveUp
	grantAfterWaiting
	sharedTogether
	permitsTogether
	severalGranted
	waitTimedOut
	cancelled
	cancelledGranted
	lockDelayed
	claimTried
	lockBroken
	longQueue
	proclaimed
	proclaimedLate
	handedOver
	handedToNobody
	leaderUnseated
	leaderMoved
	leaderObserved
	observedAcrossLeaders
	observerLate
	keyCompareFailed
	keyOwnedDeleted
	keyGuarded
	keyGuardRefused
	readConfirmed
	readTimedOut
	readStale
	unknownOutcome
	requestRefused
	oneDown
	slowFollower
	slowLeader

	situations
)

var situationNames = [situations]string{
	crashed:                  "node crashed",
	crashedWriting:           "crash at a file operation",
	crashedAfterWrite:        "crash between write and fsync",
	crashedBeforeSend:        "crash between fsync and send",
	crashedBeforeApply:       "crash between send and apply",
	leaderCrashedAfterWrite:  "leader sent, and crashed before its fsync",
	leaderCrashedBeforeApply: "leader crashed between commit and apply",
	crashedAfterApply:        "crash right after apply",
	crashedVoting:            "vote persisted, then crash",
	crashedInSnapshot:        "crash in the middle of a snapshot",
	crashedInJoint:           "joint configuration entered, and crash inside",
	crashedAll:               "all nodes cut from power at once",
	crashedStarting:          "crash while starting",
	followerAhead:            "follower ahead of a leader that crashed",
	tornTail:                 "torn tail found",
	damageRefused:            "corruption refused by name",
	damageRepaired:           "corruption survived by an older snapshot",
	diskLost:                 "lost disk refused",
	diskFull:                 "disk full",
	leaderDiskFull:           "disk of the leader full",
	snapshotPutOff:           "snapshot put off for want of room",
	syncFailed:               "fsync failed, node stopped",
	writeFailed:              "write failed, node stopped",
	diskSlow:                 "slow disk",
	nodePaused:               "node paused",
	leaderPaused:             "leader paused",
	ownPauseNotCounted:       "leader did not count its own pause",
	clockJumped:              "clock of a node jumped",
	leaderClockJumped:        "clock jump seen by the leader",
	clockChanged:             "clock of a node changed its rate",
	wallJumped:               "wall clock of a node jumped",
	clientClockJumped:        "clock of a client jumped",
	isolated:                 "node isolated",
	oneWay:                   "node cut off one way",
	linkCut:                  "link cut",
	split:                    "cell split in two",
	flapped:                  "link flapped",
	netRough:                 "network lost, doubled and delayed",
	clientsPinned:            "clients pinned to a leader in trouble",
	clientPaused:             "client paused",
	leaderTransferred:        "leadership transferred",
	proposalDropped:          "proposal dropped",
	uncommittedFull:          "proposal dropped since too much was not committed",
	timeOfLostTerm:           "time told by a leader that lost its term",
	keepAliveUnconfirmed:     "keep-alive not acknowledged by a leader that could not commit",
	learnerAdded:             "learner added",
	learnerPromoted:          "learner promoted",
	learnerPromotedLoaded:    "learner promoted while ten operations and more were done",
	quorumsChanged:           "quorums of members held against those before",
	memberRemoved:            "member removed",
	leaderRemoved:            "leader removed",
	memberReplaced:           "damaged member replaced by a new one",
	removedStillRuns:         "removed member still runs",
	snapshotTaken:            "snapshot taken",
	snapshotWithImages:       "snapshot taken during writes, with before-images",
	snapshotSent:             "snapshot sent",
	snapshotInstalled:        "snapshot installed",
	snapshotInstalledHeld:    "snapshot installed while locks are held and awaited",
	retried:                  "request repeated",
	retriedElsewhere:         "repetition answered from memory through another node",
	sessionExpired:           "session expired",
	sessionClosed:            "session closed by its client",
	expiredWaiting:           "session expired while it waited",
	expiredReleasing:         "holder expired while its release was under way",
	clientGaveUp:             "client gave up its session by its own clock",
	grantAfterWaiting:        "grant after waiting",
	sharedTogether:           "lock shared by several",
	permitsTogether:          "permits of one capacity held by several",
	severalGranted:           "several locks granted at once",
	waitTimedOut:             "wait timed out",
	cancelled:                "claim cancelled",
	cancelledGranted:         "claim cancelled that had been granted",
	lockDelayed:              "lock delayed after its holder was lost",
	claimTried:               "claim refused at once",
	lockBroken:               "lock broken",
	longQueue:                "more than 1,000 waiters",
	proclaimed:               "leader proclaimed",
	proclaimedLate:           "proclamation of a leader that has gone",
	handedOver:               "leadership of an election handed over",
	handedToNobody:           "hand-over to nobody",
	leaderUnseated:           "leadership ended by an operator",
	leaderMoved:              "leadership handed over by an operator",
	leaderObserved:           "leader observed",
	observedAcrossLeaders:    "observer resumed across two leaders of the cell",
	observerLate:             "watch told that history is compacted",
	keyCompareFailed:         "transaction whose compares failed",
	keyOwnedDeleted:          "key deleted with its session",
	keyGuarded:               "write guarded by a held lock",
	keyGuardRefused:          "write refused by its guard",
	readConfirmed:            "linearizable read",
	readTimedOut:             "linearizable read without a leader",
	readStale:                "stale read",
	unknownOutcome:           "outcome unknown",
	requestRefused:           "request refused without a leader",
	oneDown:                  "acquires timed while a node was down",
	slowFollower:             "acquires timed while a follower was slow",
	slowLeader:               "acquires timed while the leader was slow",
}

// String is the situation in words.
func (s Situation) String() string {
	if int(s) < len(situationNames) {
		return situationNames[s]
	}
	return fmt.Sprint("situation ", uint8(s))
}

// Tally counts situations and faults.
type Tally struct {
	Situations [situations]uint64
	Faults     [faultKinds]uint64
}

// Add adds the counts of another one.
func (t *Tally) Add(o *Tally) {
	for i, n := range o.Situations {
		t.Situations[i] += n
	}
	for i, n := range o.Faults {
		t.Faults[i] += n
	}
}

// Missing lists the situations that never happened, and the faults.
func (t *Tally) Missing() []string {
	var l []string
	for i, n := range t.Situations {
		if n == 0 {
			l = append(l, Situation(i).String())
		}
	}
	for i, n := range t.Faults {
		if n == 0 {
			l = append(l, "fault: "+Fault(i).String())
		}
	}
	return l
}

// Counts gives all counts by name.
func (t *Tally) Counts() (happened, faults map[string]uint64) {
	happened, faults = map[string]uint64{}, map[string]uint64{}
	for i, n := range t.Situations {
		happened[Situation(i).String()] = n
	}
	for i, n := range t.Faults {
		faults[Fault(i).String()] = n
	}
	return happened, faults
}
