package planted

// The bugs. What each breaks stands in the table below.
const (
	None Bug = iota // no bug is on

	// The log on disk.

	LogNotSynced
	SyncErrorIgnored
	LogNameNotSynced
	FrameUnchecked
	DurableOffsetIgnored
	TornTailLeft
	LogReleasedTooFar
	PreparationUnwatched

	// Snapshots.

	SnapshotNotSynced
	SnapshotNameNotSynced
	SnapshotBlockUnchecked
	SnapshotNotMarked
	SnapshotFailureUnreported

	// Consensus.

	PromisedBeforeSync
	VoteNotWritten
	ReadNotConfirmed
	ReadBeforeApplied
	ReadContextReused
	ReadByLease
	RemovedMemberHeard
	SlowLeaderStays
	FormerLifeBelieved

	// Sessions.

	ExpiresEarly
	ExpiresLate
	ExpiresByWallClock
	RepliesNotSaved
	DeadlinesStale
	DeadlinesTorn
	RepliesIgnored
	SessionIDsAgain
	OpenedTwice
	SessionLeavesClaim
	SessionLeavesLock
	SessionLeavesKeys

	// Locks.

	GrantedDuringDelay
	BrokenWithoutDelay
	BreakNotTold
	SharedBesideExclusive
	PermitsOverCapacity
	LastComeFirstServed
	QueueJumped
	FirstLockDecides
	WaitNeverEnds
	WaiterNotRestored
	TokensAgain
	TokenOfEachLock
	ReleasedByName
	CancelledGrantStays
	ClaimComesBack
	PredecessorForgotten

	// Elections.

	TermNotCounted
	AnybodyIsLeader
	ProclamationLost
	HandoverNotTold

	// Keys and history.

	CompareIgnored
	TxnHalfDone
	FailedCompareCounts
	CompactedTooFar
	HistoryHasGaps

	// The cell on a node.

	AnsweredBeforeCommit
	AliveBeforeCommit
	PauseCounted
	StallCounted
	ForwardedTwice
	RepeatedUnnumbered

	// Streams and watches.

	ResumedOneLate
	SkippedAtLag
	PrevDropped
	GapNotTold
	OldStreamAttached

	// The client.

	BelievesTooLong
	CountsFromReceipt
	UnlockedOnce
	LateGrantTaken
	OldNewsBelieved
	ClaimNotResent
	FenceOpen
)

