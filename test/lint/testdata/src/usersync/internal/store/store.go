// Package store has the shape of the real one.
package store

import (
	"context"

	"gorm.io/gorm"
)

type Store struct{ db *gorm.DB }

type Tx struct{ conn }

type Org struct{ store *Store }

type conn struct{}

func (s *Store) Org(id string) *Org { return &Org{s} }

func (s *Store) Tx(ctx context.Context, fn func(*Tx) error) error { return nil }

// UnsendAll is known to take a flag.
func (s *Store) UnsendAll(ctx context.Context, dead bool) error { return nil }

// Unsend has no excuse.
func (s *Store) Unsend(ctx context.Context, dead bool) error { return nil } // want `Unsend takes the bool dead`

func (o *Org) Drop(ctx context.Context, id string) error { return nil }

func (tx *Tx) Save(ctx context.Context, ids ...string) error { return nil }

func (c conn) exec(ctx context.Context, text string) error { return nil }

func (o *Org) rows(ids []string) {
	for range ids { // want `each turn of this loop asks the database or Redis, at line 36 with o.store.db.Where\("id"\).Find`
		o.store.db.Where("id").Find(nil)
	}
	for range ids {
		o.store.db.Where("id") // only the beginning of a query
	}
	for range ids { // want `with c.exec`
		var c conn
		_ = c.exec(context.Background(), "")
	}
}
