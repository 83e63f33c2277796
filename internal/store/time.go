package store

import (
	"context"
	"time"

	"usersync/internal/usersync"
)

var nowStatement = Define("store.now", `SELECT {now}`)

// Now returns the database's time.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var us int64
	err := s.Reader().QueryRow(ctx, nowStatement).Scan(&us)
	return At(us), err
}

// Now returns the database's time.
func (tx *Tx) Now(ctx context.Context) (time.Time, error) {
	var us int64
	err := tx.QueryRow(ctx, nowStatement).Scan(&us)
	return At(us), err
}

// Micros is how times are stored: UTC microseconds since 1970, 0 for never.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// At is the inverse of Micros.
func At(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Stamp is At for the times that the API shows.
func Stamp(us int64) usersync.Time { return usersync.Time{Time: At(us)} }
