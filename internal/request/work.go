package request

import (
	"context"
	"errors"
	"time"

	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Work is a request about one user as a worker needs it: what was asked and
// the user as stored now.
type Work struct {
	ID       string
	TaskID   string
	Kind     Kind
	Status   Status
	Sequence int64
	// Input is what a user-sync says of the user, Platforms what a platform-sync
	// asks for.
	Input       usersync.UserInput
	Platforms   usersync.PlatformSync
	Traceparent string
	Email       string // as it was sent
	Run         int
	Charged     int64
	CreatedAt   time.Time
	User        usersync.User
}

// Outcome returns the outcome of the request before anything has become of it.
func (w Work) Outcome() Outcome {
	return Outcome{RequestID: w.ID, Kind: w.Kind, TaskID: w.TaskID, UserID: w.User.ID, Run: w.Run, Traceparent: w.Traceparent,
		Status: w.Status, Charged: w.Charged, Fresh: w.Fresh()}
}

// Fresh reports whether no step of the request has been worked before.
func (w Work) Fresh() bool { return w.Run == 1 && w.Status == Queued }

// WorkColumns are the columns of Work, of a request q and its user u, for statements
// that read it beside other things. NoWork stands in their place in rows that hold no
// work, and WorkOfNobody in rows of a request that is about no user. WorkToDo is the condition for a request that is still to be worked.
const (
	WorkColumns = requestColumns + `, u.id, u.email, u.email_key, u.country, u.first_name, u.last_name, u.name, u.job_title, u.invite_link,
    u.attributes, u.tags, u.removed, u.sequences, u.version`
	NoWork       = `'', '', '', '', 0, '', '', '', 0, 0, 0, ` + noUser
	WorkOfNobody = requestColumns + `, ` + noUser
	WorkToDo     = `q.status IN ('queued', 'processing', 'awaiting_credits')`
)

const (
	requestColumns = `q.id, q.task_id, q.kind, q.status, q.sequence, q.input, q.traceparent, q.email, q.run, q.charged, q.created_at`
	noUser         = `'', '', '', '', '', '', '', '', '', '', '', 0, '', 0`
)

var workStatement = store.Define("request.work", `
SELECT `+WorkColumns+`
FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id
JOIN users u ON u.id = q.user_id
WHERE q.task_id {words}$1{/words} AND `+WorkToDo+`
ORDER BY q.sequence`, store.Col("organization_id", store.Text), store.Col("id", store.Text))

// Load loads those of the requests that the claimed tasks still have to work, in
// the order of their acceptance.
func Load(ctx context.Context, s *store.Store, c usersync.Claim, ids []string) ([]Work, error) {
	return store.Collect(ctx, s.Reader(), workStatement, IDRows(workStatement, c.Organization, ids), scanWork, outbox.TaskWords(c))
}

func scanWork(scan func(...any) error) (Work, error) {
	var row WorkRow
	if err := scan(row.Columns()...); err != nil {
		return Work{}, err
	}
	return row.Work()
}

// WorkRow is a row of WorkColumns. It may be filled again for the next row.
type WorkRow struct {
	work                                           Work
	input, email, key, attributes, tags, sequences string
	created, removed                               int64
}

// Columns returns where the columns go, in their order.
func (r *WorkRow) Columns() []any {
	w, u := &r.work, &r.work.User
	return []any{&w.ID, &w.TaskID, &w.Kind, &w.Status, &w.Sequence, &r.input, &w.Traceparent, &w.Email, &w.Run, &w.Charged, &r.created,
		&u.ID, &r.email, &r.key, &u.Country, &u.FirstName, &u.LastName, &u.Name, &u.JobTitle, &u.InviteLink,
		&r.attributes, &r.tags, &r.removed, &r.sequences, &u.Version}
}

// Found reports whether the row holds a work, and not NoWork.
func (r *WorkRow) Found() bool { return r.work.ID != "" }

// Work returns what the row says.
func (r *WorkRow) Work() (Work, error) {
	w := r.work
	w.CreatedAt = store.At(r.created)
	w.User.Email = usersync.NewEmail(r.email, r.key)
	w.Input.Email = w.User.Email
	if r.removed == 1 {
		w.User.Removed = new(true)
	}
	return w, errors.Join(w.decodeInput(r.input), store.Decode(r.attributes, &w.User.Attributes), store.Decode(r.tags, &w.User.Tags), store.Decode(r.sequences, &w.User.Sequences))
}

func (w *Work) decodeInput(input string) error {
	if w.Kind == KindPlatformSync {
		return store.Decode(input, &w.Platforms)
	}
	return store.Decode(input, &w.Input)
}
