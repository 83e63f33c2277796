// Package verify looks in a whole database for what must not be there. It holds at
// every moment, while the service works: each rule is asked in one statement, which
// sees one state of the database. What the schema refuses by itself is not asked again.
package verify

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/delivery"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Rule is something that always holds.
type Rule struct {
	// Name says what holds.
	Name string
	// Next says what to do where it does not.
	Next string
	// statement returns organization and id of up to $1 rows that break the rule.
	statement *store.Statement
	// recent says that the statement looks at the requests from the id $2 on alone.
	recent bool
}

// What to do about breaches.
const (
	nextMoney = "Keep a dump of the database and report it. The ledger is the truth: once the cause is known, set balances.balance to its sum. What was charged wrongly is given back by a top-up."
	nextLost  = "Keep a dump of the database and report it: no task works these any more. The caller may send the request again, or the delivery be sent again."
	nextStray = "Keep a dump of the database and report it. Was something written or deleted by hand, or restored in part?"
)

// Rules are all that is looked at.
var Rules = []Rule{
	{Name: "every balance is the sum of its ledger", Next: nextMoney, statement: balancesStatement},
	{Name: "a request is charged exactly where the ledger has a charge for it", Next: nextMoney, statement: chargesStatement},
	{Name: "every charge of the last day is for a request that is there", Next: nextMoney, statement: chargedForStatement, recent: true},
	{Name: "every request without an end has a task or waits for a push", Next: nextLost, statement: lostRequestsStatement},
	{Name: "every delivery without an end has a task", Next: nextLost, statement: lostDeliveriesStatement},
	{Name: "every connection with pushes that are due has a task", Next: nextLost, statement: lostPushesStatement},
	{Name: "every connection whose platform has told something has a task that takes it in", Next: nextLost, statement: lostSignalsStatement},
	{Name: "every run of a follow-up without an end has a task", Next: nextLost, statement: lostRunsStatement},
	{Name: "a request has an end exactly where its status is final", Next: nextStray, statement: endsStatement},
	{Name: "the steps of a request that has an end have ended, and failed only where it says so", Next: nextStray, statement: stepsStatement},
	{Name: "who waits for a push is a request that is there", Next: nextStray, statement: waitsStatement},
	{Name: "every delivery has its message", Next: nextStray, statement: deliveriesStatement},
	{Name: "every message has a delivery", Next: nextStray, statement: messagesStatement},
	{Name: "no message has a number that was not given out", Next: nextStray, statement: sequenceStatement},
	{Name: "every link is between a user and a colleague that are there", Next: nextStray, statement: linksStatement},
	{Name: "everything belongs to an organization that is there", Next: nextStray, statement: ownersStatement},
}

