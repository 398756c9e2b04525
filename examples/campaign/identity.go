package main

import (
	"encoding/json"
	"fmt"

	"github.com/conch-lock/conch/sdk"
)

// election is what the members stand in.
const election = "campaign"

// identity is what a member shows to observers, as the value of its candidacy.
type identity struct {
	Name    string `json:"name"`
	Address string `json:"address"` // host:port
}

func (i identity) value() []byte {
	b, _ := json.Marshal(i) // two strings always are JSON
	return b
}

// identityOf reads the value of a leader or a candidate.
func identityOf(value sdk.Value) (identity, error) {
	var i identity
	if err := json.Unmarshal(value, &i); err != nil {
		return i, fmt.Errorf("the value %q in election %q is not that of a member: %w", value, election, err)
	}
	return i, nil
}
