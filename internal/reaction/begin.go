package reaction

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"usersync/internal/event"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Occurrence is an event that follow-ups are asked about.
type Occurrence struct {
	Event event.Event
	// Profile is what is known of its user, see followup.Profile.
	Profile     map[string]any
	Traceparent string
}

// root returns the event that all began with, and how many follow-ups lie in between.
func (o Occurrence) root() (id string, hops int) {
	if t := o.Event.Trigger; t != nil {
		return t.RootID, t.Hops
	}
	return o.Event.ID, 0
}

// Data returns what conditions and templates know: followup.Roots.
func Data(e event.Event, profile map[string]any, responses map[string]any) map[string]any {
	trigger := map[string]any{}
	if t := e.Trigger; t != nil {
		trigger = map[string]any{"followUpId": t.FollowUpID, "runId": t.RunID, "eventId": t.EventID, "rootId": t.RootID, "hops": int64(t.Hops)}
	}
	return map[string]any{
		"type": string(e.Type), "timestamp": e.CreatedAt.Unix(), "source": e.Source, "profile": profile, "attributes": orEmpty(e.Attributes),
		"trigger": trigger, "responses": orEmpty(responses),
	}
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// Outcome is what came of asking the follow-ups about an event.
type Outcome struct {
	// Unmatched are those of its type that were not set off, up to maxUnmatched, and More
	// is how many others there were.
	Unmatched []Unmatched `json:"unmatched,omitempty"`
	More      int         `json:"more,omitempty"`
	// Error is why none was asked.
	Error string `json:"error,omitempty"`
}

// Unmatched is a follow-up that an event did not set off.
type Unmatched struct {
	FollowUpID string `json:"followUpId"`
	Name       string `json:"name"`
	Version    int64  `json:"version"`
	Why        string `json:"why"`
}

// maxUnmatched bounds what is kept with an event.
const maxUnmatched = 50

// tooManyHops is told of an event that ends a loop.
var tooManyHops = fmt.Sprintf("%d follow-ups triggered one another up to this event. It sets off none: they are a loop.", MaxHops)

// Reaction is what an event leads to.
type Reaction struct {
	Occurrence
	Matched []catalog.Entry
	Outcome Outcome
}

// Ask asks the active follow-ups of an event's type about it.
func Ask(active map[followup.EventType][]catalog.Entry, o Occurrence) Reaction {
	r := Reaction{Occurrence: o}
	entries := active[followup.EventType(o.Event.Type)]
	if len(entries) == 0 {
		return r
	}
	if _, hops := o.root(); hops > MaxHops {
		r.Outcome.Error = tooManyHops
		return r
	}
	subject := followup.NewSubject(Data(o.Event, o.Profile, nil))
	for _, e := range entries {
		yes, why := e.Matches(subject)
		switch {
		case yes:
			r.Matched = append(r.Matched, e)
		case len(r.Outcome.Unmatched) < maxUnmatched:
			r.Outcome.Unmatched = append(r.Outcome.Unmatched, Unmatched{e.ID, e.Name, e.Version, why})
		default:
			r.Outcome.More++
		}
	}
	return r
}

var (
	beginStatement = store.Define("reaction.begin", `
INSERT INTO follow_up_runs (id, organization_id, follow_up_id, version, event_id, user_id, root_id, task_id, hops, status, created_at, updated_at, finished_at)
SELECT r.id, $1, r.follow_up_id, r.version, r.event_id, r.user_id, r.root_id, r.task_id, r.hops, r.status, clock.now, clock.now,
    CASE WHEN r.status = 'running' THEN 0 ELSE clock.now END
FROM {rows} CROSS JOIN (SELECT {now} AS now) AS clock WHERE true
ON CONFLICT (id, organization_id) DO NOTHING`,
		store.Col("id", store.Text), store.Col("follow_up_id", store.Text), store.Col("version", store.Bigint), store.Col("event_id", store.Text),
		store.Col("user_id", store.Text), store.Col("root_id", store.Text), store.Col("task_id", store.Text), store.Col("hops", store.Bigint), store.Col("status", store.Text))
	outcomeStatement = store.Define("reaction.outcome", `
UPDATE events SET outcome = r.outcome FROM {rows} WHERE events.organization_id = $1 AND events.id = r.id`,
		store.Col("id", store.Text), store.Col("outcome", store.Text))
	lockUsersStatement = store.Define("reaction.lockUsers", `
SELECT u.id FROM users u WHERE u.organization_id = $1 AND u.id {any}SELECT r.id FROM {rows}{/any} ORDER BY u.id {for update}`, store.Col("id", store.Text))
	openStatement = store.Define("reaction.open", `
SELECT f.id, f.follow_up_id, f.user_id FROM {rows} JOIN follow_up_runs f ON f.user_id = r.user_id AND f.follow_up_id = r.follow_up_id
WHERE f.organization_id = $1 AND f.finished_at = 0 AND f.user_id <> ''`,
		store.Col("follow_up_id", store.Text), store.Col("user_id", store.Text))
	replaceStatement = store.Define("reaction.replace", `
UPDATE follow_up_runs SET status = 'replaced', revision = revision + 1, finished_at = {now}, updated_at = {now}
FROM {rows} WHERE follow_up_runs.id = r.id AND follow_up_runs.organization_id = $1 AND follow_up_runs.finished_at = 0`, store.Col("id", store.Text))
)

// Begin writes what events lead to: the runs with their tasks, and what the others say.
// Events and follow-ups make the ids of runs, so what has begun does not begin twice.
func Begin(ctx context.Context, tx *store.Tx, organization string, reactions []Reaction) error {
	b := &beginning{tx: tx, organization: organization, open: map[pair][]string{}}
	if err := b.readOpen(ctx, reactions); err != nil {
		return err
	}
	for _, r := range reactions {
		for _, e := range r.Matched {
			b.begin(r, e)
		}
	}
	if err := b.write(ctx); err != nil {
		return err
	}
	return saveOutcomes(ctx, tx, organization, reactions)
}

// pair is a user and a follow-up, of which runs may overlap.
type pair struct{ followUp, user string }

// newRun is a run that begins.
type newRun struct {
	id          string
	entry       catalog.Entry
	occurrence  Occurrence
	status      Status
	traceparent string
}

// beginning collects what is to be written.
type beginning struct {
	tx           *store.Tx
	organization string
	open         map[pair][]string // the runs that go on, by their ids
	runs         []*newRun
	replaced     []string
}

// overlaps reports whether runs of a follow-up for the same user know of one another.
func overlaps(e catalog.Entry, user string) bool {
	return user != "" && e.Overlap != followup.OverlapAll && e.Overlap != ""
}

// readOpen locks the users of runs that may overlap and reads those that go on.
func (b *beginning) readOpen(ctx context.Context, reactions []Reaction) error {
	var users []string
	set := openStatement.Rows(0)
	for _, r := range reactions {
		for _, e := range r.Matched {
			if overlaps(e, r.Event.UserID) && b.open[pair{e.ID, r.Event.UserID}] == nil {
				users = append(users, r.Event.UserID)
				b.open[pair{e.ID, r.Event.UserID}] = []string{}
				set.Add(e.ID, r.Event.UserID)
			}
		}
	}
	if set.Len() == 0 {
		return nil
	}
	slices.Sort(users)
	if _, err := store.Collect(ctx, b.tx.Conn, lockUsersStatement, store.IDRows(lockUsersStatement, slices.Compact(users)), store.ScanString, b.organization); err != nil {
		return fmt.Errorf("lock the users: %w", err)
	}
	_, err := store.Collect(ctx, b.tx.Conn, openStatement, set, func(scan func(...any) error) (struct{}, error) {
		var id string
		var p pair
		err := scan(&id, &p.followUp, &p.user)
		b.open[p] = append(b.open[p], id)
		return struct{}{}, err
	}, b.organization)
	if err != nil {
		return fmt.Errorf("read the runs that go on: %w", err)
	}
	return nil
}

// begin notes one run, and what it does to the one that goes on.
func (b *beginning) begin(r Reaction, e catalog.Entry) {
	run := &newRun{id: usersync.DeriveID(Prefix, r.Event.ID, e.ID), entry: e, occurrence: r.Occurrence, status: Running, traceparent: r.Traceparent}
	b.runs = append(b.runs, run)
	p := pair{e.ID, r.Event.UserID}
	if !overlaps(e, p.user) || slices.Contains(b.open[p], run.id) {
		return
	}
	switch {
	case len(b.open[p]) == 0:
		b.open[p] = []string{run.id}
	case e.Overlap == followup.OverlapIgnore:
		run.status = Ignored
	default:
		b.replace(b.open[p])
		b.open[p] = []string{run.id}
	}
}

// replace ends runs: those that are stored, and those that were to begin with this one.
func (b *beginning) replace(ids []string) {
	for _, id := range ids {
		at := slices.IndexFunc(b.runs, func(r *newRun) bool { return r.id == id })
		if at >= 0 {
			b.runs[at].status = Replaced
			continue
		}
		b.replaced = append(b.replaced, id)
	}
}

func (b *beginning) write(ctx context.Context) error {
	if len(b.replaced) > 0 {
		slices.Sort(b.replaced)
		if err := b.tx.Later(ctx, replaceStatement, store.IDRows(replaceStatement, b.replaced), nil, b.organization); err != nil {
			return fmt.Errorf("replace the runs that go on: %w", err)
		}
		if err := dropTasks(ctx, b.tx, b.replaced); err != nil {
			return err
		}
	}
	if len(b.runs) == 0 {
		return nil
	}
	set := beginStatement.Rows(len(b.runs))
	var tasks []usersync.Task
	for _, r := range b.runs {
		root, hops := r.occurrence.root()
		set.Add(r.id, r.entry.ID, r.entry.Version, r.occurrence.Event.ID, r.occurrence.Event.UserID, root, taskID(r.id), int64(hops), string(r.status))
		if r.status == Running {
			tasks = append(tasks, taskOf(b.organization, r.id, r.traceparent))
		}
	}
	if err := b.tx.Later(ctx, beginStatement, set, nil, b.organization); err != nil {
		return fmt.Errorf("store the runs: %w", err)
	}
	return outbox.Enqueue(ctx, b.tx, tasks...)
}

func saveOutcomes(ctx context.Context, tx *store.Tx, organization string, reactions []Reaction) error {
	set := outcomeStatement.Rows(0)
	for _, r := range reactions {
		if len(r.Outcome.Unmatched) == 0 && r.Outcome.Error == "" {
			continue
		}
		text, err := json.Marshal(r.Outcome)
		if err != nil {
			return fmt.Errorf("encode what the others say: %w", err)
		}
		set.Add(r.Event.ID, string(text))
	}
	if set.Len() == 0 {
		return nil
	}
	return tx.Later(ctx, outcomeStatement, set, nil, organization)
}
