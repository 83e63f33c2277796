package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Org is one tenant's view of the database: everything it returns and changes
// belongs to that organization. Handlers of tenants' calls get an Org, never a
// Store.
//
// It writes in transactions alone, so that a view for a caller can have each of them
// checked, see Guarded.
type Org struct {
	store *Store
	id    string
	guard func(context.Context, *Tx) error
}

// Org returns the view of one organization.
func (s *Store) Org(id string) *Org { return &Org{store: s, id: id} }

// Guarded returns the same view for somebody whose right may end meanwhile: every
// transaction of it begins with guard, whose error undoes it.
func (o *Org) Guarded(guard func(context.Context, *Tx) error) *Org {
	return &Org{store: o.store, id: o.id, guard: guard}
}

// ID returns the organization's id.
func (o *Org) ID() string { return o.id }

// Reader is Store.Reader.
func (o *Org) Reader() Conn { return o.store.Reader() }

// GenericPlan is Store.GenericPlan.
func (o *Org) GenericPlan() Conn { return o.store.GenericPlan() }

// Now returns the database's time.
func (o *Org) Now(ctx context.Context) (time.Time, error) { return o.store.Now(ctx) }

// Sealer is Store.Sealer.
func (o *Org) Sealer() Sealer { return o.store.seal }

// embedded reports whether the store is a file of this process alone.
func (o *Org) embedded() bool { return o.store.Embedded() }

// Tx runs fn in a transaction, see Store.Tx. On a guarded view the guard runs ahead of fn.
func (o *Org) Tx(ctx context.Context, fn func(*Tx) error) error {
	if o.guard == nil {
		return o.store.Tx(ctx, fn)
	}
	return o.store.Tx(ctx, func(tx *Tx) error {
		if err := o.guard(ctx, tx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// GORM is Store.GORM. A query must say itself that it is for the organization.
func (o *Org) GORM(ctx context.Context) *gorm.DB { return o.store.GORM(ctx) }

// GORM builds queries that read, on the connections of Reader. Their errors are
// GORM's: see Classify and NotFound.
func (s *Store) GORM(ctx context.Context) *gorm.DB { return s.read.WithContext(ctx) }

// Sealer seals and opens stored secrets; nil where Options had none.
func (s *Store) Sealer() Sealer { return s.seal }

// GORM builds queries of the transaction. What Later holds back runs before them.
func (tx *Tx) GORM() *gorm.DB { return tx.gorm }

// Sealer is Store.Sealer.
func (tx *Tx) Sealer() Sealer { return tx.store.seal }

// Org is the view of one organization, for what a transaction reads like others do.
func (tx *Tx) Org(id string) *Org { return tx.store.Org(id) }

// GORMQuery is GORM's query builder: what is not hot is written with its conveniences.
type GORMQuery = gorm.DB

// NotFound reports whether a query for one row found none.
func NotFound(err error) bool {
	return errors.Is(err, sql.ErrNoRows) || errors.Is(err, gorm.ErrRecordNotFound)
}

// Page returns one page of a list that is ordered by id, newest first: what read makes
// of up to limit rows that query finds behind the id before, "" for the first page. An
// error of read is returned as it is.
func Page[R, T any](query *GORMQuery, before string, limit int, read func(R) (T, error)) ([]T, error) {
	if before != "" {
		query = query.Where("id < ?", before)
	}
	var rows []R
	if err := query.Order("id DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, Classify(err)
	}
	out := make([]T, 0, len(rows))
	for _, row := range rows {
		one, err := read(row)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// ForUpdate returns the clause that locks the rows a query reads: nothing on
// SQLite, whose transactions begin by taking the one lock there is.
func (tx *Tx) ForUpdate() []clause.Expression {
	if tx.Engine == SQLite {
		return nil
	}
	return []clause.Expression{clause.Locking{Strength: clause.LockingStrengthUpdate}}
}
