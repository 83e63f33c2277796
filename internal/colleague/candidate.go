package colleague

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Candidate is a person who may be a colleague.
type Candidate struct {
	Email       usersync.Email
	Key         string // the address without +tag; set by the search
	Name        string
	JobTitle    string
	Country     string
	Department  string
	Seniority   int
	CompanyName string
	Website     string
	Photo       string
	IsUser      bool
	UpdatedAt   int64 // microseconds
	// Status is that of the colleague record there is; "" when there is none.
	Status Status
}

// CandidateQuery asks for the people of one company, those of the same country
// and department first. An empty country or department is nobody's.
type CandidateQuery struct{ Company, Country, Department string }

// CandidatesPerQuery bounds what one query reads of each table: the 50
// colleagues that are kept, and room for those that are left out.
const CandidatesPerQuery = 80

// A part is some of the people of a company, in the order of the one index that
// fits: the work for a part is bounded by CandidatesPerQuery, however large the
// company is. No person is in two parts of a query. The organization stands in the
// joined key and nowhere else by itself: planned while the table was almost empty,
// PostgreSQL would take any index that begins with it, and read all its people.
const (
	office = `x.organization_id || '/' || x.company || '/' || x.country || '/' || x.department = $1 || '/' || wanted.company || '/' || wanted.country || '/' || wanted.department
            ORDER BY x.{changed} DESC, x.id`
	country = `x.organization_id || '/' || x.company || '/' || x.country = $1 || '/' || wanted.company || '/' || wanted.country AND x.department <> wanted.department
            ORDER BY x.{changed} DESC, x.id`
	department = `x.organization_id || '/' || x.company || '/' || x.department = $1 || '/' || wanted.company || '/' || wanted.department AND x.country <> wanted.country
            ORDER BY x.{changed} DESC, x.id`
	// others are too unlike to be worth an index of their own: the departments
	// one after the other, the newest of each first. '0' is behind '/'.
	others = `x.organization_id || '/' || x.company || '/' || x.department >= $1 || '/' || wanted.company || '/' AND x.organization_id || '/' || x.company || '/' || x.department < $1 || '/' || wanted.company || '0'
            AND x.department <> wanted.department AND x.country <> wanted.country
            ORDER BY x.organization_id || '/' || x.company || '/' || x.department, x.{changed} DESC, x.id`

	// Of a colleague made by hand no country is known.
	anyCountry = `x.organization_id || '/' || x.company || '/' || x.department = $1 || '/' || wanted.company || '/' || wanted.department
            ORDER BY x.{changed} DESC, x.id`
	anyOthers = `x.organization_id || '/' || x.company || '/' || x.department >= $1 || '/' || wanted.company || '/' AND x.organization_id || '/' || x.company || '/' || x.department < $1 || '/' || wanted.company || '0'
            AND x.department <> wanted.department
            ORDER BY x.organization_id || '/' || x.company || '/' || x.department, x.{changed} DESC, x.id`
)

// candidatesText reads, for each query, part after part until there are
// enough: a later part is not begun when the earlier ones filled the limit. The
// limit stands in the text: SQLite prepares a statement anew for every value of
// a parameter that is a limit.
// What else is known of a person is looked up by value, one at a time: a join
// could be turned into reading the whole of the other table.
const candidatesText = `
WITH wanted AS (SELECT * FROM {rows}), ids AS (
    SELECT wanted.n, each.value AS place FROM wanted {each}SELECT one FROM ({parts}
    ) AS parts LIMIT {limit}{/each}
)
SELECT ids.n, p.email, p.email_key, {profile}, p.job_title, p.department, p.seniority, p.updated_at, {user},
    coalesce((SELECT c.status FROM colleagues c WHERE c.organization_id = $1 AND c.email_key = p.email_key), '')
FROM ids JOIN {table} p ON p.{row} = ids.place`

const partText = `
        SELECT one FROM (SELECT x.{row} AS one FROM {table} x WHERE x.organization_id || '' = $1 AND x.company <> ''
            AND {part} LIMIT {limit}) AS part`

// isUserText asks whether an address is a user's. It is a value and no EXISTS,
// for which PostgreSQL would rather read all users once.
const isUserText = `(SELECT 1 FROM users u WHERE u.organization_id = $1 AND u.email_key = p.email_key) IS NOT NULL`

// candidateTable is a table that people are looked for in.
type candidateTable struct {
	statement string // the name of the statement
	name      string
	changed   string // the time by which its indexes order people
	profile   string // name, country, company_name, website, photo
	user      string // whether the person is a user
	parts     []string
}

func (t candidateTable) define() *store.Statement {
	var parts []string
	for _, p := range t.parts {
		parts = append(parts, strings.ReplaceAll(partText, "{part}", p))
	}
	body := strings.ReplaceAll(candidatesText, "{parts}", strings.Join(parts, "\n        UNION ALL"))
	return store.Define(t.statement, strings.NewReplacer("{table}", t.name, "{changed}", t.changed, "{profile}", t.profile, "{user}", t.user, "{limit}", strconv.Itoa(CandidatesPerQuery)).Replace(body),
		store.Col("n", store.Bigint), store.Col("company", store.Text), store.Col("country", store.Text), store.Col("department", store.Text)).Unsorted()
}

var userCandidates = candidateTable{
	statement: "colleague.userCandidates",
	name:      "users", changed: "created_at", user: "true", parts: []string{office, country, department, others},
	profile: `CASE WHEN p.name <> '' THEN p.name ELSE trim(p.first_name || ' ' || p.last_name) END, p.country, '', '', ''`,
}.define()

