package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"usersync/internal/queue"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Accept takes submissions in one transaction: it refuses those whose key,
// organization or balance does not allow them, replays those it has seen, and
// stores the rest with the tasks that Plan makes of them. Calling it again
// with the same submissions, after a commit whose outcome is unknown, accepts
// nothing twice and refuses nothing that is stored, whatever has become of the key, the
// organization and the balance since.
func Accept(ctx context.Context, s *store.Store, submissions []*Submission) error {
	return AcceptPlanned(ctx, s, submissions, Plan)
}

// AcceptPlanned is Accept with the tasks that plan makes, for tests of the packages
// that do the work.
func AcceptPlanned(ctx context.Context, s *store.Store, submissions []*Submission, plan func([]*Acceptance) []usersync.Task) error {
	commit := s.OneStatement
	if slices.ContainsFunc(submissions, (*Submission).keyed) {
		commit = s.Once
	}
	repeated := repeatedOf(submissions)
	return store.Repeat(ctx, func(try int) error {
		return commit(ctx, try, func(tx *store.Tx) error {
			open, err := admit(ctx, tx, submissions)
			if err != nil {
				return fmt.Errorf("admit the submissions: %w", err)
			}
			if open, err = leaveStored(ctx, tx, open, repeated); err != nil {
				return fmt.Errorf("look for what is stored already: %w", err)
			}
			if open, err = keepKeys(ctx, tx, open); err != nil {
				return fmt.Errorf("keep the idempotency keys: %w", err)
			}
			if err := findNamed(ctx, tx, open); err != nil {
				return fmt.Errorf("find the users that are named: %w", err)
			}
			if err := write(ctx, tx, open, plan, try); err != nil {
				return fmt.Errorf("store the requests: %w", err)
			}
			return nil
		})
	})
}

// repeatedOf returns the submissions that an earlier call was handed, whose outcome is
// not known, and notes that this call was handed all of them.
func repeatedOf(submissions []*Submission) (repeated []*Submission) {
	for _, sub := range submissions {
		if sub.handedIn {
			repeated = append(repeated, sub)
		}
		sub.handedIn = true
	}
	return repeated
}

// leaveStored returns those of the open submissions that are to be stored, and notes the
// repeated ones as accepted that an earlier call has stored, open or refused. It looks
// after the gates were read: what closed a gate may be the very work that is stored.
func leaveStored(ctx context.Context, tx *store.Tx, open, repeated []*Submission) ([]*Submission, error) {
	if len(repeated) == 0 {
		return open, nil
	}
	set := requestUsersStatement.Rows(len(repeated))
	for _, sub := range repeated {
		for _, a := range sub.Items {
			set.Add(sub.Organization, a.RequestID)
		}
	}
	stored, err := readStored(ctx, tx.Conn, set)
	if err != nil {
		return nil, err
	}
	for _, sub := range repeated {
		if !sub.storedAs(stored) {
			continue
		}
		open = slices.DeleteFunc(open, func(one *Submission) bool { return one == sub })
		// Nobody has heard of that commit: its tasks may be in any queue.
		for _, q := range queue.Queues {
			tx.Readied(q)
		}
	}
	return open, nil
}

// storedAs notes the submission as accepted if its requests are among those that are
// stored, and reports whether they are. They were stored all together or not at all.
func (s *Submission) storedAs(stored map[string]storedRequest) bool {
	if len(s.Items) == 0 {
		return false
	}
	if _, found := stored[s.Items[0].RequestID]; !found {
		return false
	}
	s.Err, s.Accepted, s.Replayed = nil, s.Items, false
	for _, a := range s.Items {
		q := stored[a.RequestID]
		a.organization, a.sequence = s.Organization, q.sequence
		if a.Input == nil {
			a.UserID = q.user
		}
	}
	return true
}

