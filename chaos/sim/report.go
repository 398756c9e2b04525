package sim

import (
	"fmt"
	"time"
)

// Report tells what happened in a run.
type Report struct {
	Config  Config
	Virtual time.Duration
	Events  uint64
	Entries uint64
	Checked uint64 // operations of clients that were checked
	Trace   uint64 // equal for two runs that were the same
	Planned int    // faults
	Tally   Tally
}

// Violation is a property that did not hold.
type Violation struct {
	Config   Config
	Property Property
	At       time.Duration
	What     string
}

// Error says what was violated, when and how.
func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d, at %v: %s: %s", v.Config.Seed, v.At, v.Property, v.What)
}

// Replay is the command that runs it again.
func (v *Violation) Replay() string {
	s := v.Config.String()
	if len(s) > 0 && s[len(s)-1] != ' ' {
		for _, r := range s {
			if r == ' ' {
				return fmt.Sprintf("make sim SEED=%q", s)
			}
		}
	}
	return "make sim SEED=" + s
}

// Property names what must hold, by its number in docs and reports.
type Property string

// The properties that the simulation checks.
const (
	Invariants  Property = "S1 S3 S5 invariants of the state"
	Tokens      Property = "S2 tokens only grow"
	FirstServed Property = "S4 first come, first served"
	InTime      Property = "S5 waits and delays last as long as they are to"
	OnceOnly    Property = "S6 exactly once"
	Leaders     Property = "S7 one leader, rising terms"
	Observed    Property = "S8 elections are seen whole"
	NeverEarly  Property = "S9 no session ends early"
	NotForEver  Property = "S10 no session lives for ever"
	Beliefs     Property = "S11 one believer"
	RealTime    Property = "S12 reads and writes keep to real time"
	Watches     Property = "S13 watches are whole"
	Equal       Property = "S14 replicas are equal"
	Snapshots   Property = "S15 a snapshot is the state"
	Durable     Property = "S16 what was acknowledged is there"
	Damage      Property = "S17 damage is repaired or refused by name"
	FailStop    Property = "S18 nothing after a failed write"
	Raft        Property = "S19 one leader a term, no return of the removed"
	Progress    Property = "L1 progress after everything healed"
	Prompt      Property = "L1 a leader and a write soon after everything healed"
	Degraded    Property = "L2 one node down or slow"
	Specified   Property = "the client's view is what the specification allows"
	Ended       Property = "who has lost a lock to an operator is told"
	Panics      Property = "nothing panics"
	Harness     Property = "the simulation itself"
	RefusedPeer Property = "S19 correct peers send what is accepted"
)
