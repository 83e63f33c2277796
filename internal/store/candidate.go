package store

import (
	"context"
	"strings"

	"usersync/internal/usersync"
)

// Candidate is a person who may be a colleague.
type Candidate struct {
	Email       usersync.Email
	Key         string // the address without +tag
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
	Status string
}

// CandidateQuery asks for the people of one company, those of the same country
// and department first.
type CandidateQuery struct{ Company, Country, Department string }

// candidatesPerBucket bounds what one query reads of each bucket: more than
// the 50 colleagues that are kept, to leave room for those that are left out.
const candidatesPerBucket = 80

// candidatesText reads, for each query, the best of three buckets: company +
// country + department, company + country, company. Each is a short range of
// one index, however large the company is.
const candidatesText = `
WITH wanted AS (SELECT * FROM {rows}), ids AS (
    SELECT wanted.n, each.value AS id FROM wanted {each}SELECT x.id AS one FROM {table} x WHERE x.organization_id = $1 AND x.company <> ''
        AND x.company = wanted.company AND x.country = wanted.country AND x.department = wanted.department ORDER BY x.id LIMIT $2{/each}
    UNION
    SELECT wanted.n, each.value FROM wanted {each}SELECT x.id AS one FROM {table} x WHERE x.organization_id = $1 AND x.company <> ''
        AND x.company = wanted.company AND x.country = wanted.country ORDER BY x.department, x.id LIMIT $2{/each}
    UNION
    SELECT wanted.n, each.value FROM wanted {each}SELECT x.id AS one FROM {table} x WHERE x.organization_id = $1 AND x.company <> ''
        AND x.company = wanted.company ORDER BY x.country, x.department, x.id LIMIT $2{/each}
)
SELECT ids.n, p.email, p.email_key, p.person_key, {name}, p.job_title, p.country, p.department, p.seniority, {profile}, p.updated_at,
    coalesce(c.status, '')
FROM ids JOIN {table} p ON p.id = ids.id
LEFT JOIN colleagues c ON c.organization_id = $1 AND c.email_key = p.email_key`

var candidateColumns = []column{col("n", bigint), col("company", text), col("country", text), col("department", text)}

var candidateStatements = map[bool]*statement{
	true: define(strings.NewReplacer("{table}", "users", "{profile}", "'', '', ''",
		"{name}", "CASE WHEN p.name <> '' THEN p.name ELSE trim(p.first_name || ' ' || p.last_name) END").Replace(candidatesText), candidateColumns...),
	false: define(strings.NewReplacer("{table}", "people", "{profile}", "p.company_name, p.website, p.photo",
		"{name}", "p.name").Replace(candidatesText), candidateColumns...),
}

// Candidates answers many queries at once: the people of each, in no order.
func (o *Org) Candidates(ctx context.Context, queries []CandidateQuery) ([][]Candidate, error) {
	found := make([][]Candidate, len(queries))
	if len(queries) == 0 {
		return found, nil
	}
	for _, isUser := range []bool{true, false} {
		st := candidateStatements[isUser]
		set := st.rows(len(queries))
		for n, q := range queries {
			set.add(int64(n), q.Company, q.Country, q.Department)
		}
		_, err := collect(ctx, o.store.reader(), st, set, func(scan func(...any) error) (struct{}, error) {
			c := Candidate{IsUser: isUser}
			var n int
			var email, key string
			err := scan(&n, &email, &key, &c.Key, &c.Name, &c.JobTitle, &c.Country, &c.Department, &c.Seniority,
				&c.CompanyName, &c.Website, &c.Photo, &c.UpdatedAt, &c.Status)
			if err == nil {
				c.Email = usersync.NewEmail(email, key)
				found[n] = append(found[n], c)
			}
			return struct{}{}, err
		}, o.id, candidatesPerBucket)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
