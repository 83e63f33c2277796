package platform

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Want is the wish that a connection's platform gets a user, for a step of a
// request, or for one user of a bulk (Position BulkPosition).
type Want struct {
	ConnectionID string
	UserID       string
	RequestID    string
	Position     int
	Mode         usersync.PushMode
	// Version of the user that the platform must have at least.
	Version int64
	Rank    int
}

// BulkPosition is the position of what belongs to a bulk and has no step.
const BulkPosition = -1

var wantStatement = store.Define("platform.want", `
INSERT INTO pushes (connection_id, user_id, organization_id, status, rank, due_at, wanted_version, wanted_at)
SELECT r.connection_id, r.user_id, $1, 'pending', r.rank, {now}, r.version, {now} FROM {rows} WHERE true
ON CONFLICT (connection_id, user_id, organization_id) DO UPDATE SET
    absent = 0,
    wanted_version = CASE WHEN excluded.wanted_version > pushes.wanted_version THEN excluded.wanted_version ELSE pushes.wanted_version END,
    wanted_at = CASE WHEN pushes.due_at = 0 THEN {now} ELSE pushes.wanted_at END,
    attempts = CASE WHEN pushes.due_at = 0 THEN 0 ELSE pushes.attempts END,
    rank = CASE WHEN pushes.due_at = 0 OR excluded.rank < pushes.rank THEN excluded.rank ELSE pushes.rank END,
    status = CASE WHEN pushes.status = 'idle' THEN 'pending' ELSE pushes.status END,
    due_at = CASE
        WHEN pushes.status = 'pending' AND excluded.rank = 0 THEN {now}
        WHEN pushes.status <> 'idle' THEN pushes.due_at
        WHEN excluded.rank = 0 OR pushes.pushed_at + $2 < {now} THEN {now}
        ELSE pushes.pushed_at + $2 END
WHERE pushes.removal = ''`,
	store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("rank", store.Bigint), store.Col("version", store.Bigint))

// waitText has room for when a wait is due that is work of its own.
const waitText = `
INSERT INTO push_waits (connection_id, user_id, request_id, organization_id, position, mode, version, rank, due_at, created_at)
SELECT r.connection_id, r.user_id, r.request_id, $1, r.position, r.mode, r.version, r.rank, {due}, {now} FROM {rows} WHERE true
ON CONFLICT (connection_id, user_id, request_id, organization_id) DO UPDATE SET position = excluded.position, mode = excluded.mode,
    version = excluded.version, rank = excluded.rank, due_at = excluded.due_at, attempts = 0, job = '', created_at = excluded.created_at`

var (
	waitStatement = store.Define("platform.wait",
		strings.ReplaceAll(waitText, "{due}", "CASE WHEN r.mode IN ('state', 'absence') THEN 0 ELSE {now} END"), waitRow...)
	waitAtRestStatement = store.Define("platform.waitAtRest", strings.ReplaceAll(waitText, "{due}", "0"), waitRow...)

	waitRow = []store.Column{
		store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("request_id", store.Text), store.Col("position", store.Bigint), store.Col("mode", store.Text),
		store.Col("version", store.Bigint), store.Col("rank", store.Bigint),
	}
)

// waitRows makes the rows of those who wait.
func waitRows(st *store.Statement, wants []Want) *store.Rows {
	set := st.Rows(len(wants))
	for _, w := range wants {
		set.Add(w.ConnectionID, w.UserID, w.RequestID, int64(w.Position), string(w.Mode), w.Version, int64(w.Rank))
	}
	return set
}

func byMode(wants []Want) map[usersync.PushMode][]Want {
	out := map[usersync.PushMode][]Want{}
	for _, w := range wants {
		out[w.Mode] = append(out[w.Mode], w)
	}
	return out
}

