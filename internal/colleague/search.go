// Package colleague is the colleague search: who works at the same company as
// a user, best match first. Where people are looked for is behind Source; who
// counts and in what order is decided here, from what the sources know and
// nothing else: no clock, no chance.
package colleague

import (
	"context"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Target is a user whose colleagues are looked for.
type Target struct {
	Email    usersync.Email
	Country  string // ISO 3166-1 alpha-2, "" when unknown
	JobTitle string // as the caller sent it, "" when unknown
}

// Result is what the search for one target ends in.
type Result struct {
	// Skipped says why nobody was looked for: one of usersync.Reason…, or ""
	// when the search ran.
	Skipped string
	// Found holds at most MaxColleagues people, best first.
	Found []Match
}

// Match is a colleague that was found, how well they match and why.
type Match struct {
	store.Candidate
	Score   float64  // 0 to 1, two decimals
	Reasons []string // the Reason constants of this package
}

// Source is where colleagues are looked for. Find answers one list per query,
// in the order of the queries; a list itself is in no order. It may return
// people who are no colleagues: the search leaves them out. Department and
// Seniority of a candidate are those person.Department and person.Seniority
// give for the job title. The search only reads what Find returns.
type Source interface {
	Find(ctx context.Context, org *store.Org, queries []store.CandidateQuery) ([][]store.Candidate, error)
}

// Own is the organization's own users and the people it imported.
type Own struct{}

// Find reads the candidates from the store.
func (Own) Find(ctx context.Context, org *store.Org, queries []store.CandidateQuery) ([][]store.Candidate, error) {
	return org.Candidates(ctx, queries)
}

// Search finds the colleagues of users of one organization.
type Search struct {
	// Sources are asked in this order; the order does not change what is found.
	Sources []Source
}

// Run searches for all targets at once and returns one result each, in their
// order. Every source is asked once, and not at all when every target is
// skipped. What is found for a target depends on nothing but that target, the
// settings and the candidates of its own queries. An error is that of the
// first source that failed, as *usersync.Error.
func (s *Search) Run(ctx context.Context, org *store.Org, settings usersync.Settings, targets []Target) ([]Result, error) {
	results := make([]Result, len(targets))
	if !settings.Colleagues() {
		for i := range results {
			results[i].Skipped = usersync.ReasonColleaguesDisabled
		}
		return results, nil
	}
	p := newPlan(settings.AliasDomains)
	wanted := make([]*group, len(targets))
	for i, t := range targets {
		wanted[i], results[i].Skipped = p.add(t)
	}
	if len(p.queries) == 0 {
		return results, nil
	}
	answers, err := s.ask(ctx, org, p.queries)
	if err != nil {
		return nil, err
	}
	for i, g := range wanted {
		if g != nil {
			results[i].Found = rank(targets[i], g.members(answers))
		}
	}
	return results, nil
}

// ask returns the answers by source and query.
func (s *Search) ask(ctx context.Context, org *store.Org, queries []store.CandidateQuery) ([][][]store.Candidate, error) {
	answers := make([][][]store.Candidate, 0, len(s.Sources))
	for _, source := range s.Sources {
		found, err := source.Find(ctx, org, queries)
		if err != nil {
			return nil, usersync.AsError(err)
		}
		if len(found) != len(queries) {
			return nil, usersync.Errorf(usersync.CodeInternal, "A colleague source answered %d of %d queries.", len(found), len(queries))
		}
		answers = append(answers, found)
	}
	return answers, nil
}
