package colleague

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/store"
	"usersync/internal/tenant"
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

// wantedText is the queries with their joined keys: those of an office, a country and a
// department of the company, and where the departments of the company begin and end:
// '0' is behind '/'. They stand here and not in the parts, so that PostgreSQL prepares
// them once for each run and not once for each part.
const wantedText = `
WITH wanted AS (
    SELECT r.n, r.country, r.department, $1 || '/' || r.company || '/' || r.country || '/' || r.department AS office_key,
        $1 || '/' || r.company || '/' || r.country AS country_key, $1 || '/' || r.company || '/' || r.department AS department_key,
        $1 || '/' || r.company || '/' AS first_key, $1 || '/' || r.company || '0' AS end_key
    FROM {rows})`

// A part is some of the people of a company, in the order of the one index that
// fits: the work for a part is bounded by CandidatesPerQuery, however large the
// company is. No person is in two parts of a query. The organization stands in the
// joined key and nowhere else by itself: planned while the table was almost empty,
// PostgreSQL would take any index that begins with it, and read all its people.
const (
	office = `x.organization_id || '/' || x.company || '/' || x.country || '/' || x.department = wanted.office_key
            ORDER BY x.{changed} DESC, x.id`
	country = `x.organization_id || '/' || x.company || '/' || x.country = wanted.country_key AND x.department <> wanted.department
            ORDER BY x.{changed} DESC, x.id`
	department = `x.organization_id || '/' || x.company || '/' || x.department = wanted.department_key AND x.country <> wanted.country
            ORDER BY x.{changed} DESC, x.id`
	// others are too unlike to be worth an index of their own: the departments
	// one after the other, the newest of each first.
	others = `x.organization_id || '/' || x.company || '/' || x.department >= wanted.first_key AND x.organization_id || '/' || x.company || '/' || x.department < wanted.end_key
            AND x.department <> wanted.department AND x.country <> wanted.country
            ORDER BY x.organization_id || '/' || x.company || '/' || x.department, x.{changed} DESC, x.id`

	// Of a colleague made by hand no country is known.
	anyCountry = `x.organization_id || '/' || x.company || '/' || x.department = wanted.department_key
            ORDER BY x.{changed} DESC, x.id`
	anyOthers = `x.organization_id || '/' || x.company || '/' || x.department >= wanted.first_key AND x.organization_id || '/' || x.company || '/' || x.department < wanted.end_key
            AND x.department <> wanted.department
            ORDER BY x.organization_id || '/' || x.company || '/' || x.department, x.{changed} DESC, x.id`
)

// tableText reads a table, for each query, part after part until there are
// enough: a later part is not begun when the earlier ones filled the limit. The
// limit stands in the text: SQLite prepares a statement anew for every value of
// a parameter that is a limit.
// What else is known of a person is looked up by value, one at a time: a join
// could be turned into reading the whole of the other table.
const tableText = `
SELECT '{source}', wanted.n, p.email, p.email_key, {profile}, p.job_title, p.department, p.seniority, p.updated_at, {user}, {status}
FROM wanted `

// A query of PostgreSQL may depend on a row beside it. On SQLite only a list of
// values may (see store.Statement), so the parts tell where the people lie.
const (
	partsOnPostgres = `CROSS JOIN LATERAL (SELECT * FROM ({parts}
    ) AS parts LIMIT {limit}) AS p`
	partsOnSQLite = `{each}SELECT one FROM ({parts}
    ) AS parts LIMIT {limit}{/each} JOIN {table} p ON p.{row} = each.value`

	partOnPostgres = `
        SELECT * FROM (SELECT x.*` + partText
	partOnSQLite = `
        SELECT one FROM (SELECT x.{row} AS one` + partText
	partText = ` FROM {table} x WHERE x.organization_id || '' = $1 AND x.company <> ''
            AND {part} LIMIT {limit}) AS part`
)

// isUserText asks whether an address is a user's. It is a value and no EXISTS,
// for which PostgreSQL would rather read all users once.
const isUserText = `(SELECT 1 FROM users u WHERE u.organization_id = $1 AND u.email_key = p.email_key) IS NOT NULL`

// statusText is the status of the colleague record of an address.
const statusText = `coalesce((SELECT c.status FROM colleagues c WHERE c.organization_id = $1 AND c.email_key = p.email_key), '')`

// candidateTable is a table that people are looked for in.
type candidateTable struct {
	source  string // the source that the table belongs to
	name    string
	changed string // the time by which its indexes order people
	profile string // name, country, company_name, website, photo
	user    string // whether the person is a user
	status  string // of the colleague record
	parts   []string
}

