package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	sqlitelib "modernc.org/sqlite"

	"usersync/internal/usersync"
)

// ErrRace says that a row changed between reading and writing: read again.
var ErrRace = errors.New("store: a row changed meanwhile")

// Classify turns a database error into our own: unavailable when the database
// could not be reached, internal for the rest. Rows that are missing stay
// sql.ErrNoRows for the caller to name.
func Classify(err error) error {
	switch {
	case err == nil, errors.Is(err, sql.ErrNoRows), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, gorm.ErrRecordNotFound):
		return sql.ErrNoRows
	case usersync.CodeOf(err) == usersync.CodeUnavailable: // it was classified before
		return err
	case unreachable(err):
		return usersync.Errorf(usersync.CodeUnavailable, "The database cannot be reached.").Because(err)
	}
	return err
}

// unreachable reports whether err means that the database is down, starting,
// stopping or full, rather than that the statement is wrong.
func unreachable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// 08 connection, 53 out of resources, 57P shutdown and start-up, 58 I/O.
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") ||
			strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "58")
	}
	var lite *sqlitelib.Error
	if errors.As(err, &lite) {
		const ioErr, full, cantOpen = 10, 13, 14
		primary := lite.Code() & 0xff
		return primary == ioErr || primary == full || primary == cantOpen
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, context.DeadlineExceeded)
}

// collided reports whether the transaction lost against another and may simply
// run again: serialization failure, deadlock, lock not available, busy.
func collided(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "55P03"
	}
	var lite *sqlitelib.Error
	if errors.As(err, &lite) {
		const busy, locked = 5, 6
		primary := lite.Code() & 0xff
		return primary == busy || primary == locked
	}
	return errors.Is(err, ErrRace)
}

// IsDuplicate reports whether err is a unique index that refused a row.
func IsDuplicate(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite *sqlitelib.Error
	if errors.As(err, &lite) {
		const uniqueKey, primaryKey = 2067, 1555
		return lite.Code() == uniqueKey || lite.Code() == primaryKey
	}
	return false
}

// IsData reports whether err is about the data of a row: what makes it worth
// while to halve a set and find the guilty row.
func IsData(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23")
	}
	var lite *sqlitelib.Error
	if errors.As(err, &lite) {
		const tooBig, constraint, mismatch = 18, 19, 20
		primary := lite.Code() & 0xff
		return primary == tooBig || primary == constraint || primary == mismatch
	}
	return false
}

// ErrStale says that what a decision was made from has changed: load it again
// and decide again.
var ErrStale = errors.New("store: what was read has changed")
