package reaction

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"usersync/internal/event"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Story is what came of an event: the follow-ups that it set off, and why not the others.
type Story struct {
	Runs []RunView `json:"runs"`
	// Unmatched are the follow-ups of the event's type that it did not set off, and More
	// is how many others there were.
	Unmatched []Unmatched `json:"unmatched"`
	More      int         `json:"more,omitempty"`
	// Error is why no follow-up was asked about the event.
	Error string `json:"error,omitempty"`
}

// RunView is a run of a follow-up as it is shown.
type RunView struct {
	RunID      string `json:"runId"`
	FollowUpID string `json:"followUpId"`
	// Name is that of the follow-up today, "" where it was deleted.
	Name    string `json:"name"`
	Version int64  `json:"version"`
	Status  Status `json:"status"`
	// Error is why the run failed, or was skipped.
	Error string `json:"error,omitempty"`
	// DueAt is when it goes on.
	DueAt      usersync.Time `json:"dueAt,omitzero"`
	Actions    []Deed        `json:"actions"`
	CreatedAt  usersync.Time `json:"createdAt"`
	FinishedAt usersync.Time `json:"finishedAt,omitzero"`
}

// EventView is an event with what came of it.
type EventView struct {
	event.Event
	FollowUps Story `json:"followUps"`
}

// Show returns an event of the organization with its story. The error is
// event.ErrNotFound when there is none of that id.
func Show(ctx context.Context, o *store.Org, id string) (v EventView, err error) {
	if v.Event, err = event.Get(ctx, o, id); err != nil {
		return v, err
	}
	v.FollowUps, err = StoryOf(ctx, o, id)
	return v, err
}

var (
	storyStatement = store.Define("reaction.story", `
SELECT r.id, r.follow_up_id, coalesce(f.name, ''), r.version, r.status, r.error, r.due_at, r.story, r.created_at, r.finished_at
FROM follow_up_runs r LEFT JOIN follow_ups f ON f.id = r.follow_up_id AND f.organization_id = r.organization_id
WHERE r.event_id = $2 AND r.organization_id = $1 ORDER BY r.event_id, r.id LIMIT $3`)
	outcomeOfStatement = store.Define("reaction.outcomeOf", `SELECT outcome FROM events WHERE organization_id = $1 AND id = $2`)
)

// mostRuns bounds the runs of an event that are shown: as many as there may be follow-ups.
const mostRuns = 1000

// StoryOf returns what came of an event of the organization.
func StoryOf(ctx context.Context, o *store.Org, eventID string) (s Story, err error) {
	var text string
	err = o.Reader().QueryRow(ctx, outcomeOfStatement, o.ID(), eventID).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("read what came of an event: %w", err)
	}
	var outcome Outcome
	if err := store.Decode(text, &outcome); err != nil {
		return s, err
	}
	s = Story{Unmatched: outcome.Unmatched, More: outcome.More, Error: outcome.Error}
	if s.Unmatched == nil {
		s.Unmatched = []Unmatched{}
	}
	if s.Runs, err = store.Collect(ctx, o.Reader(), storyStatement, nil, scanView, o.ID(), eventID, mostRuns); err != nil {
		return s, fmt.Errorf("read the runs of an event: %w", err)
	}
	if s.Runs == nil {
		s.Runs = []RunView{}
	}
	return s, nil
}

func scanView(scan func(...any) error) (v RunView, err error) {
	var story string
	var due, created, finished int64
	err = scan(&v.RunID, &v.FollowUpID, &v.Name, &v.Version, &v.Status, &v.Error, &due, &story, &created, &finished)
	v.DueAt, v.CreatedAt, v.FinishedAt, v.Actions = store.Stamp(due), store.Stamp(created), store.Stamp(finished), []Deed{}
	if err != nil {
		return v, err
	}
	return v, store.Decode(story, &v.Actions)
}