var (
	balancesStatement = store.Define("verify.balances", `
SELECT b.organization_id, b.organization_id FROM balances b
WHERE b.balance <> (SELECT coalesce(sum(l.amount), 0) FROM ledger l WHERE l.organization_id = b.organization_id) LIMIT $1`)

	chargesStatement = store.Define("verify.charges", `
SELECT q.organization_id, q.id FROM requests q
WHERE q.charged <> (SELECT count(*) FROM ledger l WHERE l.organization_id = q.organization_id AND l.request_id = q.id AND l.request_id <> '') LIMIT $1`)

	// Retention removes older requests and leaves the ledger.
	chargedForStatement = store.Define("verify.chargedFor", `
SELECT l.organization_id, l.request_id FROM ledger l WHERE l.kind = 'charge' AND l.request_id >= $2
    AND NOT EXISTS (SELECT 1 FROM requests q WHERE q.organization_id = l.organization_id AND q.id = l.request_id) LIMIT $1`)

	lostRequestsStatement = store.Define("verify.lostRequests", `
SELECT q.organization_id, q.id FROM requests q WHERE q.status IN `+request.UnfinishedStatusesSQL+`
    AND NOT EXISTS (SELECT 1 FROM outbox t WHERE t.id = q.task_id)
    AND NOT EXISTS (SELECT 1 FROM push_waits w WHERE w.request_id = q.id) LIMIT $1`)

	lostDeliveriesStatement = store.Define("verify.lostDeliveries", `
SELECT d.organization_id, d.id FROM deliveries d WHERE d.status IN ('`+string(delivery.Pending)+`', '`+string(delivery.Retrying)+`')
    AND NOT EXISTS (SELECT 1 FROM outbox t WHERE t.id = d.task_id) LIMIT $1`)

	lostPushesStatement = store.Define("verify.lostPushes", `
SELECT DISTINCT p.organization_id, p.connection_id FROM pushes p WHERE p.due_at > 0
    AND NOT EXISTS (SELECT 1 FROM outbox t WHERE t.kind = 'platform.push' AND t.fairness_key = p.connection_id) LIMIT $1`)

	lostSignalsStatement = store.Define("verify.lostSignals", `
SELECT DISTINCT s.organization_id, s.connection_id FROM signals s JOIN connections c ON c.id = s.connection_id
WHERE c.status <> 'deleted' AND NOT EXISTS (SELECT 1 FROM outbox t WHERE t.kind = 'inbound.takeIn' AND t.fairness_key = s.connection_id) LIMIT $1`)

	lostRunsStatement = store.Define("verify.lostRuns", `
SELECT r.organization_id, r.id FROM follow_up_runs r WHERE r.finished_at = 0
    AND NOT EXISTS (SELECT 1 FROM outbox t WHERE t.id = r.task_id) LIMIT $1`)

	endsStatement = store.Define("verify.ends", `
SELECT q.organization_id, q.id FROM requests q
WHERE (q.finished_at = 0) <> (q.status IN `+request.UnfinishedStatusesSQL+`) LIMIT $1`)

	stepsStatement = store.Define("verify.steps", `
SELECT q.organization_id, q.id FROM requests q JOIN steps s ON s.request_id = q.id
WHERE q.status NOT IN `+request.UnfinishedStatusesSQL+`
    AND (s.status IN ('pending', 'retrying', 'awaiting_credits') OR s.status = 'failed' AND q.status = 'succeeded') LIMIT $1`)

	waitsStatement = store.Define("verify.waits", `
SELECT w.organization_id, w.request_id FROM push_waits w
WHERE NOT EXISTS (SELECT 1 FROM requests q WHERE q.organization_id = w.organization_id AND q.id = w.request_id) LIMIT $1`)

	deliveriesStatement = store.Define("verify.deliveries", `
SELECT d.organization_id, d.id FROM deliveries d
WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = d.message_id AND m.organization_id = d.organization_id) LIMIT $1`)

	messagesStatement = store.Define("verify.messages", `
SELECT m.organization_id, m.id FROM messages m
WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id >= 'del' || substr(m.id, 4) AND d.id < 'del' || substr(m.id, 4) || '~') LIMIT $1`)

	sequenceStatement = store.Define("verify.sequence", `
SELECT m.organization_id, m.id FROM messages m JOIN balances b ON b.organization_id = m.organization_id
WHERE m.sequence > b.message_sequence LIMIT $1`)

	// While a person is being erased their links are on their way out.
	linksStatement = store.Define("verify.links", `
SELECT l.organization_id, l.user_id FROM colleague_links l
WHERE (NOT EXISTS (SELECT 1 FROM users u WHERE u.id = l.user_id) OR NOT EXISTS (SELECT 1 FROM colleagues c WHERE c.id = l.colleague_id))
    AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.organization_id = l.organization_id AND e.swept_at = 0) LIMIT $1`)

	ownersStatement = store.Define("verify.owners", `
SELECT x.organization_id, x.id FROM (
    SELECT organization_id, id FROM requests UNION ALL SELECT organization_id, id FROM ledger UNION ALL
    SELECT organization_id, id FROM users UNION ALL SELECT organization_id, id FROM people UNION ALL
    SELECT organization_id, id FROM colleagues UNION ALL SELECT organization_id, id FROM events UNION ALL
    SELECT organization_id, id FROM messages UNION ALL SELECT organization_id, id FROM outbox UNION ALL
    SELECT organization_id, id FROM follow_ups UNION ALL SELECT organization_id, id FROM follow_up_runs) AS x
WHERE x.organization_id <> '' AND NOT EXISTS (SELECT 1 FROM organizations o WHERE o.id = x.organization_id) LIMIT $1`)

	nowStatement = store.Define("verify.now", `SELECT {now}`)
)

// Breach is a row that breaks a rule.
type Breach struct{ Organization, ID string }

// Finding is what became of a rule.
type Finding struct {
	Rule
	// Breaches are the first rows that break it, up to MostBreaches; none is good.
	Breaches []Breach
}

// MostBreaches bounds the rows of one rule.
const MostBreaches = 1000

// kept is how long a request is kept at least: retention counts in days. The hour less
// is for clocks that differ.
const kept = 23 * time.Hour

// Run asks every rule, in their order. It reads whole tables.
func Run(ctx context.Context, s *store.Store) ([]Finding, error) {
	var now int64
	if err := s.Reader().QueryRow(ctx, nowStatement).Scan(&now); err != nil {
		return nil, fmt.Errorf("ask the database for its time: %w", store.Classify(err))
	}
	since := usersync.IDBound(usersync.PrefixRequest, store.At(now).Add(-kept))
	out := make([]Finding, len(Rules))
	//lint:loop one statement for each rule
	for i, r := range Rules {
		args := []any{MostBreaches}
		if r.recent {
			args = append(args, since)
		}
		breaches, err := store.Collect(ctx, s.Reader(), r.statement, nil, func(scan func(...any) error) (b Breach, err error) {
			return b, scan(&b.Organization, &b.ID)
		}, args...)
		if err != nil {
			return nil, fmt.Errorf("check that %s: %w", r.Name, store.Classify(err))
		}
		out[i] = Finding{r, breaches}
	}
	return out, nil
}
