package intake

import (
	"context"
	"encoding/json"
	"fmt"

	"usersync/internal/event"
	"usersync/internal/idempotency"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Submission is what one call hands in: one or more requests that are accepted
// together or not at all. They are all paid for, or all free.
type Submission struct {
	Organization string
	KeyID        string
	// Scope is what the key must allow; "" means nothing.
	Scope tenant.Scope
	// Idempotency is nil when the caller sent no key.
	Idempotency *idempotency.Key
	Items       []*Acceptance

	// Err is why the submission was refused; nil when it was accepted.
	Err *usersync.Error
	// Accepted is what was accepted: Items or, when Replayed, those of the
	// earlier submission with the same key, with ids and positions only.
	Accepted []*Acceptance
	Replayed bool

	// handedIn says that Accept was called with the submission before.
	handedIn bool
}

// Acceptance is one request that is to be accepted.
type Acceptance struct {
	RequestID   string
	Kind        request.Kind
	Salt        []byte // of the organization, for the id of a new user
	User        NewUser
	Traceparent string
	// TaskID is the task that will work on the request.
	TaskID string
	// Position is the place in the caller's list, from 0.
	Position int
	// Input is what is asked for, as JSON. A request with an Input stores no user:
	// its UserID names a known user, or is empty. A request without an Input stores
	// User.
	Input json.RawMessage

	// Event is what the request reports; nil where it is no event.
	Event *NewEvent

	// UserID is set by Accept where there is no Input.
	UserID string

	// named says that User.UserID is the id of a user of the organization.
	named        bool
	organization string
	sequence     int64
}

// NewEvent is an event that is stored with the request that reports it, under the id
// event.OfRequest.
type NewEvent struct {
	Type string
	// Attributes are what was said with it, without the address of anybody.
	Attributes map[string]any
	// Trigger is the run of a follow-up that triggered it; nil where a client reported it.
	Trigger *event.Trigger
}

// NewUser is what the accepting transaction stores of a user who is not known yet:
// the fields of the request, and what is derived from them.
type NewUser struct {
	usersync.UserInput
	// Person holds what the search compares by.
	user.Identity
}

// keyed reports whether the caller sent an Idempotency-Key.
func (s *Submission) keyed() bool { return s.Idempotency != nil }

func (a *Acceptance) userKey() userKey { return userKey{a.organization, a.User.Email.Key()} }

// Organization is the tenant that the request belongs to. Accept sets it before it
// calls plan.
func (a *Acceptance) Organization() string { return a.organization }

// Sequence is the number under which the request was accepted. Accept sets it.
func (a *Acceptance) Sequence() int64 { return a.sequence }

// EventID is the id of the event that the request reports.
func (a *Acceptance) EventID() string { return event.OfRequest(a.RequestID) }

// storedRequest is what an answer says of a request that was stored earlier.
type storedRequest struct {
	user     string
	sequence int64
}

var requestUsersStatement = store.Define("intake.requestUsers", `
SELECT q.id, q.user_id, q.sequence FROM {rows} JOIN requests q ON q.organization_id = r.organization_id AND q.id = r.id`,
	store.Col("organization_id", store.Text), store.Col("id", store.Text))

// FillReplays sets the user ids and the sequences of replayed submissions.
func FillReplays(ctx context.Context, s *store.Store, submissions []*Submission) error {
	byID := map[string][]*Acceptance{}
	set := requestUsersStatement.Rows(1)
	for _, sub := range submissions {
		if !sub.Replayed {
			continue
		}
		for _, a := range sub.Accepted {
			byID[a.RequestID] = append(byID[a.RequestID], a)
			set.Add(a.organization, a.RequestID)
		}
	}
	if set.Len() == 0 {
		return nil
	}
	stored, err := readStored(ctx, s.Reader(), set)
	if err != nil {
		return fmt.Errorf("read the users of replayed submissions: %w", err)
	}
	for id, q := range stored {
		for _, a := range byID[id] {
			a.UserID, a.sequence = q.user, q.sequence
		}
	}
	return nil
}

// readStored returns those of the requests that are stored, by their ids.
func readStored(ctx context.Context, c store.Conn, set *store.Rows) (map[string]storedRequest, error) {
	stored := make(map[string]storedRequest, set.Len())
	_, err := store.Collect(ctx, c, requestUsersStatement, set, func(scan func(...any) error) (struct{}, error) {
		var id string
		var q storedRequest
		err := scan(&id, &q.user, &q.sequence)
		stored[id] = q
		return struct{}{}, err
	})
	return stored, err
}
