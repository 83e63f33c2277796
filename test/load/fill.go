//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
)

// Filling a database: what a past of many finished requests leaves, made in the
// database itself, set-wise, in the schema's real form. Ids have the form of
// real ones and are older than any made now. Everything belongs to one
// organization, which is the worst case.
//
// Of every ten requests there is one user and one imported person; about one of a
// hundred is of one busy user, the others are of all. A tenth of users and people
// is in one company, the others in companies of a hundred. A third of the requests
// was charged and found two colleagues. Messages and deliveries are there of the
// newest tenth, as where they are kept for a while. Every user was pushed to a
// platform and stands among the errors of a bulk; for every hundred requests a
// push is waited for, and a task waits for its time or for credits.
const (
	requestsPerUser = 10
	bigCompany      = "big.example"
	// busyUser has about one of a hundred requests.
	busyUser = "u0@" + bigCompany
	// madeConnection is one that is not there any more: nothing is pushed.
	madeConnection = "con_01j00000000000000000000000"
	// madeOrganization begins the ids of organizations without credits: what is
	// parked there stays.
	madeOrganization = "org_01j00000000000000000000"
	// fillAtOnce is how many rows one statement makes.
	fillAtOnce = 100_000
	// fillMost is what the time part of a made id has room for.
	fillMost = 10_000_000
	// diskLeft is what filling leaves free on the disk, in bytes.
	diskLeft = 4 << 30
	// bytesPerRequest is what a request takes with all that belongs to it.
	bytesPerRequest = 2200
)

// The parts of a made row. i is the request's number, n the user's. Hexadecimal
// and decimal digits are digits of ids; the ids of requests rise with i.
const (
	requestIDText = `'req_01k' || lpad(i::text, 7, '0') || substr(md5('r' || i), 1, 16)`
	taskIDText    = `'tsk_01k' || lpad(i::text, 7, '0') || substr(md5('t' || i), 1, 16)`
	messageIDText = `'msg_01k' || lpad(i::text, 7, '0') || substr(md5('m' || i), 1, 16)`
	userIDText    = `'user_' || substr(md5('u' || n), 1, 24)`
	colleagueText = `'tbi_' || substr(md5('c' || %s), 1, 24)`
)

// fillStep is one table: the number of rows that belong to a number of requests
// and the statement that makes rows $2 to $3 (exclusive) of organization $1.
type fillStep struct {
	table string
	rows  func(requests int) int
	text  string
}

func users(requests int) int { return max(requests/requestsPerUser, 1) }

func all(requests int) int { return requests }

func hundredth(requests int) int { return max(requests/100, 1) }

// fillTime is when row number %s was made: in the two years before, in µs. It
// rises with the number.
const fillTime = `(1700000000000000 + %s::bigint * 6000000)`

func made(number string) string { return fmt.Sprintf(fillTime, number) }

const personText = `SELECT n, ` + companyText + ` AS company,
        (ARRAY['US','US','US','DE','GB','FR','IN','JP'])[1 + n * 7 % 8] AS country,
        (ARRAY['engineering','sales','marketing','finance','support','hr','','product'])[1 + n / 10 % 8] AS department,
        (ARRAY['Software Engineer','Account Executive','Marketing Manager','Accountant','Support Agent','Recruiter','','Product Manager'])[1 + n / 10 % 8] AS title
    FROM generate_series($2::bigint, $3::bigint - 1) AS n`

const companyText = `CASE WHEN n % 10 = 0 THEN '` + bigCompany + `' ELSE 'company' || n / 100 || '.example' END`