// handMadeCandidates are colleagues made by hand: of the colleague records only
// they have a company, the others were found in the tables beside it.
var handMadeCandidates = candidateTable{
	statement: "colleague.handMadeCandidates",
	name:      "colleagues", changed: "created_at", user: isUserText, parts: []string{anyCountry, anyOthers},
	profile: "p.name, '', p.company_name, p.website, p.photo",
}.define()

var peopleCandidates = candidateTable{
	statement: "colleague.peopleCandidates",
	name:      "people", changed: "updated_at", user: isUserText, parts: []string{office, country, department, others},
	profile: "p.name, p.country, p.company_name, p.website, p.photo",
}.define()

// UserCandidates answers many queries at once from the organization's users
// and the colleagues made by hand: the people of each, in no order.
func UserCandidates(ctx context.Context, o *store.Org, queries []CandidateQuery) ([][]Candidate, error) {
	return candidates(ctx, o, queries, userCandidates, handMadeCandidates)
}

// DirectoryCandidates answers many queries at once from the people that the
// organization imported: the people of each, in no order.
func DirectoryCandidates(ctx context.Context, o *store.Org, queries []CandidateQuery) ([][]Candidate, error) {
	return candidates(ctx, o, queries, peopleCandidates)
}

// candidates runs the statements at once, each on a connection of its own.
func candidates(ctx context.Context, o *store.Org, queries []CandidateQuery, statements ...*store.Statement) ([][]Candidate, error) {
	if len(queries) == 0 {
		return nil, nil
	}
	var running sync.WaitGroup
	found, errs := make([][][]Candidate, len(statements)), make([]error, len(statements))
	//lint:loop up to three statements at once, each on a connection of its own
	for i, st := range statements {
		running.Go(func() { found[i], errs[i] = candidatesOf(ctx, o, queries, st) })
	}
	running.Wait()
	all := found[0]
	for n := range all {
		for _, more := range found[1:] {
			all[n] = append(all[n], more[n]...)
		}
	}
	return all, errors.Join(errs...)
}

func candidatesOf(ctx context.Context, o *store.Org, queries []CandidateQuery, st *store.Statement) ([][]Candidate, error) {
	found := make([][]Candidate, len(queries))
	_, err := store.Collect(ctx, o.GenericPlan(), st, candidateRows(st, queries), func(scan func(...any) error) (struct{}, error) {
		var c Candidate
		var n int
		var email, key string
		err := scan(&n, &email, &key, &c.Name, &c.Country, &c.CompanyName, &c.Website, &c.Photo, &c.JobTitle,
			&c.Department, &c.Seniority, &c.UpdatedAt, &c.IsUser, &c.Status)
		if err == nil {
			c.Email = usersync.NewEmail(email, key)
			found[n] = append(found[n], c)
		}
		return struct{}{}, err
	}, o.ID())
	if err != nil {
		return found, fmt.Errorf("read candidates: %w", err)
	}
	return found, nil
}

// nobodys is a country and a department that no person has: what is unknown is
// shared with nobody, not with all of whom it is unknown too.
const nobodys = "?"

func candidateRows(st *store.Statement, queries []CandidateQuery) *store.Rows {
	set := st.Rows(len(queries))
	for n, q := range queries {
		country, department := q.Country, q.Department
		if country == "" {
			country = nobodys
		}
		if department == "" {
			department = nobodys
		}
		set.Add(int64(n), q.Company, country, department)
	}
	return set
}

// Standing is what an organization knows of an address.
type Standing struct {
	IsUser bool
	Status Status // of the colleague record; "" when there is none
}

var standingsStatement = store.Define("colleague.standings", `
SELECT r.email_key, u.id IS NOT NULL, coalesce(c.status, '') FROM {rows}
LEFT JOIN users u ON u.organization_id = $1 AND u.email_key = r.email_key
LEFT JOIN colleagues c ON c.organization_id = $1 AND c.email_key = r.email_key`, store.Col("email_key", store.Text)).Unsorted()

// Standings returns, by e-mail key, what the organization knows of addresses
// that come from elsewhere.
func Standings(ctx context.Context, o *store.Org, keys []string) (map[string]Standing, error) {
	standings := make(map[string]Standing, len(keys))
	if len(keys) == 0 {
		return standings, nil
	}
	_, err := store.Collect(ctx, o.GenericPlan(), standingsStatement, store.IDRows(standingsStatement, keys), func(scan func(...any) error) (struct{}, error) {
		var key string
		var s Standing
		err := scan(&key, &s.IsUser, &s.Status)
		standings[key] = s
		return struct{}{}, err
	}, o.ID())
	if err != nil {
		return standings, fmt.Errorf("read what is known of addresses: %w", err)
	}
	return standings, nil
}

// ExplainCandidates returns how the database goes about each of the statements
// behind UserCandidates and DirectoryCandidates: the plan with the figures of
// one run on PostgreSQL, the plan alone on SQLite.
func ExplainCandidates(ctx context.Context, o *store.Org, queries []CandidateQuery) (map[string]string, error) {
	plans := map[string]string{}
	//lint:loop three plans for whoever looks into a slow search
	for table, st := range map[string]*store.Statement{"users": userCandidates, "colleagues": handMadeCandidates, "people": peopleCandidates} {
		lines, err := o.Explain(ctx, st, candidateRows(st, queries), o.ID())
		if err != nil {
			return nil, fmt.Errorf("explain the candidates of %s: %w", table, err)
		}
		plans[table] = strings.Join(lines, "\n")
	}
	return plans, nil
}