// acceptedRow is a request as it is accepted. It also holds the user of the request
// and, on the first request of a task, the task.
type acceptedRow struct {
	Organization string `col:"organization_id"`
	RequestID    string `col:"request_id"`
	Kind         string `col:"kind"`
	Sequence     int64  `col:"sequence"`
	Input        string `col:"input"`
	Traceparent  string `col:"traceparent"`
	Email        string `col:"email"`
	// UserID is the id of the user, known or new. FreshID is the id of a new user
	// whose UserID may not be used.
	UserID  string `col:"user_id"`
	FreshID string `col:"fresh_id"`
	// First is 1 on the first request of each user in the set. It is 0 on a request
	// with an Input or that names its user, which has no data of a new one.
	First      int64  `col:"first"`
	EmailKey   string `col:"email_key"`
	ErasedKey  string `col:"erased_key"`
	PersonKey  string `col:"person_key"`
	Company    string `col:"company"`
	Country    string `col:"country"`
	Department string `col:"department"`
	Seniority  int64  `col:"seniority"`
	FirstName  string `col:"first_name"`
	LastName   string `col:"last_name"`
	Name       string `col:"name"`
	JobTitle   string `col:"job_title"`
	InviteLink string `col:"invite_link"`
	Attributes string `col:"attributes"`
	Sequences  string `col:"sequences"`
	TaskID     string `col:"task_id"`
	// TaskKind, TaskQueue and TaskArgs are "" where an earlier row has the task.
	TaskKind  string `col:"task_kind"`
	TaskQueue string `col:"task_queue"`
	TaskKey   string `col:"task_key"`
	TaskArgs  string `col:"task_args"`
	// EventID is "" on a request that reports none.
	EventID         string `col:"event_id"`
	EventType       string `col:"event_type"`
	EventAttributes string `col:"event_attributes"`
	EventTrigger    string `col:"event_trigger"`
}

// The parts of accepting. PostgreSQL runs them as one statement, see
// acceptStatement, and SQLite one after the other, see writeInParts. $1 counts the
// tries before this one.
const (
	// askedText finds the users that are known and chooses the ids of the new ones.
	// The derived id of a person who was erased is not used again. A repetition, which
	// may follow a collision of ids, also avoids the ids that other users have.
	askedText = `asked AS MATERIALIZED (
    SELECT r.*, u.id AS known, CASE WHEN e.person IS NULL AND ($1 = 0 OR r.email_key = '' OR (SELECT count(*) FROM users t WHERE t.id = r.user_id AND t.organization_id = r.organization_id) = 0)
        THEN r.user_id ELSE r.fresh_id END AS made
    FROM {rows}
    LEFT JOIN users u ON u.organization_id = r.organization_id AND u.email_key = r.email_key
    LEFT JOIN erased e ON e.organization_id = r.organization_id AND e.person = r.erased_key
)`
	// insertUsersText stores the new users, made and updated at one time of the clock. A
	// user whom another transaction has
	// stored meanwhile stays as it is. The update changes nothing and is there to
	// have the row returned.
	insertUsersText = `
INSERT INTO users (id, organization_id, email_key, email, person_key, company, country, department, seniority,
    first_name, last_name, name, job_title, invite_link, attributes, sequences, created_at, updated_at)
SELECT made, organization_id, email_key, email, person_key, company, country, department, seniority,
    first_name, last_name, name, job_title, invite_link, attributes, sequences, clock.now, clock.now
FROM asked CROSS JOIN (SELECT {now} AS now) AS clock WHERE first = 1 AND known IS NULL
{again}ON CONFLICT (organization_id, email_key) DO UPDATE SET email_key = excluded.email_key{/again}`
	insertRequestsText = `
INSERT INTO requests (organization_id, id, kind, status, user_id, email, sequence, input, task_id, traceparent, created_at)
SELECT organization_id, request_id, kind, 'queued', %s, email, sequence, input, task_id, traceparent, {now}
FROM %s WHERE true
{again}ON CONFLICT DO NOTHING{/again}`
	insertTasksText = `
INSERT INTO outbox (id, organization_id, kind, queue, fairness_key, args, traceparent, state, look_at, created_at)
SELECT task_id, organization_id, task_kind, task_queue, task_key, task_args, traceparent, 'ready', 0, {now}
FROM %s WHERE task_kind <> ''
{again}ON CONFLICT (id, organization_id) DO NOTHING{/again}`
	insertEventsText = `
INSERT INTO events (id, organization_id, user_id, type, source, cause, attributes, caused_by, created_at)
SELECT event_id, organization_id, %s, event_type, kind, request_id, event_attributes, event_trigger, {now}
FROM %s WHERE event_id <> ''
{again}ON CONFLICT (organization_id, id) DO NOTHING{/again}`
)

