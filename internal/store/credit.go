package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"usersync/internal/usersync"
)

// balanceRow is a row of balances: the first lock of settling and of top-up.
type balanceRow struct {
	OrganizationID  string `gorm:"primaryKey"`
	Balance         int64
	MessageSequence int64
}

func (balanceRow) TableName() string { return "balances" }

var balanceStatement = define(`SELECT balance FROM balances WHERE organization_id = $1`)

// Balance returns the organization's credits.
func (o *Org) Balance(ctx context.Context) (balance int64, err error) {
	err = o.reader().row(ctx, balanceStatement, o.ID()).Scan(&balance)
	return balance, classify(err)
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

var lockBalanceStatement = define(`
SELECT balance, message_sequence, {now} FROM balances WHERE organization_id = $1 {for update}`)

// LockAccount locks the balance of an organization until the transaction ends.
func (tx *Tx) LockAccount(ctx context.Context, organization string) (a Account, err error) {
	a.Organization = organization
	var now int64
	err = tx.row(ctx, lockBalanceStatement, organization).Scan(&a.Balance, &a.Sequence, &now)
	a.Now = at(now)
	if errors.Is(err, sql.ErrNoRows) {
		return a, ErrNoOrganization
	}
	return a, classify(err)
}

var openAccountStatement = define(`
SELECT b.balance, b.message_sequence, {now}, coalesce((SELECT string_agg('{"id":"' || e.id || '","eventTypes":' || e.event_types || '}', ',')
    FROM webhook_endpoints e WHERE e.organization_id = $1 AND e.status = 'enabled'), '')
FROM balances b WHERE b.organization_id = $1 {for update}`)

// OpenAccount is LockAccount and Subscriptions in one way to the database.
func (tx *Tx) OpenAccount(ctx context.Context, organization string) (a Account, endpoints []usersync.Endpoint, err error) {
	a.Organization = organization
	var now int64
	var list string
	err = tx.row(ctx, openAccountStatement, organization).Scan(&a.Balance, &a.Sequence, &now, &list)
	a.Now = at(now)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil, ErrNoOrganization
	}
	if err == nil {
		err = json.Unmarshal([]byte("["+list+"]"), &endpoints)
	}
	for i := range endpoints {
		endpoints[i].Status = usersync.EndpointEnabled
	}
	slices.SortFunc(endpoints, func(a, b usersync.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return a, endpoints, classify(err)
}

var saveBalanceStatement = define(`
UPDATE balances SET balance = $2, message_sequence = $3 WHERE organization_id = $1`)

// SaveAccount writes a locked balance back.
func (tx *Tx) SaveAccount(ctx context.Context, a Account) error {
	return tx.later(ctx, saveBalanceStatement, nil, nil, a.Organization, a.Balance, a.Sequence)
}

var chargeStatement = define(`
INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at)
SELECT r.id, $1, 'charge', -1, r.request_id, r.balance_after, {now} FROM {rows} WHERE true`,
	col("id", text), col("request_id", text), col("balance_after", bigint))

// Charge takes one credit from a locked account for each of the requests. The
// request of an entry is unique, so a second charge for one cannot be written:
// it fails the transaction. Ids are made now: the ledger is listed by them.
func (tx *Tx) Charge(ctx context.Context, a *Account, requests []string) error {
	if len(requests) == 0 {
		return nil
	}
	set := chargeStatement.rows(len(requests))
	for _, id := range requests {
		a.Balance--
		set.add(usersync.NewID(usersync.PrefixLedger), id, a.Balance)
	}
	return tx.later(ctx, chargeStatement, set, nil, a.Organization)
}

var topUpStatement = define(`
INSERT INTO ledger (id, organization_id, kind, amount, reference, balance_after, created_at)
VALUES ($1, $2, 'top_up', $3, $4, $5, {now})
RETURNING id, kind, amount, request_id, reference, balance_after, created_at`)

var byReferenceStatement = define(`
SELECT id, kind, amount, request_id, reference, balance_after, created_at FROM ledger
WHERE organization_id = $1 AND reference = $2 AND reference <> ''`)

var unparkStatement = define(`
UPDATE outbox SET state = 'ready', look_at = 0 WHERE id {any}
    SELECT id FROM outbox WHERE state = 'parked' AND organization_id = $1 ORDER BY id LIMIT $2 {skip locked}{/any}`)

// TopUp adds credits and, in the same transaction, has as many waiting
// requests go on as it added, oldest first. The same reference twice returns
// the first entry and adds nothing.
func (s *Store) TopUp(ctx context.Context, actor, organization string, amount int64, reference string) (entry usersync.Entry, err error) {
	if amount <= 0 {
		return entry, &usersync.Error{Code: usersync.CodeInvalid, Message: "amount must be a whole number above 0",
			Fields: []usersync.FieldError{{Field: "amount", Message: "must be a whole number above 0"}}}
	}
	err = s.Tx(ctx, func(tx *Tx) error {
		account, err := tx.LockAccount(ctx, organization)
		if err != nil {
			return err
		}
		if reference != "" {
			entry, err = scanEntry(tx.row(ctx, byReferenceStatement, organization, reference).Scan)
			if !errors.Is(err, sql.ErrNoRows) {
				return classify(err)
			}
		}
		account.Balance += amount
		entry, err = scanEntry(tx.row(ctx, topUpStatement, usersync.NewID(usersync.PrefixLedger), organization, amount, reference, account.Balance).Scan)
		if err != nil {
			return err
		}
		if err := tx.SaveAccount(ctx, account); err != nil {
			return err
		}
		if err := tx.Unpark(ctx, organization, amount); err != nil {
			return err
		}
		return tx.audit(ctx, organization, actor, "credits.top_up", entry.ID, "amount", "reference")
	})
	return entry, err
}

// Unpark has up to n parked tasks of an organization go on, oldest first.
func (tx *Tx) Unpark(ctx context.Context, organization string, n int64) error {
	return tx.later(ctx, unparkStatement, nil, nil, organization, n)
}

func scanEntry(scan func(...any) error) (e usersync.Entry, err error) {
	var created int64
	err = scan(&e.ID, &e.Kind, &e.Amount, &e.RequestID, &e.Reference, &e.BalanceAfter, &created)
	e.CreatedAt = stamp(created)
	return e, err
}

// The tuple is compared over the columns of the index ledger_organization, whose
// order no other index has.
var ledgerStatement = define(`
SELECT id, kind, amount, request_id, reference, balance_after, created_at FROM ledger
WHERE (organization_id, id) < ($1, $2) AND organization_id >= $1 ORDER BY organization_id DESC, id DESC LIMIT $3`)

// Ledger returns up to limit entries, newest first, older than the id before
// when that is given.
func (o *Org) Ledger(ctx context.Context, before string, limit int) ([]usersync.Entry, error) {
	return collect(ctx, o.reader(), ledgerStatement, nil, scanEntry, o.ID(), cmp.Or(before, afterAll(usersync.PrefixLedger)), limit)
}

// Verification is the proof that the ledger and the balance agree.
type Verification struct {
	OK      bool  `json:"ok"`
	Balance int64 `json:"balance"`
	Sum     int64 `json:"sum"`
	Entries int64 `json:"entries"`
	// Overcharged counts requests with more than one charge: always 0.
	Overcharged int64 `json:"overcharged"`
}

var verifyStatement = define(`
SELECT b.balance, (SELECT coalesce(sum(amount), 0) FROM ledger WHERE organization_id = $1),
    (SELECT count(*) FROM ledger WHERE organization_id = $1),
    (SELECT count(*) FROM (SELECT request_id FROM ledger WHERE organization_id = $1 AND kind = 'charge'
        GROUP BY request_id HAVING count(*) > 1) AS twice)
FROM balances b WHERE b.organization_id = $1`)

// Verify recomputes the balance from the ledger.
func (o *Org) Verify(ctx context.Context) (v Verification, err error) {
	err = o.reader().row(ctx, verifyStatement, o.ID()).Scan(&v.Balance, &v.Sum, &v.Entries, &v.Overcharged)
	v.OK = v.Balance == v.Sum && v.Overcharged == 0
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrNoOrganization
	}
	return v, classify(err)
}

// The recursion hops over the index from one organization to the next, so one
// with a million parked tasks costs the same as one with two.
var payableStatement = define(`
WITH RECURSIVE parked(organization_id) AS (
    SELECT (SELECT min(o.organization_id) FROM outbox o WHERE o.state = 'parked')
    UNION ALL
    SELECT (SELECT min(o.organization_id) FROM outbox o WHERE o.state = 'parked' AND o.organization_id > parked.organization_id)
    FROM parked WHERE parked.organization_id IS NOT NULL
)
SELECT b.organization_id, b.balance FROM parked JOIN balances b ON b.organization_id = parked.organization_id
WHERE b.balance > 0 LIMIT $1`)

// ResumePayable has parked tasks go on wherever there are credits for them:
// what a top-up did not wake because an earlier request turned out to be free.
func (s *Store) ResumePayable(ctx context.Context, limit int) error {
	type payable struct {
		organization string
		balance      int64
	}
	list, err := collect(ctx, s.reader(), payableStatement, nil, func(scan func(...any) error) (p payable, err error) {
		return p, scan(&p.organization, &p.balance)
	}, limit)
	if err != nil {
		return err
	}
	//lint:loop each organization's balance is locked in a transaction of its own
	for _, p := range list {
		err := s.Tx(ctx, func(tx *Tx) error { return tx.Unpark(ctx, p.organization, p.balance) })
		if err != nil {
			return err
		}
	}
	return nil
}
