package sim

// Grave is a run that once broke a promise, and why.
type Grave struct {
	Run    string // as Parse reads it
	Reason string
}

// Graveyard lists the runs that are tried before all others. A change of the
// code changes what a seed does, so that an old one may meet its bug no more:
// the bug has a test of its own beside the code that was at fault.
func Graveyard() []Grave {
	return []Grave{
		{"30 pace=1", "a transfer of leadership, asked for in the turn in which the node lost the lead, was passed on in another node's name"},
		{"200022061 pace=1 length=4.747s faults=1,2", "a node that had lost its newest snapshots took one below the mark of its log while it applied the log again, and stopped"},
		{"1795640519830 clients=4 pace=1 length=54.4921875s faults=8,10,11,12,13,14,15,24,29,32,33,35,36,37,48,64", "a learner that waited for a snapshot, which the leader had put off by 30 s for want of room, was given a vote, without which nothing could be committed"},
		{"1795640520840 pace=1", "a leader made a follower that the quorum needed wait 30 s for a snapshot after there was room again"},
		{"1795646195010 pace=1 length=43.0078125s faults=0,1,2,3,4,5,6,7,8,9,10,14,15,18,19,20,21,22,23,24,26,28,29,30,31,32,33,34,35,40,41,42,43,44,48,49,51", "a change of members was called complete while members still needed the old majority, and the member that was removed was switched off"},
		{"1796000022749 pace=1 length=5.451s work=permits,many,elections,keys faults=1,2,4,7", "a snapshot that came from the leader was written into the file of the node's own at that entry"},
		{"1796100141150 pace=1 length=6s faults=2,3", "of a jump of its clock a leader counted up to 100 ms as time, and a paused client believed too long in its lock"},
		{"1796100144694 pace=1 length=6s", "the only member with the whole log was refused for its term, and waited for another election time"},
		{"1796100027147 pace=1 length=5.44921875s faults=1,2", "the simulation's own: heartbeats of a leader that had taken itself out were on their way for seconds, and whoever got one did not vote"},
		{"1802000128607 length=5.8125s faults=0,2,5,6,7,9", "a leader that was started again asked for votes, and what it had sent in its former life, seconds on its way, kept the other member from voting for it"},
		{"1800000113959 length=6s faults=0,2,4,6,7,8", "a disk failed beside the turns, and its node noticed that with its next append alone, after everything had healed"},
		{"1804000115317 clients=3 length=4.069s faults=1", "the simulation's own: it zeroed the end of a segment, which says that there is another, and removed that one, which leaves a log that looks as if a crash had torn it"},
		{"1795640520548 pace=1 length=48.602s faults=1,2,3,5,6,7,8,9,10,12,13,14", "the simulation's own: a message that came twice came as its receiver had changed it the first time"},
		{"1795640521031 pace=1 length=31.974s faults=13,20,21,25", "the simulation's own: it could not damage a segment that was shorter than a header"},
	}
}