// WantPushes has users pushed to connections that are active, or taken off there, and
// wakes their pushers. What is wanted of one user at one connection coalesces: a wish that
// is there already is only raised, and of a push and an absence the newer one counts.
func WantPushes(ctx context.Context, tx *store.Tx, organization string, wants []Want) error {
	if len(wants) == 0 {
		return nil
	}
	sortWants(wants)
	of := byMode(wants)
	if err := wakePushes(ctx, tx, connectionsOf(wants)...); err != nil {
		return fmt.Errorf("wake the connection's task: %w", err)
	}
	if states := of[usersync.PushState]; len(states) > 0 {
		if _, err := tx.Exec(ctx, wantStatement, foldWants(wantStatement, states), organization, pushSpacing.Microseconds()); err != nil {
			return fmt.Errorf("want the pushes: %w", err)
		}
	}
	if err := wantAbsences(ctx, tx, organization, of[usersync.PushAbsence]); err != nil {
		return err
	}
	if err := stay(ctx, tx, of[usersync.PushOnce]); err != nil {
		return err
	}
	return tx.Later(ctx, waitStatement, waitRows(waitStatement, wants), nil, organization)
}

var noteStatement = store.Define("platform.notePushes", `
INSERT INTO pushes (connection_id, user_id, organization_id, rank, wanted_version)
SELECT r.connection_id, r.user_id, $1, r.rank, r.version FROM {rows} WHERE true
ON CONFLICT (connection_id, user_id, organization_id) DO UPDATE SET absent = 0,
    wanted_version = CASE WHEN excluded.wanted_version > pushes.wanted_version THEN excluded.wanted_version ELSE pushes.wanted_version END
WHERE pushes.removal = ''`,
	store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("rank", store.Bigint), store.Col("version", store.Bigint))

var lockRestingStatement = store.Define("platform.lockResting", `
SELECT c.id FROM {rows} JOIN connections c ON c.id = r.id WHERE c.status IN ('paused', 'disconnected') ORDER BY c.id {for update}`,
	store.Col("id", store.Text))

// AwaitPushes is WantPushes for connections that are paused or disconnected: users are
// pushed, or taken off, once these are active again. It returns store.ErrStale when one of
// them is active meanwhile, or deleted. It locks the connections, as those do who resume
// one, and comes before WantPushes.
func AwaitPushes(ctx context.Context, tx *store.Tx, organization string, wants []Want) error {
	if len(wants) == 0 {
		return nil
	}
	sortWants(wants)
	ids := connectionsOf(wants)
	resting, err := store.Collect(ctx, tx.Conn, lockRestingStatement, store.IDRows(lockRestingStatement, ids), store.ScanString)
	if err != nil {
		return fmt.Errorf("lock the connections that rest: %w", err)
	}
	if len(resting) < len(ids) {
		return store.ErrStale
	}
	of := byMode(wants)
	if states := of[usersync.PushState]; len(states) > 0 {
		if err := tx.Later(ctx, noteStatement, foldWants(noteStatement, states), nil, organization); err != nil {
			return fmt.Errorf("note the pushes: %w", err)
		}
	}
	if err := noteAbsences(ctx, tx, organization, of[usersync.PushAbsence]); err != nil {
		return err
	}
	if err := stay(ctx, tx, of[usersync.PushOnce]); err != nil {
		return err
	}
	return tx.Later(ctx, waitAtRestStatement, waitRows(waitAtRestStatement, wants), nil, organization)
}

func sortWants(wants []Want) {
	slices.SortFunc(wants, func(a, b Want) int {
		return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.RequestID, b.RequestID))
	})
}

// foldWants makes one row of all sorted wishes for one user at one connection.
func foldWants(st *store.Statement, wants []Want) *store.Rows {
	set := st.Rows(len(wants))
	for i := 0; i < len(wants); {
		one := wants[i]
		for i++; i < len(wants) && wants[i].ConnectionID == one.ConnectionID && wants[i].UserID == one.UserID; i++ {
			one.Version, one.Rank = max(one.Version, wants[i].Version), min(one.Rank, wants[i].Rank)
		}
		set.Add(one.ConnectionID, one.UserID, int64(one.Rank), one.Version)
	}
	return set
}

func connectionsOf(wants []Want) []string {
	var ids []string
	for _, w := range wants { // sorted by connection
		if len(ids) == 0 || ids[len(ids)-1] != w.ConnectionID {
			ids = append(ids, w.ConnectionID)
		}
	}
	return ids
}
