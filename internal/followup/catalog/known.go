package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usersync/internal/followup"
	"usersync/internal/store"
)

// VersionText is an expression of SQL for the version of the follow-ups of an organization
// o: it rises with every change, and 0 means that there has never been one.
const VersionText = `o.follow_ups`

// Entry is an active follow-up, as far as an event is asked about it.
type Entry struct {
	ID      string
	Version int64
	*followup.Matcher
}

var activeStatement = store.Define("catalog.active", `
SELECT id, version, definition FROM follow_ups WHERE organization_id = $1 AND status = 'active' ORDER BY id`)

// ActiveOf returns the active follow-ups of an organization by the type of their events, in
// the order in which they were made.
func ActiveOf(ctx context.Context, db store.Conn, organization string) (map[followup.EventType][]Entry, error) {
	entries, err := store.Collect(ctx, db, activeStatement, nil, scanEntry, organization)
	if err != nil {
		return nil, fmt.Errorf("read the active follow-ups: %w", err)
	}
	out := map[followup.EventType][]Entry{}
	for _, e := range entries {
		out[e.Type] = append(out[e.Type], e)
	}
	return out, nil
}

func scanEntry(scan func(...any) error) (e Entry, err error) {
	var definition string
	if err := scan(&e.ID, &e.Version, &definition); err != nil {
		return e, err
	}
	if e.Matcher, err = followup.ReadMatcher([]byte(definition)); err != nil {
		return e, fmt.Errorf("read follow-up %q: %w", e.ID, err)
	}
	return e, nil
}

var programStatement = store.Define("catalog.program", `
SELECT definition FROM follow_up_versions WHERE follow_up_id = $2 AND version = $3 AND organization_id = $1`)

// ProgramOf returns one version of a follow-up, ready to be run. The error is ErrNoVersion
// where it is not there any more: the follow-up was deleted, or has had 100 versions since.
func ProgramOf(ctx context.Context, db store.Conn, organization, id string, version int64) (*followup.Program, error) {
	var definition string
	err := db.QueryRow(ctx, programStatement, organization, id, version).Scan(&definition)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrNoVersion
	case err != nil:
		return nil, store.Classify(err)
	}
	p, err := followup.Parse([]byte(definition))
	if err != nil {
		return nil, fmt.Errorf("read version %d of follow-up %q: %w", version, id, err)
	}
	return p, nil
}
