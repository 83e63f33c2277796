package colleague

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"usersync/internal/identity"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Source is where colleagues are looked for.
type Source interface {
	// Name is one of tenant.Sources: organizations switch a source on by its name.
	Name() string
	// Find gives one answer per query, in the order of the queries. It may
	// answer with people who are no colleagues: the search leaves them out.
	// Queries may name the same company with another country or department. An
	// error stands for all queries. The search only reads what Find returns.
	Find(ctx context.Context, ask Ask) ([]Answer, error)
}

// Ask is what a source is asked.
type Ask struct {
	Org      *store.Org
	Settings tenant.ColleagueSource
	Queries  []CandidateQuery
	// Stored is what Candidates holds for the queries, by source, for all sources
	// in our own tables that are on: they share one trip to the database.
	Stored func() (map[string][][]Candidate, error)
}

// Answer is what a source knows for one query.
type Answer struct {
	// People are in no order. Of those of a service only what it knows need be
	// set: address, name, job title, country, company, website, photo and when
	// that was last seen (UpdatedAt).
	People []Candidate
	// Err says why this query has no answer, or not a whole one.
	Err error
}

// Users are the organization's users and the colleagues it made by hand.
type Users struct{}

// Name is tenant.SourceUsers.
func (Users) Name() string { return tenant.SourceUsers }

// Find takes its part of what is stored.
func (Users) Find(_ context.Context, ask Ask) ([]Answer, error) {
	return ask.stored(tenant.SourceUsers)
}

// Directory is the people that the organization imported.
type Directory struct{}

// Name is tenant.SourceDirectory.
func (Directory) Name() string { return tenant.SourceDirectory }

// Find takes its part of what is stored.
func (Directory) Find(_ context.Context, ask Ask) ([]Answer, error) {
	return ask.stored(tenant.SourceDirectory)
}

// stored returns the answers of one source in our own tables.
func (a Ask) stored(source string) ([]Answer, error) {
	found, err := a.Stored()
	out := make([]Answer, len(found[source]))
	for i, people := range found[source] {
		out[i].People = people
	}
	return out, err
}

// storedSources are the sources in our own tables.
var storedSources = []string{tenant.SourceUsers, tenant.SourceDirectory}

// readOnce returns a reading of our own tables that is made when the first source
// asks for it, for all sources that are on.
func readOnce(ctx context.Context, org *store.Org, settings tenant.Settings, queries []CandidateQuery) func() (map[string][][]Candidate, error) {
	return sync.OnceValues(func() (map[string][][]Candidate, error) {
		var sources []string
		for _, name := range storedSources {
			if _, ok := settings.Source(name); ok {
				sources = append(sources, name)
			}
		}
		return Candidates(ctx, org, sources, queries)
	})
}

// serviceWithin is how long a service may take for all queries of a run: a
// small part of a run's time, for others wait behind it.
const serviceWithin = 10 * time.Second

// answered is what one source said to all queries.
type answered struct {
	source    string
	isService bool
	answers   []Answer // one per query
}

// ask asks the sources that are on, all at once.
func (s *Search) ask(ctx context.Context, org *store.Org, settings tenant.Settings, queries []CandidateQuery) ([]answered, error) {
	var asked errgroup.Group
	stored := readOnce(ctx, org, settings, queries)
	all := make([]answered, 0, len(s.Own)+len(s.Services))
	begin := func(source Source, isService bool, find func(context.Context, Source, Ask) ([]Answer, error)) {
		on, ok := settings.Source(source.Name())
		if !ok {
			return
		}
		all = append(all, answered{source: source.Name(), isService: isService})
		answer := &all[len(all)-1]
		asked.Go(func() (err error) {
			answer.answers, err = find(ctx, source, Ask{org, on, queries, stored})
			return err
		})
	}
	for _, source := range s.Own {
		begin(source, false, askOwn)
	}
	for _, service := range s.Services {
		begin(service, true, askService)
	}
	if err := asked.Wait(); err != nil {
		return nil, usersync.AsError(err)
	}
	return all, nil
}

// askOwn asks a source of our own. Its failure for one query fails all of them.
func askOwn(ctx context.Context, source Source, ask Ask) ([]Answer, error) {
	found, err := find(ctx, source, ask)
	if err != nil {
		return nil, err
	}
	for _, a := range found {
		if a.Err != nil {
			return nil, a.Err
		}
	}
	return found, nil
}

func find(ctx context.Context, source Source, ask Ask) ([]Answer, error) {
	found, err := source.Find(ctx, ask)
	if err == nil && len(found) != len(ask.Queries) {
		return nil, usersync.Errorf(usersync.CodeInternal, "The colleague source %s answered %d of %d queries.", source.Name(), len(found), len(ask.Queries))
	}
	return found, err
}

// askService asks a service. A failure of the service stands in the answers. The error
// is one of our own: the run has ended, or the database does not answer.
func askService(ctx context.Context, service Source, ask Ask) ([]Answer, error) {
	limited, cancel := context.WithTimeout(ctx, serviceWithin)
	defer cancel()
	found, err := find(limited, service, ask)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		found = make([]Answer, len(ask.Queries))
		for i := range found {
			found[i].Err = err
		}
		return found, nil
	}
	return introduce(ctx, ask.Org, found)
}

// introduce returns a service's answers with what follows from them, and with
// what the organization knows of the people: who is a user, and who was
// deleted.
func introduce(ctx context.Context, org *store.Org, found []Answer) ([]Answer, error) {
	var keys []string
	for _, a := range found {
		for _, p := range a.People {
			keys = append(keys, p.Email.Key())
		}
	}
	standings, err := Standings(ctx, org, keys)
	if err != nil {
		return nil, fmt.Errorf("compare the answers with what is known: %w", err)
	}
	introduced := make([]Answer, len(found))
	for i, a := range found {
		introduced[i].Err = a.Err
		for _, p := range a.People {
			known := standings[p.Email.Key()]
			p.IsUser, p.Status = known.IsUser, known.Status
			p.Department, p.Seniority = identity.Department(p.JobTitle), identity.Seniority(p.JobTitle)
			introduced[i].People = append(introduced[i].People, p)
		}
	}
	return introduced, nil
}

// unanswered returns the services that did not answer all the group's queries.
func (g *group) unanswered(answers []answered) []Unanswered {
	var missing []Unanswered
	for _, a := range answers {
		if !a.isService {
			continue
		}
		for _, answer := range a.answers[g.firstQuery : g.firstQuery+len(g.companies)] {
			if answer.Err != nil {
				missing = append(missing, Unanswered{a.source, usersync.AsError(answer.Err)})
				break
			}
		}
	}
	return missing
}
