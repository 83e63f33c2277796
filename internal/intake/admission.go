package intake

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// numbersPerCommit is how many acceptance sequences one commit may give out. It is
// more than a Batcher puts into one: maxRows and the largest submission.
const numbersPerCommit = 4096

// gateText reads what decides about the keys, and the number of the commit.
const gateText = `
SELECT k.id, o.status, b.balance, k.scopes, k.revoked_at, k.expires_at, {now}, (%s) FROM {rows}
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
	gates, number, err := readGates(ctx, tx, submissions)
	if err != nil {
		return nil, err
	}
	sequence := number * numbersPerCommit
	open := make([]*Submission, 0, len(submissions))
	for _, sub := range submissions {
		verdict := gates[sub.KeyID].judge(sub)
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

var ownNumber = store.DefinePerEngine("intake.ownNumber", `SELECT nextval('acceptance')`, `SELECT number FROM acceptance`)

// NextSequence returns an acceptance sequence that is greater than any before, for what
// the service itself says or asks for.
func NextSequence(ctx context.Context, tx *store.Tx) (int64, error) {
	if tx.Embedded() {
		if _, err := tx.Exec(ctx, nextNumber, nil); err != nil {
			return 0, fmt.Errorf("count the change: %w", err)
		}
	}
	var number int64
	if err := tx.QueryRow(ctx, ownNumber).Scan(&number); err != nil {
		return 0, fmt.Errorf("read the number of the change: %w", err)
	}
	return number * numbersPerCommit, nil
}

// AcceptOwn accepts a request that the service makes itself, in the transaction of what it
// makes it for. It asks no key and no balance.
func AcceptOwn(ctx context.Context, tx *store.Tx, organization string, a *Acceptance) (err error) {
	a.organization = organization
	if a.sequence, err = NextSequence(ctx, tx); err != nil {
		return err
	}
	return write(ctx, tx, []*Submission{{Organization: organization, Items: []*Acceptance{a}}}, Plan, 1)
}

// gate is what decides about the submissions of a key; its zero value is that of a key
// which does not exist.
type gate struct {
	key     tenant.Key
	status  string // of the organization
	balance int64
	now     time.Time
}

// judge returns why a submission may not pass, nil where it may.
func (g gate) judge(sub *Submission) *usersync.Error {
	if g.key.ID == "" {
		return ErrInvalidKey
	}
	if refusal := g.key.Refuse(g.now, g.status, sub.Scope); refusal != nil {
		return refusal
	}
	if g.balance == 0 && !sub.free() {
		return ErrNoCredits
	}
	return nil
}

// readGates returns the gates of the submissions by the ids of their keys, and a number
// greater than any before; 0 when none of the keys exists.
func readGates(ctx context.Context, tx *store.Tx, submissions []*Submission) (gates map[string]gate, number int64, err error) {
	set := gateStatement.Rows(1)
	gates = map[string]gate{}
	for _, sub := range submissions {
		if _, seen := gates[sub.KeyID]; !seen {
			gates[sub.KeyID] = gate{}
			set.Add(sub.KeyID)
		}
	}
	_, err = store.Collect(ctx, tx.Conn, gateStatement, set, func(scan func(...any) error) (struct{}, error) {
		var g gate
		var scopes string
		var revoked, expires, now int64
		if err := scan(&g.key.ID, &g.status, &g.balance, &scopes, &revoked, &expires, &now, &number); err != nil {
			return struct{}{}, err
		}
		g.key.RevokedAt, g.key.ExpiresAt, g.now = store.Stamp(revoked), store.Stamp(expires), store.At(now)
		err := store.Decode(scopes, &g.key.Scopes)
		gates[g.key.ID] = g
		return struct{}{}, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read keys, organizations and balances: %w", err)
	}
	return gates, number, nil
}

// free reports whether the submission needs no credits.
func (s *Submission) free() bool { return len(s.Items) > 0 && !s.Items[0].Kind.Paid() }

// The refusals of Accept, in the words of the contract.
var (
	ErrInvalidKey          = tenant.ErrInvalidKey
	ErrInvalidOrganization = tenant.ErrInvalidOrganization
	ErrNoCredits           = usersync.Errorf(usersync.CodeNoCredit, "API Key has no remaining credits.")
)
