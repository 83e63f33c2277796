package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

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

// Programs keeps versions of follow-ups in mind, ready to be run, of those that were asked
// for last: a version never changes. The zero value is ready for use, by several goroutines.
type Programs struct {
	made  sync.Once
	known *lru.Cache[programKey, *followup.Program]
}

type programKey struct {
	organization, followUp string
	version                int64
}

const (
	// maxPrograms is how many a process keeps in mind, and maxKept how long the definition
	// of one of them may be, in bytes. What is kept takes about five times as much.
	maxPrograms = 500
	maxKept     = 16 << 10
)

// Get returns one version of a follow-up. It is shared and must not be changed. The error is
// ErrNoVersion where it is neither known nor there any more; whoever wants to know of a
// deletion asks for that beside.
func (p *Programs) Get(ctx context.Context, db store.Conn, organization, id string, version int64) (*followup.Program, error) {
	p.made.Do(func() { p.known, _ = lru.New[programKey, *followup.Program](maxPrograms) }) // New fails only for a bound below 1.
	key := programKey{organization, id, version}
	if one, ok := p.known.Get(key); ok {
		return one, nil
	}
	one, size, err := programOf(ctx, db, key)
	if err == nil && size <= maxKept {
		p.known.Add(key, one)
	}
	return one, err
}

// programOf reads one version of a follow-up and returns how long it is.
func programOf(ctx context.Context, db store.Conn, key programKey) (p *followup.Program, size int, err error) {
	var definition string
	err = db.QueryRow(ctx, programStatement, key.organization, key.followUp, key.version).Scan(&definition)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, 0, ErrNoVersion
	case err != nil:
		return nil, 0, store.Classify(err)
	}
	if p, err = followup.Parse([]byte(definition)); err != nil {
		return nil, 0, fmt.Errorf("read version %d of follow-up %q: %w", key.version, key.followUp, err)
	}
	return p, len(definition), nil
}
