package colleague_test

import (
	"database/sql"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"usersync/internal/colleague"
	"usersync/internal/directory"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// staff is a number of people of one office of acme.example.
type staff struct {
	prefix, country, department string
	n                           int
}

// employed is one of them; a higher number is newer, and no two are as new.
type employed struct {
	staff
	number int
	isNew  int
}

func (e employed) address() string { return fmt.Sprintf("%s%03d@acme.example", e.prefix, e.number) }

// employ imports people and returns them, newest first.
func employ(t *testing.T, n roomtest.Tenant, db *sql.DB, offices ...staff) []employed {
	t.Helper()
	var all []employed
	for place, o := range offices {
		for i := range o.n {
			all = append(all, employed{staff: o, number: i, isNew: 1000 + 100*i + place})
		}
	}
	slices.SortFunc(all, func(a, b employed) int { return b.isNew - a.isNew })
	people := make([]directory.Person, len(all))
	for i, e := range all {
		people[i] = directory.Person{Email: usersync.NewEmail(e.address(), e.address()), Country: e.country,
			Identity: user.Identity{Key: e.address(), Company: "acme.example", Department: e.department}}
	}
	if err := directory.SavePeople(t.Context(), n.Org(n.Organization.ID), n.Organization.Salt, people); err != nil {
		t.Fatal(err)
	}
	for place, o := range offices {
		roomtest.Execute(t, db, `UPDATE people SET updated_at = 1000 + 100 * CAST(substr(email_key, 2, 3) AS integer) + $1
			WHERE organization_id = $2 AND email_key LIKE $3`, place, n.Organization.ID, o.prefix+"%")
	}
	return all
}

func directoryOf(t *testing.T, n roomtest.Tenant, query colleague.CandidateQuery) []string {
	t.Helper()
	return keysOf(peopleOf(t, n, tenant.SourceDirectory, query)[0])
}

// peopleOf asks one source.
func peopleOf(t *testing.T, n roomtest.Tenant, source string, queries ...colleague.CandidateQuery) [][]colleague.Candidate {
	t.Helper()
	found, err := colleague.Candidates(t.Context(), n.Org(n.Organization.ID), []string{source}, queries)
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v: %v", found, err)
	}
	return found[source]
}

func keysOf(candidates []colleague.Candidate) []string {
	list := []string{}
	for _, c := range candidates {
		list = append(list, c.Email.Key())
	}
	slices.Sort(list)
	return list
}

// expected is what the parts of a company are read for, one after the other.
func expected(all []employed, country, department string) []string {
	sameCountry := func(e employed) bool { return country != "" && e.country == country }
	sameDepartment := func(e employed) bool { return department != "" && e.department == department }
	list := []string{}
	take := func(wanted func(employed) bool) {
		for _, e := range all {
			if wanted(e) && len(list) < colleague.CandidatesPerQuery {
				list = append(list, e.address())
			}
		}
	}
	take(func(e employed) bool { return sameCountry(e) && sameDepartment(e) })
	take(func(e employed) bool { return sameCountry(e) && !sameDepartment(e) })
	take(func(e employed) bool { return !sameCountry(e) && sameDepartment(e) })
	for _, d := range []string{"", "design", "legal", "sales"} {
		take(func(e employed) bool { return !sameCountry(e) && !sameDepartment(e) && e.department == d })
	}
	slices.Sort(list)
	return list
}

func TestCandidatesAreTheNewestOfTheNearestPartsOfACompany(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		all := employ(t, n, db, staff{"a", "DE", "sales", 150}, staff{"b", "DE", "legal", 30}, staff{"c", "DE", "", 60},
			staff{"d", "FR", "legal", 60}, staff{"e", "US", "design", 60}, staff{"f", "US", "sales", 5}, staff{"g", "", "", 20})
		employ(t, roomtest.New(t, s, 0), db, staff{"o", "DE", "sales", 5})
		for name, query := range map[string]colleague.CandidateQuery{
			"a large office":                 {Country: "DE", Department: "sales"},
			"a small office":                 {Country: "DE", Department: "legal"},
			"a department elsewhere":         {Country: "NO", Department: "legal"},
			"a small office and the rest":    {Country: "US", Department: "sales"},
			"a small country":                {Country: "FR", Department: "design"},
			"no department":                  {Country: "DE"},
			"no country":                     {Department: "legal"},
			"neither country nor department": {},
		} {
			t.Run(name, func(t *testing.T) {
				query.Company = "acme.example"
				if got, want := directoryOf(t, n, query), expected(all, query.Country, query.Department); !slices.Equal(got, want) {
					t.Errorf("got %v\nwant %v", got, want)
				}
			})
		}
	})
}

