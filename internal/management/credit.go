package management

import (
	"context"

	"usersync/internal/credit"
	"usersync/internal/store"
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

// GetBalance returns the credits of an organization.
func (s *Service) GetBalance(ctx context.Context, org *store.Org) (int64, error) {
	return credit.Balance(ctx, org)
}

// GetBalanceOf is GetBalance for an operator, who may name an organization that
// does not exist.
func (s *Service) GetBalanceOf(ctx context.Context, organization string) (int64, error) {
	org, err := s.viewOf(ctx, organization)
	if err != nil {
		return 0, err
	}
	return credit.Balance(ctx, org)
}

// ListLedger returns the ledger of an organization, newest first.
func (s *Service) ListLedger(ctx context.Context, org *store.Org, before string, limit int) ([]credit.Entry, error) {
	return credit.Ledger(ctx, org, before, limit)
}

// ListLedgerOf is ListLedger for an operator, who may name an organization that
// does not exist.
func (s *Service) ListLedgerOf(ctx context.Context, organization, before string, limit int) ([]credit.Entry, error) {
	org, err := s.viewOf(ctx, organization)
	if err != nil {
		return nil, err
	}
	return credit.Ledger(ctx, org, before, limit)
}

// VerifyCredits recomputes the balance of an organization from its ledger.
func (s *Service) VerifyCredits(ctx context.Context, organization string) (credit.Verification, error) {
	return credit.Verify(ctx, s.Store.Org(organization))
}