var (
	usersTable = candidateTable{
		source: tenant.SourceUsers, name: "users", changed: "created_at", user: "true", status: statusText,
		profile: `CASE WHEN p.name <> '' THEN p.name ELSE trim(p.first_name || ' ' || p.last_name) END, p.country, '', '', ''`,
		parts:   []string{office, country, department, others},
	}
	// Of the colleague records only those made by hand have a company, the others
	// were found in the tables beside it.
	handMadeTable = candidateTable{
		source: tenant.SourceUsers, name: "colleagues", changed: "created_at", user: isUserText, status: "p.status",
		profile: "p.name, '', p.company_name, p.website, p.photo",
		parts:   []string{anyCountry, anyOthers},
	}
	peopleTable = candidateTable{
		source: tenant.SourceDirectory, name: "people", changed: "updated_at", user: isUserText, status: statusText,
		profile: "p.name, p.country, p.company_name, p.website, p.photo",
		parts:   []string{office, country, department, others},
	}
)

// Each set of sources that may be on has a statement: what is off costs nothing.
var (
	allCandidates    = defineCandidates("colleague.candidates", usersTable, handMadeTable, peopleTable)
	userCandidates   = defineCandidates("colleague.userCandidates", usersTable, handMadeTable)
	peopleCandidates = defineCandidates("colleague.peopleCandidates", peopleTable)
)

func defineCandidates(name string, tables ...candidateTable) *store.Statement {
	onPostgres, onSQLite := make([]string, len(tables)), make([]string, len(tables))
	for i, t := range tables {
		onPostgres[i], onSQLite[i] = t.text(partsOnPostgres, partOnPostgres), t.text(partsOnSQLite, partOnSQLite)
	}
	const union = "\nUNION ALL"
	return store.DefinePerEngine(name, wantedText+strings.Join(onPostgres, union), wantedText+strings.Join(onSQLite, union),
		store.Col("n", store.Bigint), store.Col("company", store.Text), store.Col("country", store.Text), store.Col("department", store.Text)).Unsorted()
}

// text is how the table is read, with an engine's words for all parts and for one.
func (t candidateTable) text(all, one string) string {
	parts := make([]string, len(t.parts))
	for i, p := range t.parts {
		parts[i] = strings.ReplaceAll(one, "{part}", p)
	}
	text := tableText + strings.ReplaceAll(all, "{parts}", strings.Join(parts, "\n        UNION ALL"))
	return strings.NewReplacer("{source}", t.source, "{table}", t.name, "{changed}", t.changed, "{profile}", t.profile,
		"{user}", t.user, "{status}", t.status, "{limit}", strconv.Itoa(CandidatesPerQuery)).Replace(text)
}

// candidatesOf returns the statement that asks tenant.SourceUsers,
// tenant.SourceDirectory or both.
func candidatesOf(sources []string) *store.Statement {
	switch {
	case !slices.Contains(sources, tenant.SourceDirectory):
		return userCandidates
	case !slices.Contains(sources, tenant.SourceUsers):
		return peopleCandidates
	}
	return allCandidates
}

// Candidates answers many queries at once, in one trip, from our own tables:
// for tenant.SourceUsers those of users and of colleagues made by hand, for
// tenant.SourceDirectory that of the people that the organization imported. It
// returns, by source, the people of each query, in no order.
func Candidates(ctx context.Context, o *store.Org, sources []string, queries []CandidateQuery) (map[string][][]Candidate, error) {
	found := make(map[string][][]Candidate, len(sources))
	for _, source := range sources {
		found[source] = make([][]Candidate, len(queries))
	}
	if len(sources) == 0 || len(queries) == 0 {
		return found, nil
	}
	st := candidatesOf(sources)
	_, err := store.Collect(ctx, o.GenericPlan(), st, candidateRows(st, queries), func(scan func(...any) error) (struct{}, error) {
		var c Candidate
		var n int
		var source, email, key string
		err := scan(&source, &n, &email, &key, &c.Name, &c.Country, &c.CompanyName, &c.Website, &c.Photo, &c.JobTitle,
			&c.Department, &c.Seniority, &c.UpdatedAt, &c.IsUser, &c.Status)
		if err == nil {
			c.Email = usersync.NewEmail(email, key)
			found[source][n] = append(found[source][n], c)
		}
		return struct{}{}, err
	}, o.ID())
	if err != nil {
		return nil, fmt.Errorf("read candidates: %w", err)
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

// ExplainCandidates returns how the database goes about the statement behind
// Candidates: the plan with the figures of one run on PostgreSQL, the plan alone
// on SQLite.
func ExplainCandidates(ctx context.Context, o *store.Org, sources []string, queries []CandidateQuery) (string, error) {
	st := candidatesOf(sources)
	lines, err := o.Explain(ctx, st, candidateRows(st, queries), o.ID())
	if err != nil {
		return "", fmt.Errorf("explain the candidates of %s: %w", strings.Join(sources, " and "), err)
	}
	return strings.Join(lines, "\n"), nil
}
