package table

// Better says which values are the better ones.
type Better string

// The directions.
const (
	More Better = "more"
	Less Better = "less"
)

// Row is one thing that is measured.
type Row struct {
	Kind    string `json:"kind"`    // the workload, as in the flag that chooses
	Work    string `json:"work"`    // what was done, such as "own lock, 64 clients"
	Measure string `json:"measure"` // what of it was measured, such as "acquire, median"
	Unit    string `json:"unit"`    // of the values; empty: a number
	Better  Better `json:"better"`
}

// Sample is one value of one round.
type Sample struct {
	Row   Row
	Value float64
}