// fillSteps makes the tables in an order in which a row finds what it refers to.
func fillSteps(endpoint string, requests int) []fillStep {
	us := users(requests)
	ofUser := fmt.Sprintf(`(SELECT %s FROM (SELECT CASE WHEN i %% 101 = 100 THEN 0 ELSE i %% %d END AS n) AS whose)`, userIDText, us)
	found := func(which int) string { return fmt.Sprintf(colleagueText, fmt.Sprintf("((i + %d) %% %d)", which, us)) }
	return []fillStep{
		{"users", users, `
INSERT INTO users (id, organization_id, email_key, email, person_key, company, country, department, seniority, first_name, last_name,
    name, job_title, invite_link, sequences, created_at, updated_at)
SELECT ` + userIDText + `, $1, 'u' || n || '@' || company, 'u' || n || '@' || company, 'u' || n || '@' || company, company, country, department, 2, 'John', 'Doe' || n,
    'John Doe' || n, title, 'https://app.example.com/join/' || n, '{"country":1,"email":1,"firstName":1,"inviteLink":1,"jobTitle":1,"lastName":1,"name":1}',
    ` + made("n") + `, ` + made("n") + `
FROM (` + personText + `) AS x`},
		{"people", users, `
INSERT INTO people (id, organization_id, email_key, email, person_key, company, country, department, seniority, name, job_title,
    company_name, created_at, updated_at)
SELECT 'per_' || substr(md5('p' || n), 1, 24), $1, 'p' || n || '@' || company, 'p' || n || '@' || company, 'p' || n || '@' || company, company, country, department, 2,
    'Jane Roe' || n, title, 'Company', ` + made("n") + `, ` + made("n") + `
FROM (` + personText + `) AS x`},
		{"colleagues", users, `
INSERT INTO colleagues (id, organization_id, email_key, email, name, job_title, status, company_name, invite_link, latest_action, created_at, updated_at)
SELECT ` + fmt.Sprintf(colleagueText, "n") + `, $1, 'p' || n || '@' || company, 'p' || n || '@' || company, 'Jane Roe' || n, title, 'pending', 'Company',
    'https://app.example.com/join/' || n, ` + made("n") + `, ` + made("n") + `, ` + made("n") + `
FROM (` + personText + `) AS x`},
		{"colleague_links", users, `
INSERT INTO colleague_links (user_id, colleague_id, organization_id, score, reasons, created_at)
SELECT ` + userIDText + `, ` + fmt.Sprintf(colleagueText, "n") + `, $1, 0.75, '["company","country"]', ` + made("n") + `
FROM generate_series($2::bigint, $3::bigint - 1) AS n`},
		{"events", users, `
INSERT INTO events (id, organization_id, user_id, type, source, cause, attributes, created_at)
SELECT 'evt_01k' || lpad(n::text, 7, '0') || substr(md5('e' || n), 1, 16), $1, ` + userIDText + `, 'user.created', 'user-sync', '',
    '{"fields":["country","firstName","lastName","name","jobTitle","inviteLink"]}', ` + made("n") + `
FROM generate_series($2::bigint, $3::bigint - 1) AS n`},
		{"pushes", users, `
INSERT INTO pushes (connection_id, user_id, organization_id, wanted_version, pushed_version, pushed_hash, pushed_at)
SELECT '` + madeConnection + `', ` + userIDText + `, $1, 1, 1, md5('h' || n), ` + made("n") + `
FROM generate_series($2::bigint, $3::bigint - 1) AS n`},
		{"push_waits", hundredth, `
INSERT INTO push_waits (connection_id, user_id, request_id, organization_id, position, mode, version, created_at)
SELECT '` + madeConnection + `', ` + userIDText + `, 'req_01j' || lpad(n::text, 7, '0') || substr(md5('r' || n), 1, 16), $1, -1, 'state', 1, ` + made("n") + `
FROM generate_series($2::bigint, $3::bigint - 1) AS n`},
		{"bulk_errors", users, `
INSERT INTO bulk_errors (request_id, user_id, organization_id, status, code, message, created_at)
SELECT 'req_01j' || lpad((n / 100)::text, 7, '0') || substr(md5('b' || n / 100), 1, 16), ` + userIDText + `, $1, 'failed', 'rejected', 'The platform refused the address.', ` + made("n") + `
FROM generate_series($2::bigint, $3::bigint - 1) AS n`},
		{"outbox", hundredth, `
INSERT INTO outbox (id, organization_id, kind, queue, fairness_key, args, state, look_at, created_at)
SELECT 'tsk_01j' || lpad(n::text, 7, '0') || substr(md5('o' || n), 1, 16), CASE WHEN n % 2 = 0 THEN $1 ELSE '` + madeOrganization + `' || lpad((n % 99)::text, 3, '0') END, 'webhook.deliver', 'deliver',
    'whe_' || n % 100, '{}', CASE WHEN n % 2 = 0 THEN 'scheduled' ELSE 'parked' END, 4000000000000000 + n, ` + made("n") + `
FROM generate_series($2::bigint, $3::bigint - 1) AS n`},
		{"requests", all, `
INSERT INTO requests (organization_id, id, kind, status, user_id, email, sequence, input, task_id, traceparent, charged, created_at, started_at, finished_at)
SELECT $1, ` + requestIDText + `, 'user-sync', 'succeeded', ` + ofUser + `, 'u' || i || '@company.example', i + 1,
    '{"country":"US","firstName":"John","lastName":"Doe","name":"John Doe","jobTitle":"Software Engineer","inviteLink":"https://app.example.com/join/' || i || '"}',
    ` + taskIDText + `, '00-' || md5('t' || i) || '-' || substr(md5('s' || i), 1, 16) || '-01', CASE WHEN i % 3 = 0 THEN 1 ELSE 0 END,
    ` + made("i") + `, ` + made("i") + ` + 9000, ` + made("i") + ` + 15000
FROM generate_series($2::bigint, $3::bigint - 1) AS i`},
		{"steps", all, `
INSERT INTO steps (request_id, position, organization_id, name, status, attempts, details, found, updated_at)
SELECT ` + requestIDText + `, 0, $1, 'colleagues', 'succeeded', 1, CASE WHEN i % 3 = 0 THEN '2 colleagues found' ELSE 'No colleagues found' END,
    CASE WHEN i % 3 = 0 THEN '[{"id":"' || ` + found(0) + ` || '","score":0.75,"reasons":["company","country"]},{"id":"' || ` + found(1) + ` || '","score":0.7,"reasons":["company"]}]' ELSE '' END,
    ` + made("i") + ` + 15000
FROM generate_series($2::bigint, $3::bigint - 1) AS i`},
		{"ledger", all, `
INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at)
SELECT 'led_01k' || lpad(i::text, 7, '0') || substr(md5('l' || i), 1, 16), $1, 'charge', -1, ` + requestIDText + `, 1, ` + made("i") + ` + 15000
FROM generate_series($2::bigint, $3::bigint - 1) AS i WHERE i % 3 = 0`},
		{"messages", all, `
INSERT INTO messages (id, organization_id, type, request_id, sequence, body, traceparent, created_at)
SELECT ` + messageIDText + `, $1, 'user_sync.completed', ` + requestIDText + `, i + 1,
    '{"type":"user_sync.completed","timestamp":"2026-01-01T00:00:00.000Z","sequence":' || i || ',"data":{"requestId":"' || ` + requestIDText + ` || '","kind":"user-sync","status":"succeeded","userId":"' || ` + ofUser + ` ||
    '","email":"u@company.example","createdAt":"2026-01-01T00:00:00.000Z","startedAt":"2026-01-01T00:00:00.009Z","finishedAt":"2026-01-01T00:00:00.015Z","steps":[{"name":"colleagues","status":"succeeded","attempts":1,"details":"No colleagues found"}],"colleagues":{"found":0,"items":[]},"credits":{"charged":0}}}',
    '00-' || md5('t' || i) || '-' || substr(md5('s' || i), 1, 16) || '-01', ` + made("i") + ` + 15000
FROM generate_series($2::bigint, $3::bigint - 1) AS i WHERE i >= ` + fmt.Sprint(requests-requests/10)},
		{"deliveries", all, `
INSERT INTO deliveries (id, organization_id, message_id, endpoint_id, type, status, attempts, attempt_count, created_at, updated_at, task_id)
SELECT replace(` + messageIDText + `, 'msg_', 'del_') || '` + endpoint[min(22, len(endpoint)):] + `', $1, ` + messageIDText + `, '` + endpoint + `', 'user_sync.completed', 'delivered',
    '[{"at":"2026-01-01T00:00:00.030Z","status":204,"latencyMs":3}]', 1, ` + made("i") + ` + 15000, ` + made("i") + ` + 30000, ` + taskIDText + `
FROM generate_series($2::bigint, $3::bigint - 1) AS i WHERE i >= ` + fmt.Sprint(requests-requests/10)},
	}
}

