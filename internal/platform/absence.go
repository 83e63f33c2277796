package platform

import (
	"context"
	"fmt"
	"slices"
	"time"

	"usersync/internal/store"
)

// This file is about users who are to be taken off a platform, and stay users here. A row
// of pushes that is absent says so, until the platform has done it or somebody wants the
// user there again.

var (
	// A call or a job that is under way is waited for, since it may bring the user.
	absenceStatement = store.Define("platform.absence", `
INSERT INTO pushes (connection_id, user_id, organization_id, status, rank, due_at, wanted_at, absent)
SELECT r.connection_id, r.user_id, $1, 'pending', r.rank, {now}, {now}, 1 FROM {rows} WHERE true
ON CONFLICT (connection_id, user_id, organization_id) DO UPDATE SET absent = 1, pushed_hash = '', rank = excluded.rank,
    wanted_at = CASE WHEN pushes.absent = 1 AND pushes.due_at > 0 THEN pushes.wanted_at ELSE {now} END,
    attempts = CASE WHEN pushes.absent = 1 AND pushes.due_at > 0 THEN pushes.attempts ELSE 0 END,
    due_at = CASE WHEN pushes.status IN ('calling', 'confirming') THEN pushes.due_at ELSE {now} END,
    status = CASE WHEN pushes.status IN ('calling', 'confirming') THEN pushes.status ELSE 'pending' END
WHERE pushes.removal = ''`,
		store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("rank", store.Bigint), store.Col("version", store.Bigint))
	noteAbsenceStatement = store.Define("platform.noteAbsence", `
INSERT INTO pushes (connection_id, user_id, organization_id, rank, absent)
SELECT r.connection_id, r.user_id, $1, r.rank, 1 FROM {rows} WHERE true
ON CONFLICT (connection_id, user_id, organization_id) DO UPDATE SET absent = 1, pushed_hash = '' WHERE pushes.removal = ''`,
		store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("rank", store.Bigint), store.Col("version", store.Bigint))
	stayStatement = store.Define("platform.stay", `
UPDATE pushes SET absent = 0 FROM {rows} WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id AND pushes.absent = 1`,
		store.Col("connection_id", store.Text), store.Col("user_id", store.Text))
)

// wantAbsences has users be taken off. wants are sorted.
func wantAbsences(ctx context.Context, tx *store.Tx, organization string, wants []Want) error {
	if len(wants) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, absenceStatement, foldWants(absenceStatement, wants), organization); err != nil {
		return fmt.Errorf("want the absences: %w", err)
	}
	return nil
}

// noteAbsences remembers who is to be taken off once the connections are active.
func noteAbsences(ctx context.Context, tx *store.Tx, organization string, wants []Want) error {
	if len(wants) == 0 {
		return nil
	}
	if err := tx.Later(ctx, noteAbsenceStatement, foldWants(noteAbsenceStatement, wants), nil, organization); err != nil {
		return fmt.Errorf("note the absences: %w", err)
	}
	return nil
}

// stay takes back that users are to be taken off: they are pushed with what a request says.
func stay(ctx context.Context, tx *store.Tx, wants []Want) error {
	if len(wants) == 0 {
		return nil
	}
	set := stayStatement.Rows(len(wants))
	for _, w := range wants {
		set.Add(w.ConnectionID, w.UserID)
	}
	return tx.Later(ctx, stayStatement, set, nil)
}

// Departure is what became of a user who was to be taken off.
type Departure struct {
	UserID string
	// Gone says that the platform does not have the user any more. Otherwise it is tried
	// again at DueAt; zero for never.
	Gone     bool
	DueAt    time.Time
	Attempts int
}

var (
	departedStatement = store.Define("platform.departed", `
DELETE FROM pushes WHERE {row} {any}SELECT p.{row} FROM {rows} JOIN pushes p ON p.connection_id = r.connection_id AND p.user_id = r.user_id
    WHERE p.absent = 1 AND p.removal = ''{/any}`, store.Col("connection_id", store.Text), store.Col("user_id", store.Text))
	// Who departed and is still there was wanted again meanwhile, or erased.
	comeBackStatement = store.Define("platform.comeBack", `
UPDATE pushes SET pushed_hash = '', status = 'pending', due_at = {now}, attempts = 0, job = '' FROM {rows}
WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`,
		store.Col("connection_id", store.Text), store.Col("user_id", store.Text))
	stayedStatement = store.Define("platform.stayed", `
UPDATE pushes SET attempts = r.attempts,
    status = CASE WHEN r.due > 0 OR pushes.absent = 0 OR pushes.removal <> '' THEN 'pending' ELSE 'idle' END,
    due_at = CASE WHEN pushes.absent = 0 OR pushes.removal <> '' THEN {now} ELSE r.due END
FROM {rows} WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`,
		store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("due", store.Bigint), store.Col("attempts", store.Bigint))
)

// SaveDepartures writes who was taken off a platform, under the claim of its pusher. Who
// was wanted there again meanwhile is pushed.
func SaveDepartures(ctx context.Context, tx *store.Tx, connection string, list []Departure) error {
	var gone []string
	stayed := stayedStatement.Rows(0)
	for _, d := range list {
		if d.Gone {
			gone = append(gone, d.UserID)
			continue
		}
		stayed.Add(connection, d.UserID, store.Micros(d.DueAt), int64(d.Attempts))
	}
	if stayed.Len() > 0 {
		if err := tx.Later(ctx, stayedStatement, stayed, nil); err != nil {
			return fmt.Errorf("save who is to be taken off later: %w", err)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	if _, err := tx.Exec(ctx, departedStatement, placeRows(departedStatement, connection, gone)); err != nil {
		return fmt.Errorf("drop who was taken off: %w", err)
	}
	if _, err := tx.Exec(ctx, comeBackStatement, placeRows(comeBackStatement, connection, gone)); err != nil {
		return fmt.Errorf("push again who was wanted meanwhile: %w", err)
	}
	return nil
}
