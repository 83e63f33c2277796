package platform

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"usersync/internal/store"
)

var (
	placesStatement = store.Define("platform.places", `
SELECT p.connection_id, p.user_id FROM {rows} JOIN pushes p ON p.user_id = r.user_id JOIN connections c ON c.id = p.connection_id
WHERE p.organization_id = $1 AND p.connection_id <> $2 AND p.removal = '' AND c.status <> 'deleted'`, store.Col("user_id", store.Text))
	// A call that is under way may have begun before, and what rests at a connection that
	// is not active is due only when it is marked.
	againStatement = store.Define("platform.again", `
UPDATE pushes SET pushed_hash = '', wanted_at = CASE WHEN due_at = 0 THEN {now} ELSE wanted_at END, attempts = CASE WHEN due_at = 0 THEN 0 ELSE attempts END,
    dirty = CASE WHEN status IN ('calling', 'confirming') OR (SELECT c.status FROM connections c WHERE c.id = pushes.connection_id) <> 'active' THEN 1 ELSE dirty END,
    status = CASE WHEN status = 'idle' THEN 'pending' ELSE status END, due_at = CASE WHEN due_at = 0 THEN {now} ELSE due_at END
FROM {rows} WHERE pushes.connection_id = r.connection_id AND pushes.user_id = r.user_id`, store.Col("connection_id", store.Text), store.Col("user_id", store.Text))
)

// PushAgain has users pushed once more to every connection that knows them, but for one;
// "" leaves out none. A connection that is not active gets them once it is. Nobody is
// brought to a connection that has not had them.
func PushAgain(ctx context.Context, tx *store.Tx, organization string, users []string, but string) error {
	if len(users) == 0 {
		return nil
	}
	places, err := store.Collect(ctx, tx.Conn, placesStatement, store.IDRows(placesStatement, slices.Compact(slices.Sorted(slices.Values(users)))), func(scan func(...any) error) (w Want, err error) {
		return w, scan(&w.ConnectionID, &w.UserID)
	}, organization, but)
	if err != nil || len(places) == 0 {
		return err
	}
	slices.SortFunc(places, func(a, b Want) int {
		return cmp.Or(cmp.Compare(a.ConnectionID, b.ConnectionID), cmp.Compare(a.UserID, b.UserID))
	})
	if err := wakePushes(ctx, tx, connectionsOf(places)...); err != nil {
		return fmt.Errorf("wake the connections' tasks: %w", err)
	}
	set := againStatement.Rows(len(places))
	for _, w := range places {
		set.Add(w.ConnectionID, w.UserID)
	}
	return tx.Later(ctx, againStatement, set, nil)
}