// fill makes the stored requests of an organization grow from one number to
// another, with what belongs to them, and brings the database to where it is a
// while after: vacuumed, analysed, written out.
func (d *database) fill(ctx context.Context, organization string, from, to int) error {
	if to > fillMost {
		return fmt.Errorf("at most %d requests can be made", fillMost)
	}
	conn, err := d.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to fill a database: %w", err)
	}
	defer func() { _ = conn.Close() }()
	var endpoint string
	if err := conn.QueryRowContext(ctx, "SELECT id FROM webhook_endpoints WHERE organization_id = $1 LIMIT 1", organization).Scan(&endpoint); err != nil {
		return fmt.Errorf("find the endpoint of the organization: %w", err)
	}
	if _, err := conn.ExecContext(ctx, "SET synchronous_commit = off"); err != nil {
		return fmt.Errorf("have commits not wait for the disk: %w", err)
	}
	for _, step := range fillSteps(endpoint, to) {
		first, last := 0, step.rows(to)
		if from > 0 {
			first = step.rows(from)
		}
		for at := first; at < last; at += fillAtOnce {
			if _, err := conn.ExecContext(ctx, step.text, organization, at, min(at+fillAtOnce, last)); err != nil {
				return fmt.Errorf("fill %s: %w", step.table, err)
			}
		}
		progress("  %s: %s rows", step.table, whole(float64(last)))
	}
	return d.settle(ctx, organization, fillSteps(endpoint, to))
}

