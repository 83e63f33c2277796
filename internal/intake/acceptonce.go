package intake

import (
	"cmp"
	"context"
	"slices"

	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// acceptanceColumns are a request, and the user that it tells of. email_key and
// erased are empty, and id is the user's, where it has an input of its own. fresh
// is the id of a new user whose id may not be used. first says that no request
// before it in the set tells of the same user.
var acceptanceColumns = []store.Column{
	store.Col("organization_id", store.Text), store.Col("request_id", store.Text), store.Col("kind", store.Text), store.Col("sequence", store.Bigint), store.Col("input", store.Text),
	store.Col("task_id", store.Text), store.Col("traceparent", store.Text), store.Col("email", store.Text), store.Col("first", store.Bigint),
	store.Col("id", store.Text), store.Col("fresh", store.Text), store.Col("email_key", store.Text), store.Col("erased", store.Text), store.Col("person_key", store.Text),
	store.Col("company", store.Text), store.Col("country", store.Text), store.Col("department", store.Text), store.Col("seniority", store.Integer),
	store.Col("first_name", store.Text), store.Col("last_name", store.Text), store.Col("name", store.Text), store.Col("job_title", store.Text), store.Col("invite_link", store.Text),
	store.Col("attributes", store.Text), store.Col("sequences", store.Text),
}

// acceptStatement writes users that are not known, requests and tasks at once:
// for PostgreSQL, to which every statement is a way there and back. A user that
// another transaction stores meanwhile, or whose id is taken, cannot be written;
// then no request gets a user_id, which is refused, and nothing is written. $1 = 1
// says that it happened: then the ids that are taken are left alone.
var acceptStatement = store.DefinePerEngine("intake.accept", `
WITH asked AS MATERIALIZED (
    SELECT r.*, u.id AS known, CASE WHEN e.person IS NULL AND ($1 = 0 OR (SELECT count(*) FROM users t WHERE t.id = r.id) = 0)
        THEN r.id ELSE r.fresh END AS made
    FROM `+store.Unnest(1+len(outbox.EnqueueStatement.Columns), acceptanceColumns)+`
    LEFT JOIN users u ON u.organization_id = r.organization_id AND u.email_key = r.email_key
    LEFT JOIN erased e ON e.organization_id = r.organization_id AND e.person = r.erased
), new AS (
    INSERT INTO users (id, organization_id, email_key, email, person_key, company, country, department, seniority,
        first_name, last_name, name, job_title, invite_link, attributes, sequences, created_at, updated_at)
    SELECT made, organization_id, email_key, email, person_key, company, country, department, seniority,
        first_name, last_name, name, job_title, invite_link, attributes, sequences, {now}, {now}
    FROM asked WHERE first = 1 AND known IS NULL
    ON CONFLICT DO NOTHING
    RETURNING 1
), written AS (
    INSERT INTO requests (organization_id, id, kind, status, user_id, email, sequence, input, task_id, traceparent, created_at)
    SELECT organization_id, request_id, kind, 'queued',
        CASE WHEN (SELECT count(*) FROM new) = (SELECT count(*) FROM asked WHERE first = 1 AND known IS NULL) THEN coalesce(known, made) END,
        email, sequence, input, task_id, traceparent, {now}
    FROM asked
    ON CONFLICT DO NOTHING
), enqueued AS (
    INSERT INTO outbox (id, organization_id, kind, queue, fairness_key, args, traceparent, state, look_at, created_at)
    SELECT t.id, t.organization_id, t.kind, t.queue, t.fairness_key, t.args, t.traceparent,
        CASE WHEN t.due <= {now} THEN 'ready' ELSE t.later END, t.due, {now}
    FROM (SELECT * FROM `+store.Unnest(1, outbox.EnqueueStatement.Columns)+`) AS t
    ON CONFLICT (id) DO NOTHING
)
SELECT coalesce(known, made) FROM asked`, "", acceptanceColumns...).Unsorted()

// acceptAtOnce is Accept for submissions without keys of idempotency: a look at
// the gate and one statement, which is its own transaction.
func acceptAtOnce(ctx context.Context, s *store.Store, submissions []*Submission, plan func([]*Acceptance) []usersync.Task, again bool) error {
	open, err := admit(ctx, s.GenericPlanForWrites(), submissions)
	if err != nil {
		return err
	}
	return putAtOnce(ctx, s.GenericPlanForWrites(), open, plan, again)
}

// putAtOnce writes the users, requests and tasks of the submissions that passed.
func putAtOnce(ctx context.Context, c store.Conn, open []*Submission, plan func([]*Acceptance) []usersync.Task, again bool) error {
	items, wanted := itemsOf(open)
	if len(items) == 0 {
		return nil
	}
	tasks := plan(items)
	// The order in which others lock the same rows.
	slices.SortFunc(items, func(a, b *Acceptance) int {
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.User.Email.Key(), b.User.Email.Key()), cmp.Compare(a.sequence, b.sequence))
	})
	set := acceptStatement.Rows(len(items))
	for _, a := range items {
		if err := a.addTo(set, wanted[a.userKey()]); err != nil {
			return err
		}
	}
	enqueued, err := outbox.TaskRows(tasks, outbox.StateScheduled).Args(store.Postgres)
	if err != nil {
		return err
	}
	ids, err := store.Collect(ctx, c, acceptStatement, set, store.ScanString, append([]any{flag(again)}, enqueued...)...)
	if store.IsNull(err) {
		return store.ErrRace
	}
	if err != nil {
		return err
	}
	for i, a := range items {
		a.UserID = ids[i]
	}
	return nil
}

// addTo adds the request; first is the one that stores its user.
func (a *Acceptance) addTo(set *store.Rows, first *Acceptance) error {
	input, err := a.input()
	if err != nil {
		return err
	}
	if a.Input != nil {
		set.Add(a.organization, a.RequestID, string(a.Kind), a.sequence, input, a.TaskID, a.Traceparent, a.User.Email.Display(), int64(0),
			a.UserID, "", "", "", "", "", "", "", int64(0), "", "", "", "", "", "", "")
		return nil
	}
	key := a.User.Email.Key()
	if a == first {
		a.fresh = usersync.NewID(usersync.PrefixUser)
	}
	attributes, sequences := newUser(a)
	set.Add(a.organization, a.RequestID, string(a.Kind), a.sequence, input, a.TaskID, a.Traceparent, a.User.Email.Display(), flag(a == first),
		usersync.KeyedID(usersync.PrefixUser, a.Salt, key), first.fresh, key, usersync.KeyedID(usersync.PrefixErasure, a.Salt, key),
		a.User.Key, a.User.Company, a.User.Country, a.User.Department, int64(a.User.Seniority), a.User.FirstName, a.User.LastName,
		a.User.Name, a.User.JobTitle, a.User.InviteLink, attributes, sequences)
	return nil
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}
