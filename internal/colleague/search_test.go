package colleague

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"usersync/internal/identity"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// directory is a source that holds its people in memory, by company.
type directory struct {
	people map[string][]Candidate
	asked  [][]CandidateQuery
	err    error
}

func newDirectory(people ...Candidate) *directory {
	d := &directory{people: map[string][]Candidate{}}
	for _, p := range people {
		company := identity.Company(p.Email.Domain())
		d.people[company] = append(d.people[company], p)
	}
	return d
}

func (*directory) Name() string { return tenant.SourceDirectory }

func (d *directory) Find(_ context.Context, ask Ask) ([]Answer, error) {
	d.asked = append(d.asked, slices.Clone(ask.Queries))
	if d.err != nil {
		return nil, d.err
	}
	found := make([]Answer, len(ask.Queries))
	for i, q := range ask.Queries {
		found[i].People = d.people[q.Company]
	}
	return found, nil
}

func run(t testing.TB, settings tenant.Settings, targets []Target, sources ...Source) []Result {
	t.Helper()
	s := &Search{Own: sources}
	results, err := s.Run(t.Context(), nil, settings, targets)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(targets) {
		t.Fatalf("%d results for %d targets", len(results), len(targets))
	}
	return results
}

func TestAddressesThatTellNoCompanyAreSkipped(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"ann@gmail.com":          ReasonPersonalEmail,
		"Ann+x@Outlook.com":      ReasonPersonalEmail,
		"info@gmail.com":         ReasonPersonalEmail,
		"ann@mailinator.com":     ReasonDisposableEmail,
		"support@acme.example":   ReasonRoleAddress,
		"no-reply@acme.example":  ReasonRoleAddress,
		"ann@co.uk":              ReasonNoCompany,
		"ann@acme.example":       "",
		"ann@us.acme.example":    "",
		"ann@notgmail.example":   "",
		"ann@gmail.com.example":  "",
		"informal@acme.example":  "",
		"john.info@acme.example": "",
	}
	for address, reason := range tests {
		d := newDirectory(candidate(t, "ben@acme.example", "", "", ""))
		result := run(t, tenant.Settings{}, []Target{{Email: email(t, address)}}, d)[0]
		if result.Skipped != reason {
			t.Errorf("%s: skipped %q, want %q", address, result.Skipped, reason)
		}
		if asked := len(d.asked) > 0; asked != (reason == "") {
			t.Errorf("%s: source asked: %v", address, asked)
		}
	}
}

func TestNoAddressIsNoCompany(t *testing.T) {
	t.Parallel()
	if got := run(t, tenant.Settings{}, []Target{{}})[0].Skipped; got != ReasonNoCompany {
		t.Errorf("skipped %q", got)
	}
}

func TestADisabledSearchAsksNobody(t *testing.T) {
	t.Parallel()
	d, off := newDirectory(), false
	results := run(t, tenant.Settings{ColleaguesEnabled: &off}, []Target{{Email: email(t, "ann@acme.example")}, {Email: email(t, "ann@gmail.com")}}, d)
	for _, r := range results {
		if r.Skipped != ReasonColleaguesDisabled || r.Found != nil {
			t.Errorf("got %+v", r)
		}
	}
	if len(d.asked) > 0 {
		t.Error("the source was asked")
	}
}

func TestASourceIsAskedOnceForDistinctQueries(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	run(t, tenant.Settings{}, []Target{
		{Email: email(t, "a@acme.example"), Country: "DE", JobTitle: "Software Engineer"},
		{Email: email(t, "b@us.acme.example"), Country: "DE", JobTitle: "Senior Developer"},
		{Email: email(t, "c@gmail.com"), Country: "DE"},
		{Email: email(t, "c@acme.example"), Country: "FR", JobTitle: "Software Engineer"},
		{Email: email(t, "d@other.example"), Country: "DE"},
	}, d)
	want := [][]CandidateQuery{{
		{Company: "acme.example", Country: "DE", Department: "engineering"},
		{Company: "acme.example", Country: "FR", Department: "engineering"},
		{Company: "other.example", Country: "DE"},
	}}
	if !reflect.DeepEqual(d.asked, want) {
		t.Errorf("asked %v, want %v", d.asked, want)
	}
}

func TestAliasDomainsAreOneCompany(t *testing.T) {
	t.Parallel()
	settings := tenant.Settings{AliasDomains: [][]string{
		{"Acme.example", "acme.test", "gmail.com", "", "no domain"},
		{"mail.acme.test", "bücher.example"},
		{"other.example", "elsewhere.example"},
	}}
	d := newDirectory(
		candidate(t, "a@acme.example", "", "", ""),
		candidate(t, "b@eu.acme.test", "", "", ""),
		candidate(t, "c@xn--bcher-kva.example", "", "", ""),
		candidate(t, "d@other.example", "", "", ""),
		candidate(t, "e@gmail.com", "", "", ""),
	)
	want := []string{"a@acme.example", "b@eu.acme.test", "c@xn--bcher-kva.example"}
	for _, address := range []string{"ann@acme.example", "ann@acme.test", "ann@bücher.example", "ann@sub.acme.test"} {
		d.asked = nil
		if got := addresses(run(t, settings, []Target{{Email: email(t, address)}}, d)[0].Found); !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", address, got, want)
		}
		if len(d.asked[0]) != 3 {
			t.Errorf("%s: asked %v", address, d.asked)
		}
	}
}

