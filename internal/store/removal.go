package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"usersync/internal/usersync"
)

var (
	connectionsOfUserStatement = define(`SELECT connection_id FROM pushes WHERE user_id = $1`)

	userPushesStatement = define(`
SELECT p.connection_id, p.user_id, c.platform, p.pushed_version > 0 OR p.pushed_at > 0 OR p.status IN ('calling', 'confirming') OR p.attempts > 0
FROM pushes p JOIN connections c ON c.id = p.connection_id WHERE p.user_id = $1 ORDER BY p.connection_id {for update}`)
	removalStatement = define(`
UPDATE pushes SET removal = r.removal, erasure_id = $1, rank = 0, wanted_at = {now}, attempts = 0, pushed_hash = '', job = '',
    due_at = CASE WHEN (SELECT c.status FROM connections c WHERE c.id = pushes.connection_id) <> 'active' THEN 0
        WHEN pushes.status = 'calling' THEN pushes.due_at ELSE {now} END,
    status = CASE WHEN pushes.status = 'calling' THEN 'calling' ELSE 'pending' END
FROM {rows} WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`,
		col("connection_id", text), col("user_id", text), col("removal", text))
	dropUserPushesStatement = define(`DELETE FROM pushes WHERE user_id = $1 AND removal = ''`)
	dropUserWaitsStatement  = define(`DELETE FROM push_waits WHERE user_id = $1 RETURNING request_id, position`)
)

// erasePushes has an erased user be removed at every platform that may know
// them, and returns a receipt for each. Who waited for a push of theirs waits no
// more. address is sealed in each row until it is removed there. The pumps have
// been woken before, see wakePushesOf.
func (tx *Tx) erasePushes(ctx context.Context, organization, userID, address, erasureID string) ([]usersync.PlatformReceipt, error) {
	type row struct {
		connection, user, platform string
		known                      bool
	}
	list, err := collect(ctx, tx.conn, userPushesStatement, nil, func(scan func(...any) error) (r row, err error) {
		return r, scan(&r.connection, &r.user, &r.platform, &r.known)
	}, userID)
	if err != nil {
		return nil, err
	}
	if err := tx.dropUserWaits(ctx, organization, userID); err != nil {
		return nil, err
	}
	receipts := []usersync.PlatformReceipt{}
	set := removalStatement.rows(len(list))
	for _, r := range list {
		if !r.known {
			continue
		}
		sealed, err := tx.sealer().Seal([]byte(address), removalPlace(r.connection, r.user))
		if err != nil {
			return nil, err
		}
		set.add(r.connection, r.user, sealed)
		receipts = append(receipts, usersync.PlatformReceipt{ConnectionID: r.connection, Platform: r.platform, Status: usersync.ReceiptPending})
	}
	if set.len() > 0 {
		if err := tx.later(ctx, removalStatement, set, nil, erasureID); err != nil {
			return nil, err
		}
	}
	_, err = tx.exec(ctx, dropUserPushesStatement, nil, userID)
	return receipts, err
}

// wakePushesOf has the pumps look to which the user is known.
func (tx *Tx) wakePushesOf(ctx context.Context, userID string) error {
	connections, err := collect(ctx, tx.conn, connectionsOfUserStatement, nil, func(scan func(...any) error) (id string, err error) {
		return id, scan(&id)
	}, userID)
	if err != nil {
		return err
	}
	return tx.wakePushes(ctx, connections...)
}

// dropUserWaits ends what waits for pushes of an erased user: bulks count them
// as skipped; the requests of their own fail, see endRequests.
func (tx *Tx) dropUserWaits(ctx context.Context, organization, userID string) error {
	bulks := map[string]usersync.Progress{}
	_, err := collect(ctx, tx.conn, dropUserWaitsStatement, nil, func(scan func(...any) error) (struct{}, error) {
		var request string
		var position int
		err := scan(&request, &position)
		if position == BulkPosition {
			bulks[request] = usersync.Progress{Skipped: 1}
		}
		return struct{}{}, err
	}, userID)
	if err != nil || len(bulks) == 0 {
		return err
	}
	if err := tx.CountBulk(ctx, organization, bulks, nil); err != nil {
		return err
	}
	ids := make([]string, 0, len(bulks))
	for id := range bulks {
		ids = append(ids, id)
	}
	_, err = tx.FinishBulks(ctx, organization, ids...)
	return err
}

var (
	lockReceiptsStatement = define(`SELECT platforms, swept_at FROM erasures WHERE id = $1 {for update}`)
	saveReceiptsStatement = define(`
UPDATE erasures SET platforms = $2, status = $3, finished_at = CASE WHEN $3 = 'succeeded' AND finished_at = 0 THEN {now} ELSE finished_at END
WHERE id = $1`)
)

// NoteReceipt writes what became of a person at one platform. The erasure is
// done when every platform has answered and we hold nothing ourselves.
func (tx *Tx) NoteReceipt(ctx context.Context, erasureID, connection, status string) error {
	return tx.changeReceipts(ctx, erasureID, func(receipts []usersync.PlatformReceipt) {
		for i := range receipts {
			if receipts[i].ConnectionID == connection {
				receipts[i].Status = status
			}
		}
	})
}

func (tx *Tx) changeReceipts(ctx context.Context, erasureID string, change func([]usersync.PlatformReceipt)) error {
	var text string
	var swept int64
	err := tx.row(ctx, lockReceiptsStatement, erasureID).Scan(&text, &swept)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	receipts := []usersync.PlatformReceipt{}
	if err := decode(text, &receipts); err != nil {
		return err
	}
	change(receipts)
	status := usersync.ErasureSucceeded
	if swept == 0 || slices.ContainsFunc(receipts, func(r usersync.PlatformReceipt) bool { return r.Status == usersync.ReceiptPending }) {
		status = usersync.ErasureRunning
	}
	encoded, err := json.Marshal(receipts)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, saveReceiptsStatement, nil, erasureID, string(encoded), status)
	return err
}

// LaterRemoval is a person who is removed from a platform at a later try.
type LaterRemoval struct {
	UserID   string
	DueAt    time.Time
	Attempts int
}

var delayRemovalsStatement = define(`
UPDATE pushes SET status = 'pending', due_at = r.due, attempts = r.attempts FROM {rows}
WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`, col("connection_id", text), col("user_id", text), col("due", bigint), col("attempts", integer))

// DelayRemovals has removals be tried again.
func (tx *Tx) DelayRemovals(ctx context.Context, connection string, later []LaterRemoval) error {
	if len(later) == 0 {
		return nil
	}
	set := delayRemovalsStatement.rows(len(later))
	for _, l := range later {
		set.add(connection, l.UserID, micros(l.DueAt), int64(l.Attempts))
	}
	return tx.later(ctx, delayRemovalsStatement, set, nil)
}

var userOfAddressStatement = define(`SELECT id FROM users WHERE organization_id = $1 AND email_key = $2`)

// PushAddressAgain has the user with this address pushed once more, when there
// is one: whoever had the address before has just been removed at the platform.
func (tx *Tx) PushAddressAgain(ctx context.Context, organization, connection string, address usersync.Email) error {
	var id string
	err := tx.row(ctx, userOfAddressStatement, organization, address.Key()).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return classify(err)
	}
	return tx.pushAgain(ctx, connection, []string{id})
}
