package management

import (
	"context"

	"usersync/internal/credit"
)

// TopUpInput is what an operator says of a top-up.
type TopUpInput struct {
	Amount    int64  `json:"amount"`    // credits to add
	Reference string `json:"reference"` // the same reference adds once
}

// TopUp adds credits to an organization.
func (s *Service) TopUp(ctx context.Context, actor, organization string, in TopUpInput) (credit.Entry, error) {
	var v invalid
	if in.Amount <= 0 || in.Amount > maxAmount {
		v.add("amount", "must be a whole number from 1 to %d", maxAmount)
	}
	if tooLong(in.Reference) {
		v.add("reference", "must have at most %d characters", maxText)
	}
	if err := v.err(); err != nil {
		return credit.Entry{}, err
	}
	return credit.TopUp(ctx, s.Store, actor, organization, in.Amount, in.Reference)
}
