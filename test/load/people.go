//go:build unix

package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
)

// Every user is alone at a company of their own, where the organization's directory
// knows two people: each request finds these two colleagues and is charged.
const colleaguesEach = 2

// ownCompanyText is the company of the user number i, as client.number writes it.
const ownCompanyText = `'c' || substr('000000000' || CAST(i AS text), length(CAST(i AS text)) + 1, 9) || '.example'`

// peopleText stores the colleagues of the users with the numbers from $2 on, up to $3.
const peopleText = `
WITH RECURSIVE numbers(i) AS (SELECT CAST($2 AS bigint) UNION ALL SELECT i + 1 FROM numbers WHERE i < $3),
    who(k, first_name) AS (SELECT 1, 'Ada' UNION ALL SELECT 2, 'Bob'),
    made AS (SELECT i, k, first_name, ` + ownCompanyText + ` AS company, lower(first_name) || '@' || ` + ownCompanyText + ` AS email FROM numbers CROSS JOIN who)
INSERT INTO people (id, organization_id, email_key, email, person_key, company, country, department, seniority, name, job_title,
    company_name, created_at, updated_at)
SELECT 'per_' || $1 || '_' || CAST(i AS text) || '_' || CAST(k AS text), $1, email, email, email, company, 'US', 'engineering', 2, first_name || ' Roe', 'Software Engineer', 'Company', 1, 1
FROM made`

// openData opens the database of the installation, which may run or not.
func (p *product) openData() (db *sql.DB, err error) {
	if p.database != nil {
		return p.database.DB, nil
	}
	if p.file == nil {
		p.file, err = sql.Open("sqlite", "file:"+filepath.Join(p.dataDir, "usersync.db")+"?_pragma=busy_timeout(30000)&_pragma=synchronous(0)")
	}
	return p.file, err
}

// introduce makes colleagues for the users that a load may send.
func (p *product) introduce(ctx context.Context, t *benchTenant, users int64) error {
	from, to := t.introduced+1, t.next.Load()+users
	if to < from {
		return nil
	}
	db, err := p.openData()
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if _, err := db.ExecContext(ctx, countOwn+peopleText, t.id, from, to); err != nil {
		return fmt.Errorf("store the colleagues of %d users: %w", users, err)
	}
	t.introduced = to
	return nil
}

// done is what an organization's requests have led to.
type done struct{ found, charged, spent int64 }

// check compares what was found and charged with the requests that were accepted,
// all of which have ended.
func (p *product) check(ctx context.Context) error {
	db, err := p.openData()
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	t := p.tenant
	var d done
	for _, one := range []struct {
		to    *int64
		query string
	}{
		{&d.found, `SELECT count(*) FROM colleague_links WHERE organization_id = $1`},
		{&d.charged, `SELECT count(*) FROM ledger WHERE organization_id = $1 AND kind = 'charge' AND amount = -1`},
		{&d.spent, `SELECT (SELECT sum(amount) FROM ledger WHERE organization_id = $1 AND amount > 0) - balance FROM balances WHERE organization_id = $1`},
	} {
		if err := db.QueryRowContext(ctx, countOwn+one.query, t.id).Scan(one.to); err != nil {
			return fmt.Errorf("count what was done: %w", err)
		}
	}
	p.bench.report.done(p.name, t.accepted, d)
	return nil
}

// done adds what was found and charged for the accepted requests.
func (r *report) done(way string, accepted int64, d done) {
	note := fmt.Sprintf("%d requests: %d colleagues found, %d charges, %d credits spent", accepted, d.found, d.charged, d.spent)
	r.speed = append(r.speed, []string{way + ", the work that was done", "", "", "", "", "", note})
	if d != (done{found: colleaguesEach * accepted, charged: accepted, spent: accepted}) {
		r.breaches = append(r.breaches, way+": two colleagues should be found and one credit charged for each request: "+note)
	}
}
