package request

import (
	"context"
	"fmt"
	"strings"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// This file lists requests by their steps: by the connection or platform of one, and by
// why one did not go well. Each list reads its own range of one index of steps, newest
// first, or that of the unfinished requests, which are few.

const (
	ofStepText = `
SELECT DISTINCT s.request_id FROM steps s JOIN requests q ON q.organization_id = s.organization_id AND q.id = s.request_id
WHERE {which} AND s.request_id < $2 AND s.request_id >= $3 AND q.created_at >= $4
    AND ($6 = '' OR q.status = $6) AND ($7 = '' OR q.kind = $7) AND ($8 = '' OR q.user_id = $8)
ORDER BY s.request_id DESC LIMIT $5`

	// The organization is no column of these indexes: as a plain condition it would lead
	// the planner to another one.
	ofConnection    = `s.connection_id = $9 AND s.connection_id <> '' AND s.organization_id || '' = $1`
	wrongConnection = ofConnection + ` AND s.error_code <> '' AND ($10 = '' OR s.error_code = $10)`
	wrongCode       = `s.organization_id = $1 AND s.error_code = $9 AND s.error_code <> ''`

	withStep = ` AND ($7 = '' OR q.kind = $7) AND ($8 = '' OR q.user_id = $8)
    AND (SELECT count(*) FROM steps s WHERE s.request_id = q.id AND s.connection_id = $9) > 0`
)

func ofStep(which string) string { return strings.ReplaceAll(ofStepText, "{which}", which) }

// openAtConnection is newest of each kind with notable: the kind is a condition of its own.
func openAtConnection() string {
	text := strings.ReplaceAll(newest(notable), "$7", "{kind}")
	text = strings.Replace(text, " ORDER BY", withStep+" ORDER BY", 1)
	var parts []string
	for i, k := range Kinds {
		parts = append(parts, fmt.Sprintf("SELECT * FROM (%s) AS kind%d", strings.ReplaceAll(text, "{kind}", "'"+string(k)+"'"), i))
	}
	return strings.Join(parts, "\nUNION ALL ") + "\nORDER BY id DESC LIMIT $5"
}

var (
	connectionRequestsStatement      = store.Define("request.connectionRequests", ofStep(ofConnection))
	wrongConnectionRequestsStatement = store.Define("request.wrongConnectionRequests", ofStep(wrongConnection))
	wrongRequestsStatement           = store.Define("request.wrongRequests", ofStep(wrongCode))
	openConnectionRequestsStatement  = store.Define("request.openConnectionRequests", openAtConnection())

	connectionsOfPlatformStatement = store.Define("request.connectionsOfPlatform", `
SELECT c.id FROM connections c WHERE c.organization_id = $1 AND c.platform = $2 AND ($3 = '' OR c.id = $3)`)
)

// byStep reports whether the filter asks for something of a step.
func (f Filter) byStep() bool { return f.Platform != "" || f.Connection != "" || f.Code != "" }

// ofSteps lists the requests with a step that the filter asks for.
func (l requestList) ofSteps(ctx context.Context) (ids []string, err error) {
	if l.Status == Queued {
		return nil, nil // such a request has no steps yet
	}
	connections := []string{l.Connection}
	if l.Platform != "" {
		if connections, err = store.Collect(ctx, l.Reader(), connectionsOfPlatformStatement, nil, store.ScanString, l.ID(), l.Platform, l.Connection); err != nil {
			return nil, fmt.Errorf("find the connections of the platform: %w", err)
		}
	}
	for _, c := range connections { //lint:loop an organization has few connections to a platform
		st, args := l.stepStatement(c)
		some, err := store.Collect(ctx, l.Reader(), st, nil, store.ScanString, args...)
		if err != nil {
			return nil, fmt.Errorf("list the requests of steps: %w", err)
		}
		ids = append(ids, some...)
	}
	ids = newestFirst(ids)
	return ids[:min(len(ids), l.Limit)], nil
}

// stepStatement returns the list to read of a connection, or of all where it is "".
func (l requestList) stepStatement(connection string) (*store.Statement, []any) {
	args := []any{l.ID(), l.Before, l.from, store.Micros(l.Since), l.Limit, string(l.Status), string(l.Kind), l.user}
	switch {
	case connection == "":
		return wrongRequestsStatement, append(args, string(l.Code))
	case l.Code != "" || l.Status == Failed || l.Status == PartiallySucceeded:
		return wrongConnectionRequestsStatement, append(args, connection, string(l.Code))
	case l.Status == Processing || l.Status == AwaitingCredits:
		return openConnectionRequestsStatement, append(args, connection)
	}
	return connectionRequestsStatement, append(args, connection)
}

// until is the id before which requests were made before a time.
func (f Filter) until() string {
	if f.Until.IsZero() {
		return store.AfterAll(usersync.PrefixRequest)
	}
	return usersync.IDBound(usersync.PrefixRequest, f.Until)
}
