package planted

import "fmt"

// Environment names the bug that is on in a build with the tag.
const Environment = "CONCH_PLANTED"

// BadName is the exit status of a program that is to switch on a bug that there is not.
const BadName = 97

// Bug is one that can be switched on.
type Bug int

// String is its name in the environment and in the table.
func (b Bug) String() string { return bugs[b].name }

// Breaks says what is wrong when it is on.
func (b Bug) Breaks() string { return bugs[b].breaks }

// All lists the bugs.
func All() []Bug {
	var all []Bug
	for b := range bugs[1:] {
		all = append(all, Bug(b+1))
	}
	return all
}

// Find finds the bug of a name.
func Find(name string) (Bug, error) {
	for _, b := range All() {
		if b.String() == name {
			return b, nil
		}
	}
	return None, fmt.Errorf("no bug is called %q", name)
}
