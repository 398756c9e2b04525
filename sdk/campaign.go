package sdk

import (
	"slices"
	"time"

	"github.com/conch-lock/conch/api"
)

// Bounds of a candidacy.
const (
	// MaxValue is the most bytes of what a leader proclaims.
	MaxValue = 64 << 10
	// MinPriority and MaxPriority bound the priority of a candidate.
	MinPriority, MaxPriority = -1000, 1000
	// MaxTenure bounds a minimum tenure.
	MaxTenure = 30 * 24 * time.Hour
	// MinAging and MaxAging bound the interval in which who waits gains one priority.
	MinAging, MaxAging = time.Second, 365 * 24 * time.Hour
)

// CampaignOption changes how a candidate stands.
type CampaignOption interface{ campaign(*campaignOptions) }

// campaignOption is one of elections alone.
type campaignOption func(*campaignOptions)

func (f campaignOption) campaign(o *campaignOptions) { f(o) }

type campaignOptions struct {
	value    []byte
	priority int
	preempt  bool
	tenure   time.Duration
	aging    time.Duration
	waits
	labels map[string]string
}

// WithPriority has the candidate lead before those of lower priority: -1000 to
// 1000, 0 unless stated. A candidate that waits gains one for each aging
// interval that it has waited, so nobody waits for ever behind newcomers.
func WithPriority(priority int) CampaignOption {
	return campaignOption(func(o *campaignOptions) { o.priority = priority })
}

// WithPreemption ends the tenure of a leader whose stated priority is lower,
// once that has led for its minimum tenure. Waiting raises neither.
func WithPreemption() CampaignOption {
	return campaignOption(func(o *campaignOptions) { o.preempt = true })
}

// WithTenure keeps the candidate from being pre-empted until it has led for so
// long: at most 30 days.
func WithTenure(least time.Duration) CampaignOption {
	return campaignOption(func(o *campaignOptions) { o.tenure = least })
}

// WithAging sets the interval in which a candidate that waits gains one
// priority: 1 s to 365 days, the same for all candidates of an election, a
// minute unless stated. ErrAgingMismatch: the election is in use with another.
func WithAging(interval time.Duration) CampaignOption {
	return campaignOption(func(o *campaignOptions) { o.aging = interval })
}

// WithCandidateLabels shows labels with the candidate and leader; bounds as for
// WithLabels.
func WithCandidateLabels(labels map[string]string) CampaignOption {
	return campaignOption(func(o *campaignOptions) { o.labels = labels })
}

// WithValue stands with that value, for [Client.Lead], where there is no other
// place for it.
func WithValue(value []byte) CampaignOption {
	return campaignOption(func(o *campaignOptions) { o.value = value })
}

// request checks the options and returns the candidacy without its numbers.
func (o *campaignOptions) request(name string) (*api.CampaignRequest, error) {
	const op = "campaign"
	if err := checkElection(op, name); err != nil {
		return nil, err
	}
	if err := checkValue(op, name, o.value); err != nil {
		return nil, err
	}
	switch {
	case o.priority < MinPriority || o.priority > MaxPriority:
		return nil, invalid(op, name, "priority %d: %d to %d are allowed", o.priority, MinPriority, MaxPriority)
	case o.tenure < 0 || o.tenure > MaxTenure:
		return nil, invalid(op, name, "minimum tenure %v: 0 to %v are allowed", o.tenure, MaxTenure)
	case o.aging != 0 && (o.aging < MinAging || o.aging > MaxAging):
		return nil, invalid(op, name, "aging interval %v: %v to %v are allowed", o.aging, MinAging, MaxAging)
	case o.wait < 0:
		return nil, invalid(op, name, "wait %v: it may not be negative", o.wait)
	}
	if err := checkLabels(op, o.labels); err != nil {
		return nil, err
	}
	return &api.CampaignRequest{
		Name: name, Value: slices.Clone(o.value), Priority: int32(o.priority), Preempt: o.preempt, TenureMs: ceilMillis(o.tenure),
		AgingMs: ceilMillis(o.aging), Try: o.try(), WaitMs: ceilMillis(o.wait), Labels: o.labels,
	}, nil
}

func checkValue(op, name string, value []byte) error {
	if len(value) > MaxValue {
		return invalid(op, name, "a value of %d bytes: at most %d are allowed", len(value), MaxValue)
	}
	return nil
}
