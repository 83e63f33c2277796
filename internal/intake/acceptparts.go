package intake

import (
	"context"
	"fmt"
	"strings"

	"usersync/internal/store"
)

// The statements of accepting on SQLite. Reading a column of a set from JSON costs
// more there than a further statement, so that the users who are known are looked up
// before the columns of the new ones are read.
var (
	knownStatement = store.Define("intake.knownUsers", `
SELECT u.organization_id, u.email_key, u.id FROM {rows}
JOIN users u ON u.organization_id = r.organization_id AND u.email_key = r.email_key`,
		store.Col("organization_id", store.Text), store.Col("email_key", store.Text))
	acceptUsersStatement = store.Define("intake.acceptUsers", `
WITH `+strings.Replace(askedText, " MATERIALIZED", "", 1)+insertUsersText+`
RETURNING organization_id, email_key, id`, store.ColumnsOf[acceptedRow]()...)
	acceptRequestsStatement = store.Define("intake.acceptRequests",
		fmt.Sprintf(insertRequestsText, "user_id", "{rows}"), store.ColumnsOf[acceptedRow]()...)
	logEventsStatement = store.Define("intake.logEvents",
		fmt.Sprintf(insertEventsText, "user_id", "{rows}"), store.ColumnsOf[acceptedRow]()...)
	acceptTasksStatement = store.Define("intake.acceptTasks",
		fmt.Sprintf(insertTasksText, "{rows}"), store.ColumnsOf[acceptedRow]()...)
)

// writeInParts stores the rows by a statement for each table. It returns the users'
// ids by request.
func writeInParts(ctx context.Context, tx *store.Tx, rows []acceptedRow, try int) (map[string]string, error) {
	owners, err := readKnown(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	if err := writeUsers(ctx, tx, rows, owners, try); err != nil {
		return nil, err
	}
	requests, tasks, events := acceptRequestsStatement.Rows(len(rows)), acceptTasksStatement.Rows(1), logEventsStatement.Rows(0)
	byRequest := make(map[string]string, len(rows))
	for _, row := range rows {
		if id, ok := owners[row.userKey()]; ok {
			row.UserID = id
		}
		byRequest[row.RequestID] = row.UserID
		store.AddRecord(requests, row)
		if row.TaskKind != "" {
			store.AddRecord(tasks, row)
		}
		if row.EventID != "" {
			store.AddRecord(events, row)
		}
	}
	if _, err := tx.Exec(ctx, acceptRequestsStatement, requests); err != nil {
		return nil, fmt.Errorf("store the requests: %w", err)
	}
	if _, err := tx.Exec(ctx, acceptTasksStatement, tasks); err != nil {
		return nil, fmt.Errorf("store the tasks: %w", err)
	}
	if events.Len() == 0 {
		return byRequest, nil
	}
	if _, err := tx.Exec(ctx, logEventsStatement, events); err != nil {
		return nil, fmt.Errorf("store the events: %w", err)
	}
	return byRequest, nil
}

// readKnown returns the ids of the users who are known.
func readKnown(ctx context.Context, tx *store.Tx, rows []acceptedRow) (map[userKey]string, error) {
	set := knownStatement.Rows(len(rows))
	for _, row := range rows {
		if row.First == 1 {
			set.Add(row.Organization, row.EmailKey)
		}
	}
	owners := make(map[userKey]string, len(rows))
	if err := collectOwners(ctx, tx, knownStatement, set, owners); err != nil {
		return nil, fmt.Errorf("look up the users: %w", err)
	}
	return owners, nil
}

// writeUsers stores the users who are not among the owners, and adds them there.
func writeUsers(ctx context.Context, tx *store.Tx, rows []acceptedRow, owners map[userKey]string, try int) error {
	set := acceptUsersStatement.Rows(len(rows))
	for _, row := range rows {
		if _, known := owners[row.userKey()]; row.First == 1 && !known {
			store.AddRecord(set, row)
		}
	}
	if set.Len() == 0 {
		return nil
	}
	if err := collectOwners(ctx, tx, acceptUsersStatement, set, owners, try); err != nil {
		return fmt.Errorf("store the new users: %w", err)
	}
	return nil
}

// collectOwners adds the users that a statement returns to owners.
func collectOwners(ctx context.Context, tx *store.Tx, st *store.Statement, set *store.Rows, owners map[userKey]string, args ...any) error {
	_, err := store.Collect(ctx, tx.Conn, st, set, func(scan func(...any) error) (struct{}, error) {
		var key userKey
		var id string
		err := scan(&key.organization, &key.email, &id)
		owners[key] = id
		return struct{}{}, err
	}, args...)
	return err
}

// userKey is what the user of the request is known by.
func (r acceptedRow) userKey() userKey { return userKey{r.Organization, r.EmailKey} }
