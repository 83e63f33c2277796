package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"usersync/internal/store"
)

// Statuses of an erasure.
const (
	ErasureRunning   = "running"
	ErasureSucceeded = "succeeded"
)

// Statuses of a platform's receipt.
const (
	ReceiptPending = "pending"
	ReceiptRemoved = "removed"
	ReceiptFailed  = "failed"  // the platform refuses to remove the person
	ReceiptSkipped = "skipped" // the connection was deleted before
)

// Receipt says how far the erasure at one platform is.
type Receipt struct {
	ConnectionID string `json:"connectionId"`
	Platform     string `json:"platform"`
	Status       string `json:"status"`
}

var (
	lockReceiptsStatement = store.Define("platform.lockReceipts", `
SELECT e.id, e.platforms, e.swept_at FROM {rows} JOIN erasures e ON e.id = r.id ORDER BY e.id {for update}`, store.Col("id", store.Text))
	saveReceiptsStatement = store.Define("platform.saveReceipts", `
UPDATE erasures SET platforms = r.platforms, status = r.status,
    finished_at = CASE WHEN r.status = 'succeeded' AND finished_at = 0 THEN {now} ELSE finished_at END
FROM {rows} WHERE erasures.id = r.id`, store.Col("id", store.Text), store.Col("platforms", store.Text), store.Col("status", store.Text))
)

// noteReceipts writes what became of erased people at one platform: a receipt's
// status by the id of the erasure. An erasure is done when every platform has
// answered and we hold nothing ourselves.
func noteReceipts(ctx context.Context, tx *store.Tx, connection string, statuses map[string]string) error {
	return changeReceipts(ctx, tx, slices.Sorted(maps.Keys(statuses)), func(erasure string, receipts []Receipt) {
		for i := range receipts {
			if receipts[i].ConnectionID == connection {
				receipts[i].Status = statuses[erasure]
			}
		}
	})
}

// ChangeReceipts changes the receipts of one erasure under its lock, and ends the
// erasure when they are the last thing it waited for. An id of no erasure changes
// nothing.
func ChangeReceipts(ctx context.Context, tx *store.Tx, erasureID string, change func([]Receipt)) error {
	return changeReceipts(ctx, tx, []string{erasureID}, func(_ string, receipts []Receipt) { change(receipts) })
}

// lockedReceipts are the receipts of one erasure.
type lockedReceipts struct {
	erasure  string
	receipts []Receipt
	swept    bool // we hold nothing of the person ourselves
}

func scanReceipts(scan func(...any) error) (l lockedReceipts, err error) {
	var text string
	var swept int64
	if err := scan(&l.erasure, &text, &swept); err != nil {
		return l, err
	}
	l.receipts, l.swept = []Receipt{}, swept != 0
	return l, store.Decode(text, &l.receipts)
}

// status returns the status of the erasure that follows from its receipts.
func (l lockedReceipts) status() string {
	if !l.swept || slices.ContainsFunc(l.receipts, func(r Receipt) bool { return r.Status == ReceiptPending }) {
		return ErasureRunning
	}
	return ErasureSucceeded
}

func changeReceipts(ctx context.Context, tx *store.Tx, erasures []string, change func(erasure string, receipts []Receipt)) error {
	if len(erasures) == 0 {
		return nil
	}
	list, err := store.Collect(ctx, tx.Conn, lockReceiptsStatement, store.IDRows(lockReceiptsStatement, erasures), scanReceipts)
	if err != nil {
		return fmt.Errorf("lock the receipts of erasures: %w", err)
	}
	if len(list) == 0 {
		return nil
	}
	set := saveReceiptsStatement.Rows(len(list))
	for _, l := range list {
		change(l.erasure, l.receipts)
		encoded, err := json.Marshal(l.receipts)
		if err != nil {
			return fmt.Errorf("encode the receipts of an erasure: %w", err)
		}
		set.Add(l.erasure, string(encoded), l.status())
	}
	if _, err := tx.Exec(ctx, saveReceiptsStatement, set); err != nil {
		return fmt.Errorf("save the receipts of erasures: %w", err)
	}
	return nil
}
