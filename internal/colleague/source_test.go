package colleague

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// service is a directory service: it may fail, for all or for one company.
type service struct {
	*directory
	failing map[string]error
}

func (service) Name() string { return tenant.SourceHunter }

func (s service) Find(ctx context.Context, ask Ask) ([]Answer, error) {
	found, err := s.directory.Find(ctx, ask)
	for i, q := range ask.Queries {
		if err == nil && s.failing[q.Company] != nil {
			found[i].Err = s.failing[q.Company]
		}
	}
	return found, err
}

// everySource are settings with all sources on.
var everySource = tenant.Settings{ColleagueSources: []tenant.ColleagueSource{
	{Name: tenant.SourceUsers}, {Name: tenant.SourceDirectory}, {Name: tenant.SourceHunter, URL: "https://hunter.example"},
}}

// newOrg returns an organization that has nobody.
func newOrg(t *testing.T) *store.Org {
	t.Helper()
	s := storetest.Open(t, storetest.Options(t, "sqlite"))
	o, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	return s.Org(o.ID)
}

func TestOnlySourcesThatAreOnAreAsked(t *testing.T) {
	t.Parallel()
	org, target := newOrg(t), Target{Email: email(t, "ann@acme.example")}
	for name, test := range map[string]struct {
		settings       tenant.Settings
		own, elsewhere int
	}{
		"by default our own":  {tenant.Settings{}, 1, 0},
		"the service":         {tenant.Settings{ColleagueSources: []tenant.ColleagueSource{{Name: tenant.SourceHunter}}}, 0, 1},
		"another of our own":  {tenant.Settings{ColleagueSources: []tenant.ColleagueSource{{Name: tenant.SourceUsers}}}, 0, 0},
		"all that were named": {everySource, 1, 1},
	} {
		own, elsewhere := newDirectory(), service{directory: newDirectory()}
		s := &Search{Own: []Source{own}, Services: []Source{elsewhere}}
		if _, err := s.Run(t.Context(), org, test.settings, []Target{target}); err != nil {
			t.Fatal(err)
		}
		if len(own.asked) != test.own || len(elsewhere.asked) != test.elsewhere {
			t.Errorf("%s: own asked %d times, service %d times", name, len(own.asked), len(elsewhere.asked))
		}
	}
}

func TestSourcesInOurOwnTablesShareOneReading(t *testing.T) {
	t.Parallel()
	org, queries := newOrg(t), []CandidateQuery{{Company: "acme.example"}}
	for name, test := range map[string]struct {
		settings tenant.Settings
		want     []string
	}{
		"by default both":     {tenant.Settings{}, []string{tenant.SourceDirectory, tenant.SourceUsers}},
		"without the service": {everySource, []string{tenant.SourceDirectory, tenant.SourceUsers}},
		"one alone":           {tenant.Settings{ColleagueSources: []tenant.ColleagueSource{{Name: tenant.SourceUsers}}}, []string{tenant.SourceUsers}},
		"neither":             {tenant.Settings{ColleagueSources: []tenant.ColleagueSource{{Name: tenant.SourceHunter}}}, nil},
	} {
		read := readOnce(t.Context(), org, test.settings, queries)
		first, err := read()
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(first)), test.want) {
			t.Errorf("%s: read %v: %v", name, first, err)
		}
		if again, _ := read(); reflect.ValueOf(again).Pointer() != reflect.ValueOf(first).Pointer() {
			t.Errorf("%s: read twice", name)
		}
	}
}

func TestASourceGetsItsSettings(t *testing.T) {
	t.Parallel()
	var got Ask
	probe := recorder{&got}
	if _, err := (&Search{Services: []Source{probe}}).Run(t.Context(), newOrg(t), everySource, []Target{{Email: email(t, "ann@acme.example")}}); err != nil {
		t.Fatal(err)
	}
	if got.Settings.URL != "https://hunter.example" || got.Org == nil {
		t.Errorf("asked with %+v", got)
	}
}

type recorder struct{ ask *Ask }

func (recorder) Name() string { return tenant.SourceHunter }

