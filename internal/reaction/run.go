// Package reaction keeps what events lead to: which follow-ups they set off, and the runs
// of those, from where they began to where they ended.
package reaction

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usersync/internal/event"
	"usersync/internal/followup"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Prefix begins the ids of runs.
const Prefix usersync.Prefix = "fur"

// Task works one run of a follow-up from where it is: to its end, or to where it waits. It
// has slots of its own kind with the pushes, since most actions wait for others' servers.
var Task = queue.Kind[Args]{Name: "followup.run", Queue: queue.Push, Timeout: 5 * time.Minute}

// Args are the arguments of Task.
type Args struct {
	RunID string `json:"run"`
}

// Status says how far a run has come.
type Status string

// The statuses of a run. All but the first two are final.
const (
	Running   Status = "running"
	Waiting   Status = "waiting"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Replaced  Status = "replaced" // the user set it off again while it went on
	Ignored   Status = "ignored"  // another one went on already, so it never began
	Skipped   Status = "skipped"  // its condition did not hold any more after a wait
)

// Statuses lists them.
var Statuses = []Status{Running, Waiting, Succeeded, Failed, Replaced, Ignored, Skipped}

// MaxHops is how many follow-ups may trigger one another: an event that more lie behind
// sets off none.
const MaxHops = 8

// MaxActions is how many actions one event of a client may lead to, over all its runs and
// the events that those trigger.
const MaxActions = 1000

// The statuses of a deed.
const (
	DeedDone     = "done"
	DeedRetrying = "retrying"
	DeedFailed   = "failed"
	DeedWaiting  = "waiting"
)

// Deed is what one action of a run did.
type Deed struct {
	// Place is where the action stands in the definition.
	Place    string              `json:"place"`
	Type     followup.ActionType `json:"type"`
	Status   string              `json:"status"`
	Details  string              `json:"details,omitempty"`
	Attempts int                 `json:"attempts"`
	// At is when this came of it, and NextAt when it is tried again, or goes on.
	At     usersync.Time `json:"at"`
	NextAt usersync.Time `json:"nextAt,omitzero"`
}

// Run is a run of a follow-up, with the event that set it off.
type Run struct {
	ID         string
	FollowUpID string
	Version    int64
	UserID     string // "" where the event is about nobody
	RootID     string
	Hops       int
	Status     Status
	// Position is the number of the step that is next: followup.Program.Steps.
	Position int
	// Attempts counts the tries of that step that failed.
	Attempts  int
	DueAt     time.Time
	Responses map[string]any
	Story     []Deed
	Error     string
	Event     event.Event
	// Defined says that the version of the follow-up is still kept.
	Defined bool
	// revision rises with each time the run is saved.
	revision int64
	// ReadAt is the database's time when the run was read.
	ReadAt time.Time
}

// Over reports whether the run has ended.
func (r *Run) Over() bool { return r.Status != Running && r.Status != Waiting }

// TaskID is the id of the task that works the run.
func (r *Run) TaskID() string { return taskID(r.ID) }

func taskID(run string) string { return usersync.DeriveID(usersync.PrefixTask, run) }

// Note writes down what an action did: the story has one deed for each step in a row.
func (r *Run) Note(d Deed) {
	d.At = usersync.Time{Time: r.ReadAt}
	if last := len(r.Story) - 1; last >= 0 && r.Story[last].Place == d.Place && r.Story[last].Status != DeedDone {
		r.Story[last] = d
		return
	}
	r.Story = append(r.Story, d)
}

var runStatement = store.Define("reaction.run", `
SELECT r.id, r.follow_up_id, r.version, r.user_id, r.root_id, r.hops, r.status, r.position, r.attempts, r.due_at, r.responses, r.story, r.error, r.revision,
    coalesce(e.id, ''), coalesce(e.type, ''), coalesce(e.source, ''), coalesce(e.user_id, ''), coalesce(e.cause, ''), coalesce(e.attributes, ''),
    coalesce(e.caused_by, ''), coalesce(e.created_at, 0), {now},
    (SELECT count(*) FROM follow_up_versions v WHERE v.follow_up_id = r.follow_up_id AND v.version = r.version)
FROM follow_up_runs r LEFT JOIN events e ON e.organization_id = r.organization_id AND e.id = r.event_id
WHERE r.id = $2 AND r.organization_id = $1`)

