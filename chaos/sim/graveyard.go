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
		{"30", "a transfer of leadership, asked for in the turn in which the node lost the lead, was passed on in another node's name"},
		{"200022061 length=4.747s faults=1,2", "a node that had lost its newest snapshots took one below the mark of its log while it applied the log again, and stopped"},
	}
}