var bugs = [...]struct{ name, breaks string }{
	None: {"none", "nothing"},

	LogNotSynced:         {"log-not-synced", "the log takes its last frames for durable without a sync"},
	SyncErrorIgnored:     {"sync-error-ignored", "a failed sync of the log is taken for a good one"},
	LogNameNotSynced:     {"log-name-not-synced", "the directory is not synced after a new segment of the log got its name"},
	FrameUnchecked:       {"frame-unchecked", "the checksum of a frame of the log is not looked at"},
	DurableOffsetIgnored: {"durable-offset-ignored", "damage below what the log knows to be durable is cut off like a torn write"},
	TornTailLeft:         {"torn-tail-left", "what a crash left of a torn write is not cleared"},
	LogReleasedTooFar:    {"log-released-too-far", "the log is dropped up to the newest snapshot, so that the older one helps nobody"},
	PreparationUnwatched: {"preparation-unwatched", "a sync in the background that failed is noticed with the next append and not before"},

	SnapshotNotSynced:         {"snapshot-not-synced", "a snapshot gets its name before its content is synced"},
	SnapshotNameNotSynced:     {"snapshot-name-not-synced", "the directory is not synced after a snapshot got its name"},
	SnapshotBlockUnchecked:    {"snapshot-block-unchecked", "the checksum of a block of a snapshot is not looked at"},
	SnapshotNotMarked:         {"snapshot-not-marked", "a snapshot is not marked in the log, which is dropped all the same"},
	SnapshotFailureUnreported: {"snapshot-failure-unreported", "raft is not told that a snapshot did not arrive"},

	PromisedBeforeSync: {"promised-before-sync", "votes and acknowledgements are sent before what they promise is on disk"},
	VoteNotWritten:     {"vote-not-written", "term and vote are not written"},
	ReadNotConfirmed:   {"read-not-confirmed", "a read does not ask whether the leader still leads"},
	ReadBeforeApplied:  {"read-before-applied", "a confirmed read does not wait for the log to be applied so far"},
	ReadContextReused:  {"read-context-reused", "all rounds of reads have one context, so that an old answer confirms new reads"},
	ReadByLease:        {"read-by-lease", "a leader confirms reads by its clock alone"},
	RemovedMemberHeard: {"removed-member-heard", "a node that was removed still takes part"},
	SlowLeaderStays:    {"slow-leader-stays", "a leader whose disk is slow does not hand over"},
	FormerLifeBelieved: {"former-life-believed", "who hears from a leader believes in it, though it asks to be elected meanwhile"},

	ExpiresEarly:       {"expires-early", "a keep-alive gives three quarters of the TTL"},
	ExpiresLate:        {"expires-late", "a keep-alive gives three times the TTL"},
	ExpiresByWallClock: {"expires-by-wall-clock", "cluster time follows the wall clock"},
	RepliesNotSaved:    {"replies-not-saved", "the replies for exactly-once are not in the snapshot"},
	DeadlinesStale:     {"deadlines-stale", "a snapshot has sessions without the keep-alives since their rows were written"},
	DeadlinesTorn:      {"deadlines-torn", "a snapshot has keep-alives that came while it was walked"},
	RepliesIgnored:     {"replies-ignored", "a repeated request is done again"},
	SessionIDsAgain:    {"session-ids-again", "after a restore session IDs are drawn again from the first"},
	OpenedTwice:        {"opened-twice", "a repeated opening makes a second session"},
	SessionLeavesClaim: {"session-leaves-claim", "the end of a session leaves what it waits for in the queue"},
	SessionLeavesLock:  {"session-leaves-lock", "the end of a session leaves its locks held"},
	SessionLeavesKeys:  {"session-leaves-keys", "the end of a session leaves its keys"},

	GrantedDuringDelay:    {"granted-during-delay", "a lock is granted before its delay is over"},
	BrokenWithoutDelay:    {"broken-without-delay", "the delay of a lock does not begin when an operator breaks it"},
	BreakNotTold:          {"break-not-told", "a holder is not told that an operator broke its grant"},
	SharedBesideExclusive: {"shared-beside-exclusive", "a shared claim is granted beside an exclusive holder"},
	PermitsOverCapacity:   {"permits-over-capacity", "permits are granted beyond the capacity"},
	LastComeFirstServed:   {"last-come-first-served", "a claim is put at the head of the queue"},
	QueueJumped:           {"queue-jumped", "a new claim that fits is granted past those that wait"},
	FirstLockDecides:      {"first-lock-decides", "a claim for several locks is granted when the first of them is free"},
	WaitNeverEnds:         {"wait-never-ends", "the time that a claim is ready to wait is not observed"},
	WaiterNotRestored:     {"waiter-not-restored", "a restored state has no claims that wait"},
	TokensAgain:           {"tokens-again", "after a restore tokens are drawn again from the first"},
	TokenOfEachLock:       {"token-of-each-lock", "every lock counts tokens of its own"},
	ReleasedByName:        {"released-by-name", "a release, a break and a fence look at the name and not at the token"},
	CancelledGrantStays:   {"cancelled-grant-stays", "a claim that is granted when it is cancelled stays so"},
	ClaimComesBack:        {"claim-comes-back", "a late copy of an acquire makes a claim after that was released or cancelled"},
	PredecessorForgotten:  {"predecessor-forgotten", "a new holder or leader is not told of the one before"},

	TermNotCounted:   {"term-not-counted", "a new leader begins no new term"},
	AnybodyIsLeader:  {"anybody-is-leader", "who proclaims, resigns or hands over need not lead"},
	ProclamationLost: {"proclamation-lost", "a proclamation is acknowledged and forgotten"},
	HandoverNotTold:  {"handover-not-told", "a leader is not told that somebody else leads in its place"},

	CompareIgnored:      {"compare-ignored", "a transaction succeeds whatever it compares"},
	TxnHalfDone:         {"txn-half-done", "a transaction does the first of its operations alone"},
	FailedCompareCounts: {"failed-compare-counts", "a failed compare that writes nothing takes a revision"},
	CompactedTooFar:     {"compacted-too-far", "compaction drops history that it was to keep"},
	HistoryHasGaps:      {"history-has-gaps", "who reads the history in pieces misses a revision between two of them"},

	AnsweredBeforeCommit: {"answered-before-commit", "the leader answers a release when it has queued it"},
	AliveBeforeCommit:    {"alive-before-commit", "a keep-alive is acknowledged before the entry that tells of it is committed"},
	PauseCounted:         {"pause-counted", "the leader counts its own pauses as time in which it heard nobody"},
	StallCounted:         {"stall-counted", "time passes while the leader cannot commit"},
	ForwardedTwice:       {"forwarded-twice", "a message with forwarded commands that arrives twice is taken twice"},
	RepeatedUnnumbered:   {"repeated-unnumbered", "a transaction without a sequence is repeated when its outcome is unknown"},

	ResumedOneLate:    {"resumed-one-late", "a watch from a revision begins with the one after it"},
	SkippedAtLag:      {"skipped-at-lag", "a watch that falls behind goes on with what is new"},
	PrevDropped:       {"prev-dropped", "a watch that asked for the value before is not told it"},
	GapNotTold:        {"gap-not-told", "a watch that fell behind what is kept goes on without a word"},
	OldStreamAttached: {"old-stream-attached", "what is read late from a stream that was given up takes the session back to it"},

	BelievesTooLong:   {"believes-too-long", "a client believes in its session for two times the TTL"},
	CountsFromReceipt: {"counts-from-receipt", "a client counts its deadline from the answer to a keep-alive, not from its sending"},
	UnlockedOnce:      {"unlocked-once", "an unlock whose answer is lost is not repeated"},
	LateGrantTaken:    {"late-grant-taken", "a grant is handed out after the session's own deadline"},
	OldNewsBelieved:   {"old-news-believed", "a client believes in a grant that it was told had ended before"},
	ClaimNotResent:    {"claim-not-resent", "a client does not ask what became of queued claims when it connects anew"},
	FenceOpen:         {"fence-open", "a fence lets a smaller token pass"},
}