func TestQueriesAtOnceAreAnsweredLikeQueriesAlone(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		employ(t, n, db, staff{"a", "DE", "sales", 120}, staff{"b", "FR", "legal", 30})
		queries := []colleague.CandidateQuery{{"acme.example", "DE", "sales"}, {"nobody.example", "DE", "sales"}, {"acme.example", "FR", ""}, {"acme.example", "", "legal"}}
		together := peopleOf(t, n, tenant.SourceDirectory, queries...)
		for i, q := range queries {
			if got, want := keysOf(together[i]), directoryOf(t, n, q); !slices.Equal(got, want) {
				t.Errorf("%v: got %d together, %d alone", q, len(got), len(want))
			}
		}
	})
}

// bothSources are the sources that one statement asks where both are on.
var bothSources = []string{tenant.SourceUsers, tenant.SourceDirectory}

func TestSourcesAskedTogetherAnswerLikeEachAlone(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 2)
		employ(t, n, db, staff{"a", "DE", "sales", 90}, staff{"b", "FR", "legal", 30})
		makeByHand(t, n, db, "hand@acme.example", "acme.example", "sales", "invited")
		makeByHand(t, n, db, "a001@acme.example", "acme.example", "legal", "deleted")
		n.Accept(t, n.Submission(n.Acceptance("a000@acme.example")))
		n.Accept(t, n.Submission(n.Acceptance("user@acme.example")))
		queries := []colleague.CandidateQuery{{"acme.example", "DE", "sales"}, {"nobody.example", "DE", ""}, {"acme.example", "FR", "legal"}}
		together, err := colleague.Candidates(t.Context(), n.Org(n.Organization.ID), bothSources, queries)
		if err != nil || len(together) != len(bothSources) {
			t.Fatalf("%d sources answered: %v", len(together), err)
		}
		for _, source := range bothSources {
			alone := peopleOf(t, n, source, queries...)
			for i := range queries {
				byKey := func(a, b colleague.Candidate) int { return strings.Compare(a.Email.Key(), b.Email.Key()) }
				slices.SortFunc(alone[i], byKey)
				slices.SortFunc(together[source][i], byKey)
				if !reflect.DeepEqual(alone[i], together[source][i]) {
					t.Errorf("%s, query %d: got %v together, %v alone", source, i, keysOf(together[source][i]), keysOf(alone[i]))
				}
			}
		}
		if len(together[tenant.SourceUsers][0]) != 4 || len(together[tenant.SourceDirectory][0]) != colleague.CandidatesPerQuery {
			t.Errorf("found %d users and %d people", len(together[tenant.SourceUsers][0]), len(together[tenant.SourceDirectory][0]))
		}
	})
}

// makeByHand makes a colleague as the call that creates one does.
func makeByHand(t *testing.T, n roomtest.Tenant, db *sql.DB, address, company, department, status string) {
	t.Helper()
	roomtest.Execute(t, db, `INSERT INTO colleagues (id, organization_id, email_key, email, name, job_title, status, company, department, seniority, created_at, updated_at)
		VALUES ($1, $2, $3, $3, 'By Hand', 'Clerk', $4, $5, $6, 2, 7, 8)`, usersync.NewID(usersync.PrefixColleague), n.Organization.ID, address, status, company, department)
}

func TestColleaguesMadeByHandAreCandidatesBesideUsers(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		makeByHand(t, n, db, "hand@acme.example", "acme.example", "sales", "invited")
		makeByHand(t, n, db, "clerk@acme.example", "acme.example", "", "pending")
		makeByHand(t, n, db, "found@acme.example", "", "", "pending")
		makeByHand(t, n, db, "else@other.example", "other.example", "", "pending")
		makeByHand(t, n, db, "user@acme.example", "", "", "deleted")
		n.Accept(t, n.Submission(n.Acceptance("user@acme.example")))
		found := peopleOf(t, n, tenant.SourceUsers, colleague.CandidateQuery{Company: "acme.example", Department: "sales"})
		if got := keysOf(found[0]); !slices.Equal(got, []string{"clerk@acme.example", "hand@acme.example", "user@acme.example"}) {
			t.Fatalf("found %v", got)
		}
		for _, c := range found[0] {
			switch c.Email.Local() {
			case "hand":
				if c.IsUser || c.Status != "invited" || c.Name != "By Hand" || c.JobTitle != "Clerk" || c.Department != "sales" || c.Seniority != 2 || c.UpdatedAt != 8 {
					t.Errorf("got %+v", c)
				}
			case "user":
				if !c.IsUser || c.Status != colleague.Deleted || c.Name != "F" || c.Country != "US" {
					t.Errorf("got %+v", c)
				}
			}
		}
	})
}

