// Package credit keeps the credits of organizations: a balance each, the append-only
// ledger whose sum it is, and the rule that a request is charged at most once.
package credit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"usersync/internal/audit"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

var balanceStatement = store.Define("credit.balance", `SELECT balance FROM balances WHERE organization_id = $1`)

// Balance returns the organization's credits.
func Balance(ctx context.Context, o *store.Org) (balance int64, err error) {
	err = o.Reader().QueryRow(ctx, balanceStatement, o.ID()).Scan(&balance)
	return balance, store.Classify(err)
}

// Account is a locked balance row.
type Account struct {
	Organization string
	Balance      int64
	// Sequence is the number of the organization's last webhook message.
	Sequence int64
	// Now is the database's time when the lock was taken.
	Now time.Time
}

var lockBalanceStatement = store.Define("credit.lockBalance", `
SELECT balance, message_sequence, {now} FROM balances WHERE organization_id = $1 {for update}`)

// Lock locks the balance of an organization until the transaction ends.
func Lock(ctx context.Context, tx *store.Tx, organization string) (a Account, err error) {
	a.Organization = organization
	var now int64
	err = tx.QueryRow(ctx, lockBalanceStatement, organization).Scan(&a.Balance, &a.Sequence, &now)
	a.Now = store.At(now)
	if errors.Is(err, sql.ErrNoRows) {
		return a, tenant.ErrNotFound
	}
	return a, store.Classify(err)
}

var saveBalanceStatement = store.Define("credit.saveBalance", `
UPDATE balances SET balance = $2, message_sequence = $3 WHERE organization_id = $1`)

// Save writes a locked balance back.
func Save(ctx context.Context, tx *store.Tx, a Account) error {
	return tx.Later(ctx, saveBalanceStatement, nil, nil, a.Organization, a.Balance, a.Sequence)
}

var topUpStatement = store.Define("credit.topUp", `
INSERT INTO ledger (id, organization_id, kind, amount, reference, balance_after, created_at)
VALUES ($1, $2, 'top_up', $3, $4, $5, {now})
RETURNING id, kind, amount, request_id, reference, balance_after, created_at`)

var byReferenceStatement = store.Define("credit.byReference", `
SELECT id, kind, amount, request_id, reference, balance_after, created_at FROM ledger
WHERE organization_id = $1 AND reference = $2 AND reference <> ''`)

var unparkStatement = store.Define("credit.unpark", `
UPDATE outbox SET state = 'ready', look_at = 0 WHERE id {any}
    SELECT id FROM outbox WHERE state = 'parked' AND organization_id = $1 ORDER BY id LIMIT $2 {skip locked}{/any}`)

// ErrOtherAmount is the refusal of a top-up whose reference is known with another amount:
// whichever of both is meant, it is not this one again.
var ErrOtherAmount = usersync.Errorf(usersync.CodeConflict, "The reference is known, with another amount. Nothing was added.")

// TopUp adds credits and, in the same transaction, wakes as many requests that wait for
// credits, oldest first. A reference that was used before returns its first entry and
// adds nothing. With another amount than that it has code conflict.
func TopUp(ctx context.Context, s *store.Store, actor, organization string, amount int64, reference string) (entry Entry, err error) {
	if amount <= 0 {
		return entry, &usersync.Error{Code: usersync.CodeInvalid, Message: "amount must be a whole number above 0",
			Fields: []usersync.FieldError{{Field: "amount", Message: "must be a whole number above 0"}}}
	}
	err = s.Tx(ctx, func(tx *store.Tx) error {
		account, err := Lock(ctx, tx, organization)
		if err != nil {
			return err
		}
		if reference != "" {
			entry, err = scanEntry(tx.QueryRow(ctx, byReferenceStatement, organization, reference).Scan)
			if err == nil && entry.Amount != amount {
				return ErrOtherAmount
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return store.Classify(err)
			}
		}
		account.Balance += amount
		entry, err = scanEntry(tx.QueryRow(ctx, topUpStatement, usersync.NewID(usersync.PrefixLedger), organization, amount, reference, account.Balance).Scan)
		if err != nil {
			return fmt.Errorf("insert the top-up: %w", err)
		}
		if err := Save(ctx, tx, account); err != nil {
			return fmt.Errorf("save the balance: %w", err)
		}
		if err := Unpark(ctx, tx, organization, amount); err != nil {
			return fmt.Errorf("wake the parked tasks: %w", err)
		}
		return audit.Record(ctx, tx, organization, actor, "credits.top_up", entry.ID, "amount", "reference")
	})
	return entry, err
}

// Unpark makes up to n parked tasks of an organization ready again, oldest first.
func Unpark(ctx context.Context, tx *store.Tx, organization string, n int64) error {
	tx.Readied(queue.Run) // Only runs are parked.
	return tx.Later(ctx, unparkStatement, nil, nil, organization, n)
}

// The recursion hops over the index from one organization to the next, so one
// with a million parked tasks costs the same as one with two.
var payableStatement = store.Define("credit.payable", `
WITH RECURSIVE parked(organization_id) AS (
    SELECT (SELECT min(o.organization_id) FROM outbox o WHERE o.state = 'parked')
    UNION ALL
    SELECT (SELECT min(o.organization_id) FROM outbox o WHERE o.state = 'parked' AND o.organization_id > parked.organization_id)
    FROM parked WHERE parked.organization_id IS NOT NULL
)
SELECT b.organization_id, b.balance FROM parked JOIN balances b ON b.organization_id = parked.organization_id
WHERE b.balance > 0 LIMIT $1`)

// ResumePayable wakes parked tasks of up to limit organizations that have credits. A
// top-up wakes as many tasks as it adds credits. When one of them turns out to be free,
// its credit is left for a task that nothing else wakes.
func ResumePayable(ctx context.Context, s *store.Store, limit int) error {
	type payable struct {
		organization string
		balance      int64
	}
	list, err := store.Collect(ctx, s.Reader(), payableStatement, nil, func(scan func(...any) error) (p payable, err error) {
		return p, scan(&p.organization, &p.balance)
	}, limit)
	if err != nil {
		return fmt.Errorf("find parked tasks that can be paid: %w", err)
	}
	var failed []error
	//lint:loop each organization's tasks are woken in a transaction of its own
	for _, p := range list {
		err := s.Tx(ctx, func(tx *store.Tx) error { return Unpark(ctx, tx, p.organization, p.balance) })
		if err != nil {
			failed = append(failed, fmt.Errorf("wake the parked tasks of %s: %w", p.organization, err))
		}
	}
	return errors.Join(failed...)
}
