// Package receipt says how far the erasure of a person is at each platform. An erasure
// is done when every platform has answered and we hold nothing of the person ourselves.
package receipt

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"usersync/internal/store"
)

// Statuses of an erasure as a whole.
const (
	Running   = "running"
	Succeeded = "succeeded"
)

// Statuses of a platform's receipt.
const (
	Pending = "pending"
	Removed = "removed"
	Failed  = "failed"  // the platform refuses to remove the person
	Skipped = "skipped" // the connection was deleted before
)

// Receipt says how far the erasure at one platform is.
type Receipt struct {
	ConnectionID string `json:"connectionId"`
	Platform     string `json:"platform"`
	Status       string `json:"status"`
}

var (
	lockStatement = store.Define("receipt.lock", `
SELECT e.id, e.platforms, e.swept_at FROM {rows} JOIN erasures e ON e.id = r.id ORDER BY e.id {for update}`, store.Col("id", store.Text))
	saveStatement = store.Define("receipt.save", `
UPDATE erasures SET platforms = r.platforms, status = r.status,
    finished_at = CASE WHEN r.status = 'succeeded' AND finished_at = 0 THEN {now} ELSE finished_at END
FROM {rows} WHERE erasures.id = r.id`, store.Col("id", store.Text), store.Col("platforms", store.Text), store.Col("status", store.Text))
)

// Note writes what became of erased people at the platform of one connection: a
// receipt's status by the id of the erasure.
func Note(ctx context.Context, tx *store.Tx, connection string, statuses map[string]string) error {
	return change(ctx, tx, slices.Sorted(maps.Keys(statuses)), func(erasure string, receipts []Receipt) {
		for i := range receipts {
			if receipts[i].ConnectionID == connection {
				receipts[i].Status = statuses[erasure]
			}
		}
	})
}

// Close ends the erasure whose receipts are the last thing that it waited for. An id of
// no erasure changes nothing.
func Close(ctx context.Context, tx *store.Tx, erasure string) error {
	return change(ctx, tx, []string{erasure}, func(string, []Receipt) {})
}

// locked are the receipts of one erasure.
type locked struct {
	erasure  string
	receipts []Receipt
	swept    bool // we hold nothing of the person ourselves
}

func scanLocked(scan func(...any) error) (l locked, err error) {
	var text string
	var swept int64
	if err := scan(&l.erasure, &text, &swept); err != nil {
		return l, err
	}
	l.receipts, l.swept = []Receipt{}, swept != 0
	return l, store.Decode(text, &l.receipts)
}

// status returns the status of the erasure that follows from its receipts.
func (l locked) status() string {
	if !l.swept || slices.ContainsFunc(l.receipts, func(r Receipt) bool { return r.Status == Pending }) {
		return Running
	}
	return Succeeded
}

func change(ctx context.Context, tx *store.Tx, erasures []string, edit func(erasure string, receipts []Receipt)) error {
	if len(erasures) == 0 {
		return nil
	}
	list, err := store.Collect(ctx, tx.Conn, lockStatement, store.IDRows(lockStatement, erasures), scanLocked)
	if err != nil {
		return fmt.Errorf("lock the receipts of erasures: %w", err)
	}
	if len(list) == 0 {
		return nil
	}
	set := saveStatement.Rows(len(list))
	for _, l := range list {
		edit(l.erasure, l.receipts)
		encoded, err := json.Marshal(l.receipts)
		if err != nil {
			return fmt.Errorf("encode the receipts of an erasure: %w", err)
		}
		set.Add(l.erasure, string(encoded), l.status())
	}
	if _, err := tx.Exec(ctx, saveStatement, set); err != nil {
		return fmt.Errorf("save the receipts of erasures: %w", err)
	}
	return nil
}