// acceptStatement writes everything on PostgreSQL and returns the user of each
// request. xmax is not 0 on a user whom another transaction has stored since the
// statement began, which is rare.
var acceptStatement = defineAccept("intake.accept", "")

// acceptEventsStatement is acceptStatement for a set with requests that report events.
var acceptEventsStatement = defineAccept("intake.acceptWithEvents", `, logged AS (`+fmt.Sprintf(insertEventsText, "owner", "resolved")+`
)`)

// defineAccept defines acceptStatement with further parts.
func defineAccept(name, further string) *store.Statement {
	return store.DefinePerEngine(name, `
WITH `+askedText+`, stored AS (`+insertUsersText+`
    RETURNING id, organization_id, email_key, xmax <> 0 AS there
), met AS MATERIALIZED (
    SELECT id, organization_id, email_key FROM stored WHERE there
), resolved AS MATERIALIZED (
    SELECT a.*, coalesce(a.known, m.id, a.made) AS owner FROM asked a
    LEFT JOIN met m ON m.organization_id = a.organization_id AND m.email_key = a.email_key
), written AS (`+fmt.Sprintf(insertRequestsText, "owner", "resolved")+`
), enqueued AS (`+fmt.Sprintf(insertTasksText, "asked")+`
)`+further+`
SELECT request_id, owner FROM resolved`, ``,
		store.ColumnsOf[acceptedRow]()...).Unsorted()
}

// write stores the requests of the submissions that passed, with their users and
// tasks, and notes the users' ids in them.
func write(ctx context.Context, tx *store.Tx, open []*Submission, plan func([]*Acceptance) []usersync.Task, try int) error {
	items := itemsOf(open)
	if len(items) == 0 {
		return nil
	}
	tasks := map[string]usersync.Task{}
	for _, t := range plan(items) {
		tasks[t.ID] = t
		tx.Readied(t.Queue)
	}
	rows, err := acceptedRows(items, tasks)
	if err != nil {
		return fmt.Errorf("make the rows: %w", err)
	}
	writeRows := writeAtOnce
	if tx.Embedded() {
		writeRows = writeInParts
	}
	owners, err := writeRows(ctx, tx, rows, try)
	if err != nil {
		return taken(err)
	}
	for _, a := range items {
		if a.Input == nil {
			a.UserID = owners[a.RequestID]
		}
	}
	return nil
}

// taken turns a duplicate into ErrRace, so that the acceptance runs again with other
// ids. The derived id of a new user belongs to another user when that user's address
// has changed since.
func taken(err error) error {
	if store.IsDuplicate(err) {
		return store.ErrRace
	}
	return err
}

// writeAtOnce stores the rows by one statement, since each statement costs
// PostgreSQL a trip. It returns the users' ids by request.
func writeAtOnce(ctx context.Context, tx *store.Tx, rows []acceptedRow, try int) (map[string]string, error) {
	st := acceptStatement
	if slices.ContainsFunc(rows, func(r acceptedRow) bool { return r.EventID != "" }) {
		st = acceptEventsStatement
	}
	set := st.Rows(len(rows))
	for _, row := range rows {
		store.AddRecord(set, row)
	}
	owners := make(map[string]string, len(rows))
	_, err := store.Collect(ctx, tx.Conn, st, set, func(scan func(...any) error) (struct{}, error) {
		var request, owner string
		err := scan(&request, &owner)
		owners[request] = owner
		return struct{}{}, err
	}, try)
	if err != nil {
		return nil, fmt.Errorf("store users, requests and tasks: %w", err)
	}
	return owners, nil
}

