package store

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"usersync/internal/usersync"
)

// acceptanceColumns are a request, and the user that it tells of. email_key and
// erased are empty, and id is the user's, where it has an input of its own. fresh
// is the id of a new user whose id may not be used. first says that no request
// before it in the set tells of the same user.
var acceptanceColumns = []column{
	col("organization_id", text), col("request_id", text), col("kind", text), col("sequence", bigint), col("input", text),
	col("task_id", text), col("traceparent", text), col("email", text), col("first", bigint),
	col("id", text), col("fresh", text), col("email_key", text), col("erased", text), col("person_key", text),
	col("company", text), col("country", text), col("department", text), col("seniority", integer),
	col("first_name", text), col("last_name", text), col("name", text), col("job_title", text), col("invite_link", text),
	col("attributes", text), col("sequences", text),
}

// acceptStatement writes users that are not known, requests and tasks at once:
// for PostgreSQL, to which every statement is a way there and back. A user that
// another transaction stores meanwhile, or whose id is taken, cannot be written;
// then no request gets a user_id, which is refused, and nothing is written. $1 = 1
// says that it happened: then the ids that are taken are left alone.
var acceptStatement = &statement{columns: acceptanceColumns, texts: map[engineName]string{postgres: define(`
WITH asked AS MATERIALIZED (
    SELECT r.*, u.id AS known, CASE WHEN e.person IS NULL AND ($1 = 0 OR (SELECT count(*) FROM users t WHERE t.id = r.id) = 0)
        THEN r.id ELSE r.fresh END AS made
    FROM ` + unnest(1+len(enqueueStatement.columns), acceptanceColumns) + `
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
    INSERT INTO outbox (id, organization_id, kind, queue, lane, args, traceparent, state, look_at, created_at)
    SELECT t.id, t.organization_id, t.kind, t.queue, t.lane, t.args, t.traceparent,
        CASE WHEN t.due <= {now} THEN 'ready' ELSE t.later END, t.due, {now}
    FROM (SELECT * FROM ` + unnest(1, enqueueStatement.columns) + `) AS t
    ON CONFLICT (id) DO NOTHING
)
SELECT coalesce(known, made) FROM asked`).texts[postgres]}}

// acceptAtOnce is Accept for submissions without keys of idempotency: a look at
// the gate and one statement, which is its own transaction.
func (s *Store) acceptAtOnce(ctx context.Context, submissions []*Submission, plan func([]*Acceptance) []usersync.Task, again bool) error {
	open, err := admit(ctx, s.acceptor(), submissions)
	if err != nil {
		return err
	}
	return putAtOnce(ctx, s.acceptor(), open, plan, again)
}

// putAtOnce writes the users, requests and tasks of the submissions that passed.
func putAtOnce(ctx context.Context, c conn, open []*Submission, plan func([]*Acceptance) []usersync.Task, again bool) error {
	items, wanted := itemsOf(open)
	if len(items) == 0 {
		return nil
	}
	tasks := plan(items)
	// The order in which others lock the same rows.
	slices.SortFunc(items, func(a, b *Acceptance) int {
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.User.Email.Key(), b.User.Email.Key()), cmp.Compare(a.sequence, b.sequence))
	})
	set := acceptStatement.rows(len(items))
	for _, a := range items {
		if err := a.addTo(set, wanted[a.userKey()]); err != nil {
			return err
		}
	}
	enqueued, err := taskRows(tasks, stateScheduled).args(postgres)
	if err != nil {
		return err
	}
	ids, err := collect(ctx, c, acceptStatement, set, scanString, append([]any{flag(again)}, enqueued...)...)
	if unresolved(err) {
		return errRace
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
func (a *Acceptance) addTo(set *rows, first *Acceptance) error {
	input, err := a.input()
	if err != nil {
		return err
	}
	if a.Input != nil {
		set.add(a.organization, a.RequestID, string(a.Kind), a.sequence, input, a.TaskID, a.Traceparent, a.User.Email.Display(), int64(0),
			a.UserID, "", "", "", "", "", "", "", int64(0), "", "", "", "", "", "", "")
		return nil
	}
	key := a.User.Email.Key()
	if a == first {
		a.fresh = usersync.NewID(usersync.PrefixUser)
	}
	attributes, sequences := newUser(a)
	set.add(a.organization, a.RequestID, string(a.Kind), a.sequence, input, a.TaskID, a.Traceparent, a.User.Email.Display(), flag(a == first),
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

// unresolved reports whether acceptStatement wrote nothing, because it could not
// store all users.
func unresolved(err error) bool {
	const notNull = "23502"
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == notNull
}