// settle makes the balance the sum of the ledger again, gives out acceptance
// numbers above those made, and does what autovacuum and checkpoints would.
func (d *database) settle(ctx context.Context, organization string, steps []fillStep) error {
	tables := make([]string, len(steps))
	for i, step := range steps {
		tables[i] = step.table
	}
	for _, text := range []string{
		`UPDATE balances SET balance = (SELECT sum(amount) FROM ledger l WHERE l.organization_id = balances.organization_id)
			WHERE organization_id = '` + organization + `'`,
		`SELECT setval('acceptance', greatest((SELECT last_value FROM acceptance), 100000000))`,
		"VACUUM (ANALYZE) balances, " + strings.Join(tables, ", "), "CHECKPOINT",
	} {
		if _, err := d.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(text), err)
		}
	}
	return nil
}

// roomFor refuses to fill up the server's disk, where this process can see it.
func (d *database) roomFor(ctx context.Context, requests int) error {
	var dir string
	if err := d.QueryRowContext(ctx, "SHOW data_directory").Scan(&dir); err != nil {
		return fmt.Errorf("ask where the server keeps its data: %w", err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return nil //nolint:nilerr // the server's disk is elsewhere
	}
	free, wanted := int64(disk.Bavail)*disk.Bsize, int64(requests)*bytesPerRequest+diskLeft
	if free < wanted {
		return fmt.Errorf("%s more requests take about %d GiB, with %d GiB left over; only %d GiB are free",
			whole(float64(requests)), wanted>>30, int64(diskLeft)>>30, free>>30)
	}
	return nil
}