// itemsOf returns what is to be accepted, and notes it as accepted.
func itemsOf(open []*Submission) []*Acceptance {
	var items []*Acceptance
	for _, sub := range open {
		sub.Accepted = sub.Items
		items = append(items, sub.Items...)
	}
	return items
}

// acceptedRows returns the rows of requests in the order in which others lock the same
// users. Each task goes with the first of its requests, whose trace it has.
func acceptedRows(items []*Acceptance, tasks map[string]usersync.Task) ([]acceptedRow, error) {
	sorted := slices.Clone(items)
	slices.SortStableFunc(sorted, func(a, b *Acceptance) int {
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.User.Email.Key(), b.User.Email.Key()), cmp.Compare(a.sequence, b.sequence))
	})
	first := map[string]*Acceptance{} // by task
	for _, a := range items {
		if first[a.TaskID] == nil {
			first[a.TaskID] = a
		}
	}
	rows := make([]acceptedRow, 0, len(items))
	fresh := map[userKey]string{} // one id for all requests that tell of a new user
	for _, a := range sorted {
		row, err := a.row()
		if err != nil {
			return nil, err
		}
		if a.Input == nil && !a.named {
			if id, told := fresh[a.userKey()]; told {
				row.FreshID = id
			} else {
				fresh[a.userKey()], row.First = row.FreshID, 1
			}
		}
		if t, ok := tasks[a.TaskID]; ok && first[a.TaskID] == a {
			row.TaskKind, row.TaskQueue, row.TaskKey, row.TaskArgs = t.Kind, t.Queue, t.FairnessKey, string(t.Args)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// row returns the request as it is stored.
func (a *Acceptance) row() (acceptedRow, error) {
	row := acceptedRow{
		Organization: a.organization, RequestID: a.RequestID, Kind: string(a.Kind), Sequence: a.sequence, Input: string(a.Input),
		Traceparent: a.Traceparent, Email: a.User.Email.Display(), UserID: a.UserID, FreshID: a.UserID, TaskID: a.TaskID,
	}
	if a.Event != nil {
		row.EventID, row.EventType, row.EventAttributes = a.EventID(), a.Event.Type, store.Encode(a.Event.Attributes)
		row.EventTrigger = a.Event.Trigger.Encode()
	}
	if a.Input != nil {
		return row, nil
	}
	in := a.User.UserInput
	if !a.named {
		in.UserID = ""
	}
	input, err := json.Marshal(in)
	if err != nil {
		return row, fmt.Errorf("encode the input: %w", err)
	}
	if a.named {
		row.Input, row.UserID, row.FreshID = string(input), in.UserID, in.UserID
		return row, nil
	}
	u, key := a.User, a.User.Email.Key()
	row.Input, row.EmailKey, row.ErasedKey = string(input), key, usersync.KeyedID(usersync.PrefixErasure, a.Salt, key)
	row.UserID, row.FreshID = usersync.KeyedID(usersync.PrefixUser, a.Salt, key), usersync.NewID(usersync.PrefixUser)
	row.PersonKey, row.Company, row.Country, row.Department, row.Seniority = u.Key, u.Company, u.Country, u.Department, int64(u.Seniority)
	row.FirstName, row.LastName, row.Name, row.JobTitle, row.InviteLink = u.FirstName, u.LastName, u.Name, u.JobTitle, u.InviteLink
	row.Attributes, row.Sequences = newUser(a)
	return row, nil
}

// newUser returns the attributes of a new user, whose first request is a, and the
// sequences of the user's fields.
// Tags are left to the request's own run, and so is whether the user was removed.
func newUser(a *Acceptance) (attributes, sequences string) {
	var u usersync.User
	in := a.User.UserInput
	in.Tags, in.Removed = nil, nil
	u.Apply(in, a.sequence)
	u.Sequences[usersync.FieldEmail] = a.sequence
	return store.Encode(u.Attributes), store.Encode(u.Sequences)
}

// userKey is what a user is known by.
type userKey struct{ organization, email string }
