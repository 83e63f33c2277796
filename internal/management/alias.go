package management

import (
	"context"
	"fmt"
	"slices"

	"usersync/internal/colleague"
	"usersync/internal/identity"
	"usersync/internal/store"
	"usersync/internal/tenant"
)

// SuggestAliases returns pairs of domains that may be one company's.
func (s *Service) SuggestAliases(ctx context.Context, org *store.Org) (colleague.AliasSuggestions, error) {
	o, err := tenant.Get(ctx, s.Store, org.ID())
	if err != nil {
		return colleague.AliasSuggestions{}, fmt.Errorf("read the organization: %w", err)
	}
	return colleague.SuggestAliases(ctx, org, o.Settings)
}

// What can be decided of a suggestion.
const (
	AliasAccept  = "accept"
	AliasDismiss = "dismiss"
)

// AliasDecision is what an organization decides of two domains or more.
type AliasDecision struct {
	Domains  []string `json:"domains"`
	Decision string   `json:"decision"`
}

func (in AliasDecision) validate() error {
	var v invalid
	if len(in.Domains) < 2 {
		v.add("domains", "must hold two domains at least")
	}
	for i, domain := range in.Domains {
		if identity.Company(domain) == "" {
			v.add(fmt.Sprintf("domains[%d]", i), "must be a company's domain like example.com")
			break
		}
	}
	if in.Decision != AliasAccept && in.Decision != AliasDismiss {
		v.add("decision", "must be %s or %s", AliasAccept, AliasDismiss)
	}
	return v.err()
}

// DecideAliases makes the domains one company's, or keeps them from being suggested
// again. The settings aliasDomains and dismissedAliases hold what was decided.
func (s *Service) DecideAliases(ctx context.Context, actor string, org *store.Org, in AliasDecision) (tenant.Organization, error) {
	if err := in.validate(); err != nil {
		return tenant.Organization{}, err
	}
	return own(tenant.Update(ctx, org, actor, func(o *tenant.Organization) ([]string, error) {
		settings := &o.Settings
		field, to, other := "settings.aliasDomains", &settings.AliasDomains, &settings.DismissedAliases
		if in.Decision == AliasDismiss {
			field, to, other = "settings.dismissedAliases", &settings.DismissedAliases, &settings.AliasDomains
		}
		same := func(list []string) bool { return slices.Equal(sorted(list), sorted(in.Domains)) }
		*other = slices.DeleteFunc(slices.Clone(*other), same)
		if !slices.ContainsFunc(*to, same) {
			*to = append(slices.Clone(*to), in.Domains)
		}
		var v invalid
		validateAliases(&v, field, *to)
		return []string{"settings.aliasDomains", "settings.dismissedAliases"}, v.err()
	}))
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
