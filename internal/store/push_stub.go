package store

import "context"

var wakePushesStatement = define(`
UPDATE outbox SET state = 'ready' FROM {rows} WHERE outbox.id = r.id AND outbox.state = 'scheduled'`, col("id", text))

// wakePushes makes the tasks of connections ready.
func (tx *Tx) wakePushes(ctx context.Context, connections ...string) error {
	set := wakePushesStatement.rows(len(connections))
	for _, id := range connections {
		set.add(pushTaskID(id))
	}
	_, err := tx.exec(ctx, wakePushesStatement, set)
	return err
}

var resumePushesStatement = define(`
UPDATE pushes SET status = 'pending', due_at = {now} WHERE connection_id = $1 AND wanted_version > pushed_version AND due_at = 0`)

// resumePushes makes every row due whose newest state was not pushed.
func (tx *Tx) resumePushes(ctx context.Context, connection string) error {
	_, err := tx.exec(ctx, resumePushesStatement, nil, connection)
	return err
}
