package platform

import (
	"context"
	"fmt"
	"time"

	"usersync/internal/bulk"
	"usersync/internal/receipt"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

var (
	connectionsOfUserStatement = store.Define("platform.connectionsOfUser", `SELECT connection_id FROM pushes WHERE user_id = $1`)

	userPushesStatement = store.Define("platform.userPushes", `
SELECT p.connection_id, p.user_id, c.platform, p.former, p.pushed_version > 0 OR p.pushed_at > 0 OR p.status IN ('calling', 'confirming') OR p.attempts > 0 OR p.absent = 1
FROM pushes p JOIN connections c ON c.id = p.connection_id WHERE p.user_id = $1 ORDER BY p.connection_id {for update}`)
	removalStatement = store.Define("platform.removal", `
UPDATE pushes SET removal = r.removal, former = '', erasure_id = $1, rank = 0, wanted_at = {now}, attempts = 0, pushed_hash = '', job = '', error_code = '', error_message = '',
    due_at = CASE WHEN (SELECT c.status FROM connections c WHERE c.id = pushes.connection_id) <> 'active' THEN 0
        WHEN pushes.status = 'calling' THEN pushes.due_at ELSE {now} END,
    status = CASE WHEN pushes.status = 'calling' THEN 'calling' ELSE 'pending' END
FROM {rows} WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`,
		store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("removal", store.Text))
	dropUserPushesStatement = store.Define("platform.dropUserPushes", `DELETE FROM pushes WHERE user_id = $1 AND removal = ''`)
	dropUserWaitsStatement  = store.Define("platform.dropUserWaits", `DELETE FROM push_waits WHERE user_id = $1 RETURNING request_id, position`)
)

// ErasePushes has an erased user be removed at every platform that may know
// them, and returns a receipt for each. Who waited for a push of theirs waits no
// more. address is sealed in each row until it is removed there. The pushers have
// been woken before, see wakePushesOf.
func ErasePushes(ctx context.Context, tx *store.Tx, organization, userID, address, erasureID string) ([]receipt.Receipt, error) {
	type row struct {
		connection, user, platform, former string
		known                              bool
	}
	list, err := store.Collect(ctx, tx.Conn, userPushesStatement, nil, func(scan func(...any) error) (r row, err error) {
		return r, scan(&r.connection, &r.user, &r.platform, &r.former, &r.known)
	}, userID)
	if err != nil {
		return nil, fmt.Errorf("read the pushes of the user: %w", err)
	}
	if err := dropUserWaits(ctx, tx, organization, userID); err != nil {
		return nil, fmt.Errorf("drop the waits for the user: %w", err)
	}
	receipts := []receipt.Receipt{}
	set := removalStatement.Rows(len(list))
	for _, r := range list {
		if !r.known {
			continue
		}
		both := address
		if r.former != "" {
			both += "\n" + r.former
		}
		sealed, err := tx.Sealer().Seal([]byte(both), RemovalPlace(organization, r.connection, r.user))
		if err != nil {
			return nil, fmt.Errorf("seal the address: %w", err)
		}
		set.Add(r.connection, r.user, sealed)
		receipts = append(receipts, receipt.Receipt{ConnectionID: r.connection, Platform: r.platform, Status: receipt.Pending})
	}
	if set.Len() > 0 {
		if err := tx.Later(ctx, removalStatement, set, nil, erasureID); err != nil {
			return nil, fmt.Errorf("mark the user for removal: %w", err)
		}
	}
	_, err = tx.Exec(ctx, dropUserPushesStatement, nil, userID)
	return receipts, err
}

// WakePushesOf has the pushers look to which the user is known.
func WakePushesOf(ctx context.Context, tx *store.Tx, userID string) error {
	connections, err := store.Collect(ctx, tx.Conn, connectionsOfUserStatement, nil, func(scan func(...any) error) (id string, err error) {
		return id, scan(&id)
	}, userID)
	if err != nil {
		return fmt.Errorf("find the connections of the user: %w", err)
	}
	return wakePushes(ctx, tx, connections...)
}

// dropUserWaits ends what waits for pushes of an erased user: bulks count them
// as skipped; the requests of their own fail, see endRequests.
func dropUserWaits(ctx context.Context, tx *store.Tx, organization, userID string) error {
	bulks := map[string]request.Progress{}
	_, err := store.Collect(ctx, tx.Conn, dropUserWaitsStatement, nil, func(scan func(...any) error) (struct{}, error) {
		var req string
		var position int
		err := scan(&req, &position)
		if position == BulkPosition {
			bulks[req] = request.Progress{Skipped: 1}
		}
		return struct{}{}, err
	}, userID)
	if err != nil || len(bulks) == 0 {
		return err
	}
	if err := bulk.Count(ctx, tx, organization, bulks, nil); err != nil {
		return fmt.Errorf("count the users of a bulk: %w", err)
	}
	ids := make([]string, 0, len(bulks))
	for id := range bulks {
		ids = append(ids, id)
	}
	_, err = bulk.Finish(ctx, tx, organization, ids...)
	return err
}

// DelayedRemoval is a person who is removed from a platform at a later try.
type DelayedRemoval struct {
	UserID   string
	DueAt    time.Time
	Attempts int
}

var delayRemovalsStatement = store.Define("platform.delayRemovals", `
UPDATE pushes SET status = 'pending', due_at = r.due, attempts = r.attempts FROM {rows}
WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`, store.Col("connection_id", store.Text), store.Col("user_id", store.Text), store.Col("due", store.Bigint), store.Col("attempts", store.Bigint))

// DelayRemovals has removals be tried again.
func DelayRemovals(ctx context.Context, tx *store.Tx, connection string, later []DelayedRemoval) error {
	if len(later) == 0 {
		return nil
	}
	set := delayRemovalsStatement.Rows(len(later))
	for _, l := range later {
		set.Add(connection, l.UserID, store.Micros(l.DueAt), int64(l.Attempts))
	}
	return tx.Later(ctx, delayRemovalsStatement, set, nil)
}

var usersOfAddressesStatement = store.Define("platform.usersOfAddresses", `
SELECT u.id FROM {rows} JOIN users u ON u.organization_id = r.organization_id AND u.email_key = r.email_key`,
	store.Col("organization_id", store.Text), store.Col("email_key", store.Text))

// PushAddressesAgain has the users with these addresses pushed once more, as far as
// there are any: whoever had an address before has just been removed at the platform.
func PushAddressesAgain(ctx context.Context, tx *store.Tx, organization, connection string, addresses []usersync.Email) error {
	if len(addresses) == 0 {
		return nil
	}
	set := usersOfAddressesStatement.Rows(len(addresses))
	for _, a := range addresses {
		set.Add(organization, a.Key())
	}
	users, err := store.Collect(ctx, tx.Conn, usersOfAddressesStatement, set, store.ScanString)
	if err != nil || len(users) == 0 {
		return err
	}
	return PushOnceMore(ctx, tx, connection, users)
}

// RemovalPlace is where the address of a person whom an organization has erased is
// kept until the platform has removed it.
func RemovalPlace(organization, connection, user string) string {
	return "pushes/" + organization + "/" + connection + "/" + user + "/removal"
}
