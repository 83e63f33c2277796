package login

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Limit bounds how often something is tried, over all processes.
type Limit struct {
	// What is tried.
	What string
	// Burst may be tried at once, and one more each Every.
	Burst int
	Every time.Duration
}

// ahead is how far the tries of a full burst reach, but for one.
func (l Limit) ahead() int64 { return int64(l.Burst-1) * l.Every.Microseconds() }

// The pace is kept as GCRA does: reached_at moves on with each try, and tries fit while it
// is not further than a burst ahead. One statement judges and counts, so that no two tries
// take the last place.
var (
	takeStatement = store.Define("login.take", `
INSERT INTO login_tries (organization_id, what, who, reached_at) VALUES ($1, $2, $3, {now} + $4)
ON CONFLICT (organization_id, what, who) DO UPDATE
SET reached_at = CASE WHEN login_tries.reached_at > {now} THEN login_tries.reached_at ELSE {now} END + $4
WHERE login_tries.reached_at <= {now} + $5
RETURNING 1`)
	leftStatement     = store.Define("login.left", `SELECT reached_at - {now} FROM login_tries WHERE organization_id = $1 AND what = $2 AND who = $3`)
	giveBackStatement = store.Define("login.giveBack", `
UPDATE login_tries SET reached_at = reached_at - $4 WHERE organization_id = $1 AND what = $2 AND who = $3 AND reached_at > {now}`)
)

// Take counts a try for or by somebody, a keyed hash. The error has the code rate_limited
// where there were too many; then nothing is counted.
func Take(ctx context.Context, tx *store.Tx, organization string, l Limit, who string) error {
	var one int
	err := tx.QueryRow(ctx, takeStatement, organization, l.What, who, l.Every.Microseconds(), l.ahead()).Scan(&one)
	if err == nil {
		return nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("count the try: %w", store.Classify(err))
	}
	left := l.ahead()
	if err := tx.QueryRow(ctx, leftStatement, organization, l.What, who).Scan(&left); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read how long to wait: %w", store.Classify(err))
	}
	wait := max(time.Duration(left-l.ahead())*time.Microsecond, time.Second)
	return &usersync.Error{Code: usersync.CodeRateLimited, RetryAfter: wait, Message: "This was tried too often. Try again later."}
}

// GiveBack takes a try out of the count: one that was right.
func GiveBack(ctx context.Context, tx *store.Tx, organization string, l Limit, who string) error {
	if _, err := tx.Exec(ctx, giveBackStatement, nil, organization, l.What, who, l.Every.Microseconds()); err != nil {
		return fmt.Errorf("give the try back: %w", err)
	}
	return nil
}

var (
	expiredCodesStatement = store.Define("login.expiredCodes", `
DELETE FROM login_codes WHERE {row} {any}
    SELECT {row} FROM login_codes WHERE expires_at < (SELECT {now}) ORDER BY expires_at LIMIT $1 {skip locked}{/any}`)
	oldTriesStatement = store.Define("login.oldTries", `
DELETE FROM login_tries WHERE {row} {any}
    SELECT {row} FROM login_tries WHERE reached_at < (SELECT {now}) ORDER BY reached_at LIMIT $1 {skip locked}{/any}`)
)

// DropExpired removes up to limit codes that are not good any more, and as many counts of
// tries that count no longer. It returns the larger of the numbers that it removed.
func DropExpired(ctx context.Context, s *store.Store, limit int) (int64, error) {
	codes, err := s.Writer().Exec(ctx, expiredCodesStatement, nil, limit)
	if err != nil {
		return 0, fmt.Errorf("delete the codes that expired: %w", err)
	}
	tries, err := s.Writer().Exec(ctx, oldTriesStatement, nil, limit)
	if err != nil {
		return 0, fmt.Errorf("delete the old tries: %w", err)
	}
	return max(codes, tries), nil
}
