// Package gorm has the shape of the real one.
package gorm

type DB struct{}

func (db *DB) Where(query string) *DB { return db }

func (db *DB) Find(dest any) *DB { return db }