func TestTargetsOfAliasDomainsShareTheirQueries(t *testing.T) {
	t.Parallel()
	settings := tenant.Settings{AliasDomains: [][]string{{"acme.test", "acme.example"}}}
	d := newDirectory(candidate(t, "ann@acme.example", "", "", ""), candidate(t, "ben@acme.test", "", "", ""))
	results := run(t, settings, []Target{{Email: email(t, "ann@acme.example")}, {Email: email(t, "ben@acme.test")}}, d)
	if len(d.asked[0]) != 2 {
		t.Errorf("asked %v", d.asked)
	}
	for i, want := range []string{"ben@acme.test", "ann@acme.example"} {
		if got := addresses(results[i].Found); !slices.Equal(got, []string{want}) {
			t.Errorf("found %v, want %s", got, want)
		}
	}
}

func TestASourceThatAnswersWithAnotherCompanyIsNotBelieved(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.people["acme.example"] = []Candidate{candidate(t, "ben@other.example", "", "", ""), candidate(t, "carl@acme.example", "", "", "")}
	if got := addresses(run(t, tenant.Settings{}, []Target{{Email: email(t, "ann@acme.example")}}, d)[0].Found); !slices.Equal(got, []string{"carl@acme.example"}) {
		t.Errorf("found %v", got)
	}
}

func TestTheOrderOfSourcesChangesNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	a, b := newDirectory(randomCandidates(t, random, 60)...), newDirectory(randomCandidates(t, random, 60)...)
	targets := []Target{{Email: email(t, "ann@acme.example"), Country: "DE", JobTitle: "Accountant"}}
	one, other := run(t, tenant.Settings{}, targets, a, b), run(t, tenant.Settings{}, targets, b, a)
	if len(one[0].Found) == 0 || !reflect.DeepEqual(one, other) {
		t.Errorf("found %v and %v", addresses(one[0].Found), addresses(other[0].Found))
	}
}

func TestOtherTargetsOfTheBatchChangeNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(11, 22))
	settings := tenant.Settings{AliasDomains: [][]string{{"other.example", "third.example"}}}
	for range 30 {
		people := randomCandidates(t, random, 150)
		d := newDirectory(people...)
		var targets []Target
		for i, p := range people[:40] {
			targets = append(targets, Target{Email: p.Email, Country: p.Country, JobTitle: p.JobTitle})
			targets = append(targets, Target{Email: email(t, fmt.Sprintf("new%d@third.example", i)), Country: p.Country})
		}
		together := run(t, settings, targets, d)
		for i, target := range targets {
			if alone := run(t, settings, []Target{target}, d)[0]; !reflect.DeepEqual(together[i], alone) {
				t.Fatalf("in the batch %v, alone %v", addresses(together[i].Found), addresses(alone.Found))
			}
		}
	}
}

func TestAFailedSourceFailsTheSearch(t *testing.T) {
	t.Parallel()
	unavailable := usersync.Errorf(usersync.CodeUnavailable, "The directory does not answer.")
	for _, test := range []struct {
		err  error
		code usersync.Code
	}{{unavailable, usersync.CodeUnavailable}, {errors.New("foreign"), usersync.CodeInternal}} {
		d := newDirectory()
		d.err = test.err
		s := &Search{Own: []Source{newDirectory(), d}}
		_, err := s.Run(t.Context(), nil, tenant.Settings{}, []Target{{Email: email(t, "ann@acme.example")}})
		if _, ok := errors.AsType[*usersync.Error](err); !ok || usersync.CodeOf(err) != test.code || !errors.Is(err, test.err) {
			t.Errorf("got %v, want code %s", err, test.code)
		}
	}
}

// silent is a source that breaks its promise of one list per query.
type silent struct{}

func (silent) Name() string { return tenant.SourceUsers }

func (silent) Find(context.Context, Ask) ([]Answer, error) {
	return nil, nil
}

func TestASourceThatLeavesQueriesOutFailsTheSearch(t *testing.T) {
	t.Parallel()
	s := &Search{Own: []Source{silent{}}}
	_, err := s.Run(t.Context(), nil, tenant.Settings{}, []Target{{Email: email(t, "ann@acme.example")}})
	if usersync.CodeOf(err) != usersync.CodeInternal {
		t.Errorf("got %v", err)
	}
}