func TestAPersonOfTheDirectoryIsKnownAsAUser(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 1)
		employ(t, n, db, staff{"a", "DE", "", 2})
		n.Accept(t, n.Submission(n.Acceptance("a000@acme.example")))
		found := peopleOf(t, n, tenant.SourceDirectory, colleague.CandidateQuery{Company: "acme.example"})
		if len(found[0]) != 2 {
			t.Fatal(found)
		}
		for _, c := range found[0] {
			if want := c.Email.Local() == "a000"; c.IsUser != want {
				t.Errorf("%s is a user: %v", c.Email.Local(), c.IsUser)
			}
		}
	})
}

func TestStandingsAreTheOrganizationsOwn(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := roomtest.New(t, s, 1), roomtest.New(t, s, 1)
		n.Accept(t, n.Submission(n.Acceptance("user@acme.example")))
		makeByHand(t, n, db, "gone@acme.example", "", "", "deleted")
		other.Accept(t, other.Submission(other.Acceptance("stranger@acme.example")))
		got, err := colleague.Standings(t.Context(), n.Org(n.Organization.ID), []string{"user@acme.example", "gone@acme.example", "stranger@acme.example"})
		want := map[string]colleague.Standing{"user@acme.example": {IsUser: true}, "gone@acme.example": {Status: "deleted"}, "stranger@acme.example": {}}
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("got %v, want %v (%v)", got, want, err)
		}
	})
}

// TestCandidatesAreReadByTheirIndexes is about large companies: a part read by
// another index than its own is read as a whole. A plan made while nothing is
// known of the tables may be kept while they grow.
func TestCandidatesAreReadByTheirIndexes(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		checkCandidatePlans(t, n)
		employ(t, n, db, staff{"a", "DE", "sales", 5})
		checkCandidatePlans(t, n)
	})
}

func checkCandidatePlans(t *testing.T, n roomtest.Tenant) {
	t.Helper()
	users, people := []string{"users_office", "users_country", "users_department", "colleagues_company"}, []string{"people_office", "people_country", "people_department"}
	for _, asked := range []struct{ sources, indexes []string }{
		{bothSources, slices.Concat(users, people)}, {bothSources[:1], users}, {bothSources[1:], people},
	} {
		plan, err := colleague.ExplainCandidates(t.Context(), n.Org(n.Organization.ID), asked.sources, []colleague.CandidateQuery{{"acme.example", "DE", "sales"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range asked.indexes {
			if !strings.Contains(plan, index) {
				t.Errorf("%v are not read by %s:\n%s", asked.sources, index, plan)
			}
		}
		for _, bad := range []string{"Seq Scan", "Sort", "TEMP B-TREE", "SCAN x", "SCAN p\n", "SCAN u\n", "Bitmap", "Materialize", "hashed"} {
			if strings.Contains(plan, bad) {
				t.Errorf("%v are read with %q:\n%s", asked.sources, bad, plan)
			}
		}
	}
}

// A part of a company is read in the order of its index up to the limit. What
// PostgreSQL knows of the average company, which is small, must not make it read
// the whole of a large one and sort it.
func TestTheSearchReadsNoMoreOfALargeCompany(t *testing.T) {
	t.Parallel()
	s, db := roomtest.OpenWithSQL(t, "postgres")
	n := roomtest.New(t, s, 0)
	for _, table := range []string{"people", "users"} {
		roomtest.Execute(t, db, `
INSERT INTO `+table+` (id, organization_id, email_key, email, person_key, company, country, department, created_at, updated_at)
SELECT '`+table+`_' || i, $1, 'p' || i || '@' || company, '', '', company, 'US', (ARRAY['sales', 'legal', 'hr'])[1 + i % 3], i, i
FROM (SELECT i, CASE WHEN i % 2 = 0 THEN 'large.example' ELSE 'small' || i / 20 || '.example' END AS company FROM generate_series(1, 20000) AS i) AS made`, n.Organization.ID)
	}
	roomtest.Execute(t, db, "ANALYZE")
	for _, department := range []string{"sales", "engineering"} {
		plan, err := colleague.ExplainCandidates(t.Context(), n.Org(n.Organization.ID), bothSources, []colleague.CandidateQuery{{Company: "large.example", Country: "US", Department: department}})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(plan, "Sort") || roomtest.PagesOf(plan) > 1600 {
			t.Errorf("%s: %d pages\n%s", department, roomtest.PagesOf(plan), plan)
		}
	}
}
