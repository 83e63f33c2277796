package reaction

import (
	"cmp"
	"context"
	"fmt"
	"slices"

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
	list, err := withStories(ctx, o, []event.Event{v.Event})
	if err != nil {
		return v, err
	}
	return list[0], nil
}

// List is event.List with the stories.
func List(ctx context.Context, o *store.Org, f event.Filter) ([]EventView, error) {
	events, err := event.List(ctx, o, f)
	if err != nil {
		return nil, fmt.Errorf("list the events: %w", err)
	}
	return withStories(ctx, o, events)
}

var (
	runsStatement = store.Define("reaction.runs", `
SELECT u.event_id, u.id, u.follow_up_id, coalesce(f.name, ''), u.version, u.status, u.error, u.due_at, u.story, u.created_at, u.finished_at
FROM {rows} JOIN follow_up_runs u ON u.event_id = r.id
LEFT JOIN follow_ups f ON f.id = u.follow_up_id AND f.organization_id = u.organization_id WHERE u.organization_id = $1`, store.Col("id", store.Text))
	outcomesStatement = store.Define("reaction.outcomes", `
SELECT e.id, e.outcome FROM {rows} JOIN events e ON e.organization_id = r.organization_id AND e.id = r.id WHERE e.outcome <> ''`,
		store.Col("organization_id", store.Text), store.Col("id", store.Text))
)

// withStories returns events with what came of them. An event has no more runs than the
// organization may have follow-ups.
func withStories(ctx context.Context, o *store.Org, events []event.Event) ([]EventView, error) {
	out, at := make([]EventView, len(events)), make(map[string]*Story, len(events))
	runs, outcomes := runsStatement.Rows(len(events)), outcomesStatement.Rows(len(events))
	for i, e := range events {
		out[i] = EventView{e, Story{Runs: []RunView{}, Unmatched: []Unmatched{}}}
		at[e.ID] = &out[i].FollowUps
		runs.Add(e.ID)
		outcomes.Add(o.ID(), e.ID)
	}
	_, err := store.Collect(ctx, o.Reader(), runsStatement, runs, func(scan func(...any) error) (struct{}, error) {
		event, run, err := scanView(scan)
		if s := at[event]; s != nil {
			s.Runs = append(s.Runs, run)
		}
		return struct{}{}, err
	}, o.ID())
	if err != nil {
		return nil, fmt.Errorf("read the runs of events: %w", err)
	}
	_, err = store.Collect(ctx, o.Reader(), outcomesStatement, outcomes, func(scan func(...any) error) (struct{}, error) {
		var id, text string
		if err := scan(&id, &text); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, at[id].add(text)
	})
	if err != nil {
		return nil, fmt.Errorf("read what came of events: %w", err)
	}
	for _, s := range at {
		slices.SortFunc(s.Runs, func(a, b RunView) int { return cmp.Compare(a.RunID, b.RunID) })
	}
	return out, nil
}

// add takes in an outcome as it is stored.
func (s *Story) add(text string) error {
	var outcome Outcome
	if err := store.Decode(text, &outcome); err != nil {
		return err
	}
	s.Unmatched, s.More, s.Error = append(s.Unmatched, outcome.Unmatched...), outcome.More, outcome.Error
	return nil
}

func scanView(scan func(...any) error) (event string, v RunView, err error) {
	var story string
	var due, created, finished int64
	err = scan(&event, &v.RunID, &v.FollowUpID, &v.Name, &v.Version, &v.Status, &v.Error, &due, &story, &created, &finished)
	v.DueAt, v.CreatedAt, v.FinishedAt, v.Actions = store.Stamp(due), store.Stamp(created), store.Stamp(finished), []Deed{}
	if err != nil {
		return event, v, err
	}
	return event, v, store.Decode(story, &v.Actions)
}
