package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	sqlitelib "modernc.org/sqlite"

	"usersync/internal/usersync"
)

// ErrRace says that a row changed between reading and writing: read again.
var ErrRace = errors.New("store: a row changed meanwhile")

// Classify turns a database error into our own: unavailable, with the cause
// usersync.ErrDatabaseAway, when the database does not do now what it does at another
// time, internal for the rest. Rows that are missing stay sql.ErrNoRows for the caller to
// name.
func Classify(err error) error {
	switch {
	case err == nil, errors.Is(err, sql.ErrNoRows), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, gorm.ErrRecordNotFound):
		return sql.ErrNoRows
	case usersync.CodeOf(err) == usersync.CodeUnavailable: // it was classified before
		return err
	case refusesNow(err):
		return away("The database does not take this now.", err)
	case unreachable(err):
		return away("The database cannot be reached.", err)
	}
	return err
}

func away(message string, cause error) error {
	return usersync.Errorf(usersync.CodeUnavailable, "%s", message).Because(fmt.Errorf("%w: %w", usersync.ErrDatabaseAway, cause))
}

// readOnly is the SQLSTATE by which PostgreSQL refuses to write: a standby, and a primary
// that was made one.
const readOnly = "25006"

// notNow are the SQLSTATEs, or the beginnings of them, by which PostgreSQL says that it
// does not do now what it does at another time, and that the statement is not to blame
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
var notNow = []string{
	"08",     // the connection broke
	readOnly, //
	"25P03",  // the transaction was idle for too long: this process stood still
	"25P04",  // the transaction took too long
	"40001",  // it lost against another transaction, each time it was repeated; a standby says so too
	"40003",  // nobody knows whether the statement was completed
	"40P01",  // deadlock, likewise
	"53",     // no room: disk, memory, connections
	"55P03",  // a lock was not to be had in time
	"57014",  // cancelled: by statement_timeout, or by an operator
	"57P",    // shutting down, crashed, starting; the session was idle for too long
	"58",     // the system beneath failed: input and output
}

// refusesNow reports whether the database answers, and says that it is not the time.
func refusesNow(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.ContainsFunc(notNow, func(code string) bool { return strings.HasPrefix(pg.Code, code) })
	}
	if lite, ok := errors.AsType[*sqlitelib.Error](err); ok {
		// https://www.sqlite.org/rescode.html
		const busy, locked, readonly, ioErr, full, cantOpen, protocol = 5, 6, 8, 10, 13, 14, 15
		return slices.Contains([]int{busy, locked, readonly, ioErr, full, cantOpen, protocol}, lite.Code()&0xff)
	}
	return false
}

// unreachable reports whether err means that the database was not heard.
func unreachable(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, context.DeadlineExceeded)
}

// refusesWrites reports whether err says that the database takes nothing that writes.
func refusesWrites(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == readOnly
}

// keepsConnection is pgconn.Config.OnPgError: it reports whether a connection can be used
// after an error. One that has been told that the database is read-only is replaced, so
// that the next is made to whoever is the primary by then.
func keepsConnection(_ *pgconn.PgConn, err *pgconn.PgError) bool {
	return !strings.EqualFold(err.Severity, "FATAL") && err.Code != readOnly
}

// collided reports whether the transaction lost against another and may simply run again
// at once: serialization failure, deadlock, busy. A lock that was not to be had in time is
// none: it was waited for.
func collided(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01"
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
