package colleague

import (
	"context"

	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Target is a user whose colleagues are looked for.
type Target struct {
	Email    usersync.Email
	Name     string // the full name, "" when unknown
	Country  string // ISO 3166-1 alpha-2, "" when unknown
	JobTitle string // as the caller sent it, "" when unknown
}

// Result is the outcome of the search for one target.
type Result struct {
	// Skipped says why nobody was looked for: one of the reasons
	// of a skipped step, such as ReasonNoCompany, or ""
	// when the search ran.
	Skipped string
	// Found holds at most MaxColleagues people, best first.
	Found []Match
	// Unanswered are the services that did not answer for this target, in the
	// order of Search.Services: what they know is missing from Found.
	Unanswered []Unanswered
}

// Unanswered is a service that did not answer.
type Unanswered struct {
	Source string // its name
	Err    *usersync.Error
}

// Match is a colleague that was found, how well they match and why.
type Match struct {
	Candidate
	Score   float64  // 0 to 1, two decimals
	Reasons []string // the Reason constants of this package
}

// Search finds the colleagues of users of one organization. Of its sources
// those are asked that are on in the organization's settings. Their order
// changes nothing of what is found.
type Search struct {
	// Own are sources in our own database. When one of them fails, so does the
	// search. Users and Directory are read in one trip.
	Own []Source
	// Services are sources elsewhere, which may be slow or fail: the search goes
	// on without them and says so in Result.Unanswered.
	Services []Source
}

// Run searches for all targets at once and returns one result each, in their
// order. Every source is asked once, and not at all when every target is
// skipped. What is found for a target depends on nothing but that target, the
// settings, the candidates of its own queries and how many people its domain has. An error is that of the
// first of our own sources that failed, as *usersync.Error.
func (s *Search) Run(ctx context.Context, org *store.Org, settings tenant.Settings, targets []Target) ([]Result, error) {
	results := make([]Result, len(targets))
	if !settings.Colleagues() {
		for i := range results {
			results[i].Skipped = ReasonColleaguesDisabled
		}
		return results, nil
	}
	p := newPlan(settings)
	wanted := make([]*group, len(targets))
	for i, t := range targets {
		wanted[i], results[i].Skipped = p.add(t)
	}
	if len(p.queries) == 0 {
		return results, nil
	}
	answers, err := s.ask(ctx, org, settings, p.queries)
	if err != nil {
		return nil, err
	}
	customers, err := customersOf(ctx, org, wanted, answers)
	if err != nil {
		return nil, usersync.AsError(err)
	}
	for i, g := range wanted {
		if customers[g] {
			results[i].Skipped = ReasonCustomersDomain
		} else if g != nil {
			pool := g.members(answers)
			results[i].Found, results[i].Unanswered = rank(targets[i], pool), g.unanswered(answers)
		}
	}
	return results, nil
}