func (r recorder) Find(_ context.Context, ask Ask) ([]Answer, error) {
	*r.ask = ask
	return make([]Answer, len(ask.Queries)), nil
}

func TestAFailingServiceIsDoneWithoutAndNamed(t *testing.T) {
	t.Parallel()
	org := newOrg(t)
	limited := usersync.Errorf(usersync.CodeRateLimited, "Later.")
	settings := everySource
	settings.AliasDomains = [][]string{{"acme.example", "acme.test"}}
	targets := []Target{{Email: email(t, "ann@acme.example")}, {Email: email(t, "ann@other.example")}, {Email: email(t, "ann@gmail.com")}}
	for name, test := range map[string]struct {
		err       error
		failing   map[string]error
		wantFound []string // of the first target
		want      [][]usersync.Code
	}{
		"as a whole":       {errors.New("broken"), nil, []string{"ben@acme.example"}, [][]usersync.Code{{usersync.CodeInternal}, {usersync.CodeInternal}, nil}},
		"for one company":  {nil, map[string]error{"acme.example": limited}, []string{"ben@acme.example", "carl@acme.example"}, [][]usersync.Code{{usersync.CodeRateLimited}, nil, nil}},
		"for one alias":    {nil, map[string]error{"acme.test": limited}, []string{"ben@acme.example", "carl@acme.example"}, [][]usersync.Code{{usersync.CodeRateLimited}, nil, nil}},
		"for both aliases": {nil, map[string]error{"acme.test": limited, "acme.example": limited}, []string{"ben@acme.example", "carl@acme.example"}, [][]usersync.Code{{usersync.CodeRateLimited}, nil, nil}},
		"not at all":       {nil, nil, []string{"ben@acme.example", "carl@acme.example"}, [][]usersync.Code{nil, nil, nil}},
	} {
		own := newDirectory(candidate(t, "ben@acme.example", "", "", ""))
		elsewhere := service{newDirectory(candidate(t, "carl@acme.example", "", "", "")), test.failing}
		elsewhere.err = test.err
		results, err := (&Search{Own: []Source{own}, Services: []Source{elsewhere}}).Run(t.Context(), org, settings, targets)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := addresses(results[0].Found); !slices.Equal(got, test.wantFound) {
			t.Errorf("%s: found %v, want %v", name, got, test.wantFound)
		}
		for i, r := range results {
			var codes []usersync.Code
			for _, u := range r.Unanswered {
				if u.Source != tenant.SourceHunter {
					t.Errorf("%s: %s did not answer", name, u.Source)
				}
				codes = append(codes, u.Err.Code)
			}
			if !slices.Equal(codes, test.want[i]) {
				t.Errorf("%s: target %d lacks %v, want %v", name, i, codes, test.want[i])
			}
		}
	}
}

func TestTheEndOfARunIsNoFailureOfTheService(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	elsewhere := service{directory: newDirectory()}
	elsewhere.err = context.Canceled
	_, err := (&Search{Services: []Source{elsewhere}}).Run(ctx, newOrg(t), everySource, []Target{{Email: email(t, "ann@acme.example")}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAServicesPeopleAreKnownByWhatTheOrganizationKnows(t *testing.T) {
	t.Parallel()
	org := newOrg(t)
	people := newDirectory(Candidate{Email: email(t, "ben@acme.example"), Name: "Ben Bold", JobTitle: "Senior Software Engineer", IsUser: true, Status: Deleted})
	before := people.people["acme.example"][0]
	s := &Search{Services: []Source{service{directory: people}}}
	results, err := s.Run(t.Context(), org, everySource, []Target{{Email: email(t, "ann@acme.example"), JobTitle: "Software Engineer"}})
	if err != nil || len(results[0].Found) != 1 {
		t.Fatalf("%+v, %v", results, err)
	}
	got := results[0].Found[0]
	if got.IsUser || got.Status != "" || got.Department != "engineering" || got.Seniority != 3 {
		t.Errorf("got %+v: it is the organization that says who is a user", got.Candidate)
	}
	if !reflect.DeepEqual(before, people.people["acme.example"][0]) {
		t.Error("the search changed the service's answer")
	}
}
