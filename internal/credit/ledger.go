package credit

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Entry is a line of the append-only ledger. The balance is the sum of all
// amounts.
type Entry struct {
	ID           string        `json:"id"`
	Kind         string        `json:"kind"`   // top_up or charge
	Amount       int64         `json:"amount"` // in credits; negative for a charge
	RequestID    string        `json:"requestId,omitempty"`
	Reference    string        `json:"reference,omitempty"`
	BalanceAfter int64         `json:"balance"`
	CreatedAt    usersync.Time `json:"createdAt"`
}

// Kinds of ledger entries.
const (
	EntryTopUp  = "top_up"
	EntryCharge = "charge"
)

func scanEntry(scan func(...any) error) (e Entry, err error) {
	var created int64
	err = scan(&e.ID, &e.Kind, &e.Amount, &e.RequestID, &e.Reference, &e.BalanceAfter, &created)
	e.CreatedAt = store.Stamp(created)
	return e, err
}

// The tuple is compared over the columns of the primary key, whose order no other index
// has.
var ledgerStatement = store.Define("credit.ledger", `
SELECT id, kind, amount, request_id, reference, balance_after, created_at FROM ledger
WHERE (organization_id, id) < ($1, $2) AND organization_id >= $1 ORDER BY organization_id DESC, id DESC LIMIT $3`)

// Ledger returns up to limit entries, newest first, older than the id before
// when that is given.
func Ledger(ctx context.Context, o *store.Org, before string, limit int) ([]Entry, error) {
	return store.Collect(ctx, o.Reader(), ledgerStatement, nil, scanEntry, o.ID(), cmp.Or(before, store.AfterAll(usersync.PrefixLedger)), limit)
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

var verifyStatement = store.Define("credit.verify", `
SELECT b.balance, (SELECT coalesce(sum(amount), 0) FROM ledger WHERE organization_id = $1),
    (SELECT count(*) FROM ledger WHERE organization_id = $1),
    (SELECT count(*) FROM (SELECT request_id FROM ledger WHERE organization_id = $1 AND kind = 'charge'
        GROUP BY request_id HAVING count(*) > 1) AS twice)
FROM balances b WHERE b.organization_id = $1`)

// Verify recomputes the balance from the ledger.
func Verify(ctx context.Context, o *store.Org) (v Verification, err error) {
	err = o.Reader().QueryRow(ctx, verifyStatement, o.ID()).Scan(&v.Balance, &v.Sum, &v.Entries, &v.Overcharged)
	v.OK = v.Balance == v.Sum && v.Overcharged == 0
	if errors.Is(err, sql.ErrNoRows) {
		return v, tenant.ErrNotFound
	}
	return v, store.Classify(err)
}

var chargeStatement = store.Define("credit.charge", `
INSERT INTO ledger (id, organization_id, kind, amount, request_id, balance_after, created_at)
SELECT r.id, $1, 'charge', -1, r.request_id, r.balance_after, {now} FROM {rows} WHERE true`,
	store.Col("id", store.Text), store.Col("request_id", store.Text), store.Col("balance_after", store.Bigint))

// Charge takes one credit from a locked account for each of the requests. The request
// of an entry is unique, so a second charge for a request fails the transaction. The ids
// of entries are made under the lock, because the ledger is listed in their order.
func Charge(ctx context.Context, tx *store.Tx, a *Account, requests []string) error {
	if len(requests) == 0 {
		return nil
	}
	set := chargeStatement.Rows(len(requests))
	for _, id := range requests {
		a.Balance--
		set.Add(usersync.NewID(usersync.PrefixLedger), id, a.Balance)
	}
	return tx.Later(ctx, chargeStatement, set, nil, a.Organization)
}

var chargesStatement = store.Define("credit.charges", `
SELECT l.id, l.kind, l.amount, l.request_id, l.reference, l.balance_after, l.created_at
FROM {rows} JOIN ledger l ON l.organization_id = r.organization_id AND l.request_id = r.id AND l.request_id <> ''`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Charges returns the entries that charge for the requests, in no order: a request
// that is free or not paid yet has none.
func Charges(ctx context.Context, o *store.Org, requests []string) ([]Entry, error) {
	set := chargesStatement.Rows(len(requests))
	for _, id := range requests {
		set.Add(o.ID(), id)
	}
	list, err := store.Collect(ctx, o.Reader(), chargesStatement, set, scanEntry)
	if err != nil {
		return nil, fmt.Errorf("read the charges of requests: %w", err)
	}
	return list, nil
}
