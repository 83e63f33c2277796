package store

import (
	"context"
	"database/sql"
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Org is one tenant's view of the database: everything it returns and changes
// belongs to that organization. Handlers of tenants' calls get an Org, never a
// Store.
type Org struct {
	store *Store
	id    string
}

// Org returns the view of one organization.
func (s *Store) Org(id string) *Org { return &Org{s, id} }

// ID returns the organization's id.
func (o *Org) ID() string { return o.id }

func (o *Org) reader() conn   { return o.store.reader() }
func (o *Org) writer() conn   { return o.store.writer() }
func (o *Org) finder() conn   { return o.store.finder() }
func (o *Org) keeper() conn   { return o.store.keeper() }
func (o *Org) sealer() Sealer { return o.store.seal }

// embedded reports whether the store is a file of this process alone.
func (o *Org) embedded() bool { return o.store.Embedded() }

// Tx runs fn in a transaction, see Store.Tx.
func (o *Org) Tx(ctx context.Context, fn func(*Tx) error) error { return o.store.Tx(ctx, fn) }

func (o *Org) GORM(ctx context.Context) *gorm.DB      { return o.store.GORM(ctx) }
func (o *Org) GORMWrite(ctx context.Context) *gorm.DB { return o.store.write.WithContext(ctx) }
func (s *Store) GORM(ctx context.Context) *gorm.DB    { return s.read.WithContext(ctx) }
func (s *Store) sealer() Sealer                       { return s.seal }
func (tx *Tx) GORM() *gorm.DB                         { return tx.gorm }
func (tx *Tx) sealer() Sealer                         { return tx.store.seal }

// org is the view of one organization, for what a transaction reads like others do.
func (tx *Tx) org(id string) *Org { return tx.store.Org(id) }

// gormDB is GORM's query builder: what is not hot is written with its conveniences.
type gormDB = gorm.DB

// notFound reports whether a query for one row found none.
func notFound(err error) bool {
	return errors.Is(err, sql.ErrNoRows) || errors.Is(err, gorm.ErrRecordNotFound)
}

// page narrows a query to one page of a list that is ordered by id, newest first.
func page(db *gorm.DB, before string, limit int) *gorm.DB {
	if before != "" {
		db = db.Where("id < ?", before)
	}
	return db.Order("id DESC").Limit(limit)
}

// lock returns the clause that locks the rows a query reads: nothing on
// SQLite, whose transactions begin by taking the one lock there is.
func (tx *Tx) lock() []clause.Expression {
	if tx.engine == sqlite {
		return nil
	}
	return []clause.Expression{clause.Locking{Strength: clause.LockingStrengthUpdate}}
}