// Load returns a run; nil where it is not there. Its event has no id where that is gone.
func Load(ctx context.Context, o *store.Org, id string) (*Run, error) {
	r := &Run{}
	var due, created, now, versions int64
	var responses, story, attributes, caused string
	e := &r.Event
	err := o.Reader().QueryRow(ctx, runStatement, o.ID(), id).Scan(&r.ID, &r.FollowUpID, &r.Version, &r.UserID, &r.RootID, &r.Hops, &r.Status,
		&r.Position, &r.Attempts, &due, &responses, &story, &r.Error, &r.revision,
		&e.ID, &e.Type, &e.Source, &e.UserID, &e.Cause, &attributes, &caused, &created, &now, &versions)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // that there is none is no fault
	}
	if err != nil {
		return nil, fmt.Errorf("read a run: %w", err)
	}
	r.Defined = versions > 0
	r.DueAt, r.ReadAt, e.CreatedAt, e.Attributes, r.Responses = store.At(due), store.At(now), store.Stamp(created), map[string]any{}, map[string]any{}
	return r, errors.Join(store.Decode(responses, &r.Responses), store.Decode(story, &r.Story), store.Decode(attributes, &e.Attributes), store.Decode(caused, &e.Trigger))
}

var saveStatement = store.Define("reaction.save", `
UPDATE follow_up_runs SET status = $4, position = $5, attempts = $6, due_at = $7, responses = $8, story = $9, error = $10, revision = revision + 1,
    finished_at = CASE WHEN $4 IN ('running', 'waiting') THEN 0 ELSE {now} END, updated_at = {now}
WHERE organization_id = $1 AND id = $2 AND revision = $3 AND finished_at = 0`)

// Save writes a run that was loaded. The transaction fails with store.ErrStale where
// another has changed it since.
func Save(ctx context.Context, tx *store.Tx, organization string, r *Run) error {
	story, err := json.Marshal(r.Story)
	if err != nil {
		return fmt.Errorf("encode the story: %w", err)
	}
	return tx.Later(ctx, saveStatement, nil, &store.Fence{Least: 1, Refusal: store.ErrStale}, organization, r.ID, r.revision, string(r.Status), r.Position,
		r.Attempts, store.Micros(r.DueAt), store.Encode(r.Responses), string(story), r.Error)
}

// ErrTooManyActions is the refusal of one action more than MaxActions.
var ErrTooManyActions = usersync.Errorf(usersync.CodeConflict, "More than %d actions came of one event.", MaxActions)

var countStatement = store.Define("reaction.count", `
UPDATE events SET actions = actions + 1 WHERE organization_id = $1 AND id = $2 AND actions < $3`)

// Count counts an action of a run. The transaction fails with ErrTooManyActions where the
// root event has led to as many as it may.
func Count(ctx context.Context, tx *store.Tx, organization string, r *Run) error {
	return tx.Later(ctx, countStatement, nil, &store.Fence{Least: 1, Refusal: ErrTooManyActions}, organization, r.RootID, MaxActions)
}

// taskOf returns the task that works a run.
func taskOf(organization, run, traceparent string) usersync.Task {
	t := Task.Task(taskID(run), organization, organization, Args{RunID: run})
	t.Traceparent = traceparent
	return t
}

var endRunsStatement = store.Define("reaction.endRuns", `
UPDATE follow_up_runs SET status = 'failed', error = $2, responses = '', story = '', revision = revision + 1, finished_at = {now}, updated_at = {now}
WHERE user_id = $1 AND finished_at = 0 RETURNING id`)

// EndOf ends the runs that go on for a user, and what they have said.
func EndOf(ctx context.Context, tx *store.Tx, userID, why string) error {
	ids, err := store.Collect(ctx, tx.Conn, endRunsStatement, nil, store.ScanString, userID, why)
	if err != nil {
		return fmt.Errorf("end the user's runs: %w", err)
	}
	return dropTasks(ctx, tx, ids)
}

// dropTasks removes the tasks of runs that have ended while they waited. One that a worker
// has just now ends by itself.
func dropTasks(ctx context.Context, tx *store.Tx, runs []string) error {
	tasks := make([]string, len(runs))
	for i, id := range runs {
		tasks[i] = taskID(id)
	}
	return outbox.Drop(ctx, tx, tasks)
}
