package intake

import (
	"context"
	"fmt"

	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// numbersPerCommit is how many acceptance sequences one commit may give out. It is
// more than a Batcher puts into one: maxRows and the largest submission.
const numbersPerCommit = 4096

// gateText reads what decides about the keys, and the number of the commit.
const gateText = `
SELECT k.id, o.status, b.balance, k.revoked_at, k.expires_at, {now}, (%s) FROM {rows}
JOIN api_keys k ON k.id = r.id
JOIN organizations o ON o.id = k.organization_id
JOIN balances b ON b.organization_id = k.organization_id`

var (
	gateStatement = store.DefinePerEngine("intake.gate", fmt.Sprintf(gateText, `SELECT nextval('acceptance')`), fmt.Sprintf(gateText, `SELECT number FROM acceptance`),
		store.Col("id", store.Text))
	// SQLite has no sequences.
	nextNumber = store.Define("intake.nextNumber", `UPDATE acceptance SET number = number + 1`)
)

// admit refuses the submissions that may not pass now and numbers the rest.
func admit(ctx context.Context, tx *store.Tx, submissions []*Submission) ([]*Submission, error) {
	if tx.Embedded() {
		if _, err := tx.Exec(ctx, nextNumber, nil); err != nil {
			return nil, fmt.Errorf("count the commit: %w", err)
		}
	}
	verdicts, number, err := readGates(ctx, tx, submissions)
	if err != nil {
		return nil, err
	}
	sequence := number * numbersPerCommit
	open := make([]*Submission, 0, len(submissions))
	for _, sub := range submissions {
		verdict := verdicts[sub.KeyID]
		if verdict == ErrNoCredits && sub.free() {
			verdict = nil
		}
		sub.Err, sub.Accepted, sub.Replayed = verdict, nil, false
		// A submission that turns out to be a replay is answered whatever the balance is.
		if verdict != nil && (verdict != ErrNoCredits || sub.Idempotency == nil) {
			continue
		}
		for _, a := range sub.Items {
			sequence++
			a.sequence, a.organization = sequence, sub.Organization
		}
		open = append(open, sub)
	}
	return open, nil
}

// readGates returns why the submissions of a key may not pass now, nil where
// they may, by the ids of the keys, and a number greater than any before; 0 when
// none of the keys exists.
func readGates(ctx context.Context, tx *store.Tx, submissions []*Submission) (verdicts map[string]*usersync.Error, number int64, err error) {
	set := gateStatement.Rows(1)
	verdicts = map[string]*usersync.Error{}
	for _, sub := range submissions {
		if _, seen := verdicts[sub.KeyID]; !seen {
			verdicts[sub.KeyID] = ErrInvalidKey
			set.Add(sub.KeyID)
		}
	}
	_, err = store.Collect(ctx, tx.Conn, gateStatement, set, func(scan func(...any) error) (struct{}, error) {
		var id, status string
		var balance, revoked, expires, now int64
		err := scan(&id, &status, &balance, &revoked, &expires, &now, &number)
		key := tenant.Key{RevokedAt: store.Stamp(revoked), ExpiresAt: store.Stamp(expires)}
		switch {
		case !key.ValidAt(store.At(now)):
			verdicts[id] = ErrInvalidKey
		case status != tenant.Active:
			verdicts[id] = ErrInvalidOrganization
		case balance == 0:
			verdicts[id] = ErrNoCredits
		default:
			verdicts[id] = nil
		}
		return struct{}{}, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read keys, organizations and balances: %w", err)
	}
	return verdicts, number, nil
}

// free reports whether the submission needs no credits.
func (s *Submission) free() bool { return len(s.Items) > 0 && !s.Items[0].Kind.Paid() }

// The refusals of Accept, in the words of the contract.
var (
	ErrInvalidKey          = usersync.Errorf(usersync.CodeUnauthorized, "Invalid API Key")
	ErrInvalidOrganization = usersync.Errorf(usersync.CodeUnauthorized, "Invalid organization ID")
	ErrNoCredits           = usersync.Errorf(usersync.CodeNoCredit, "API Key has no remaining credits.")
)
