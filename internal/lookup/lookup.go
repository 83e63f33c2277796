// Package lookup looks users up for the directory dialect: in our store, and in the
// identity provider of their organization.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usersync/internal/event"
	"usersync/internal/login"
	"usersync/internal/record"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// The types of the events that look-ups log, and what changes users in the dialect: those
// of the seed's page and its neighbours.
const (
	ProviderGet       event.Type = "AUTHSYSTEM_USER_GET"
	StoreGet          event.Type = "SUBSCRIBE_USER_GET"
	StoreGetByID      event.Type = "SUBSCRIBE_USER_GETBYID"
	StoreCreate       event.Type = "SUBSCRIBE_USER_CREATE"
	StorePending      event.Type = "SUBSCRIBE_USER_CREATEPENDING"
	StoreUpdate       event.Type = "SUBSCRIBE_USER_UPDATE"
	StoreForgot       event.Type = "SUBSCRIBE_USER_STARTFORGOTPASSWORD"
	StorePassword     event.Type = "SUBSCRIBE_USER_CHANGEPASSWORD"
	StoreEmail        event.Type = "SUBSCRIBE_USER_CHANGEEMAIL"
	StoreAuthenticate event.Type = "SUBSCRIBE_USER_AUTHENTICATE" // ours, without a number
)

// numbers are the event ids of the types.
var numbers = map[event.Type]int{
	ProviderGet: 4601, StoreGet: 4000, StoreGetByID: 4001, StoreCreate: 4002, StorePending: 4003, StoreUpdate: 4004,
	StoreForgot: 4009, StorePassword: 4010, StoreEmail: 4011,
}

// source is that of the events that a look-up logs.
const source = "directory"

// Within is how long a look-up may take, by the contract.
const Within = 3 * time.Second

// providerWithin leaves time for the answer.
const providerWithin = Within - 300*time.Millisecond

// Providers ask identity providers.
type Providers interface {
	// Valid reports whether the organization has a provider to ask.
	Valid(o tenant.Organization) bool
	// Find asks it for whoever has an address. found is false when it knows nobody.
	Find(ctx context.Context, o tenant.Organization, email usersync.Email) (profile record.Profile, found bool, err error)
}

// Service looks users up.
type Service struct {
	Store *store.Store
	// Keys encrypt the ids of users and their addresses.
	Keys      *seal.Keys
	Recorder  *Recorder
	Providers Providers
}

// Query says who is looked for: by the address, or else by the id.
type Query struct {
	Email          usersync.Email
	ID             string
	IgnoreProvider bool
	// SourceSystem is the code of the calling application, Cause the id of the call.
	SourceSystem, Cause, Traceparent string
}

// Answer is what was found.
type Answer struct {
	// Records is nobody or one.
	Records []record.Record
	// From says where the fields of the record came from; nil where only the store was
	// asked.
	From record.Provenance
	// Degraded says that the provider could not be asked, and the store answers alone.
	Degraded bool
}

// ErrWorkflow is the cause of an error of a look-up whose provider failed, and which the
// store could not answer alone.
var ErrWorkflow = errors.New("the provider failed and the store knows nobody")

// Find looks a user up. The errors are of the database, or have the cause ErrWorkflow.
func (s *Service) Find(ctx context.Context, o tenant.Organization, org *store.Org, q Query) (Answer, error) {
	if q.IgnoreProvider || !s.Providers.Valid(o) {
		stored, err := s.stored(ctx, org, q)
		return Answer{Records: stored}, err
	}
	return s.both(ctx, o, org, q)
}

// stored returns what our store knows, and logs that it was asked.
func (s *Service) stored(ctx context.Context, org *store.Org, q Query) ([]record.Record, error) {
	records, err := find(ctx, org, q)
	if err != nil {
		return nil, fmt.Errorf("find the user: %w", err)
	}
	t, about := StoreGet, ""
	if q.Email.IsZero() {
		t = StoreGetByID
	}
	if len(records) > 0 {
		about = records[0].ID
	}
	s.Recorder.Log(ctx, org.ID(), q.event(t, about, outcomeOf(len(records) > 0, nil)))
	return records, nil
}

func find(ctx context.Context, org *store.Org, q Query) ([]record.Record, error) {
	if !q.Email.IsZero() {
		return login.ByEmail(ctx, org, q.Email)
	}
	return login.ByID(ctx, org, q.ID)
}

// event returns the event of one part of a look-up.
func (q Query) event(t event.Type, about, outcome string) event.Event {
	return event.Event{
		ID: usersync.NewID(usersync.PrefixEvent), Type: t, Source: source, UserID: about, Cause: q.Cause,
		Attributes: Attributes(t, q.SourceSystem, outcome),
	}
}

// Attributes returns what an event of a type says: its number, the application that called,
// and what came of the call.
func Attributes(t event.Type, sourceSystem, outcome string) map[string]any {
	out := map[string]any{"sourceSystem": sourceSystem, "outcome": outcome}
	if number := numbers[t]; number > 0 {
		out["eventId"] = number
	}
	return out
}

// The outcomes that events tell.
const (
	Found  = "found"
	Absent = "absent"
	Failed = "failed"
	Done   = "done"
)

// Event returns an event of a type about a user, "" for nobody, that a call of the dialect
// caused.
func Event(t event.Type, sourceSystem, cause, about, outcome string) event.Event {
	return Query{SourceSystem: sourceSystem, Cause: cause}.event(t, about, outcome)
}

func outcomeOf(found bool, err error) string {
	switch {
	case err != nil:
		return Failed
	case found:
		return Found
	}
	return Absent
}

// asked is what a provider answered.
type asked struct {
	profile record.Profile
	found   bool
	err     error
}

// ask asks the provider, and does not wait longer than a look-up may.
func (s *Service) ask(ctx context.Context, o tenant.Organization, email usersync.Email) (a asked) {
	ctx, cancel := context.WithTimeout(ctx, providerWithin)
	defer cancel()
	a.profile, a.found, a.err = s.Providers.Find(ctx, o, email)
	return a
}

// both asks provider and store at once, or the store first where only it knows the
// address.
func (s *Service) both(ctx context.Context, o tenant.Organization, org *store.Org, q Query) (Answer, error) {
	answers := make(chan asked, 1)
	if !q.Email.IsZero() {
		go func() { answers <- s.ask(ctx, o, q.Email) }()
	}
	stored, err := s.stored(ctx, org, q)
	if q.Email.IsZero() && err == nil && len(stored) > 0 {
		answers <- s.ask(ctx, o, stored[0].Email)
	}
	if err != nil || q.Email.IsZero() && len(stored) == 0 {
		return Answer{}, err
	}
	return s.combine(ctx, o, q, stored, <-answers)
}

func (s *Service) combine(ctx context.Context, o tenant.Organization, q Query, stored []record.Record, a asked) (Answer, error) {
	var mine *record.Record
	id := ""
	if len(stored) > 0 {
		mine, id = &stored[0], stored[0].ID
	}
	e := q.event(ProviderGet, id, outcomeOf(a.found, a.err))
	defer func() { s.Recorder.Log(ctx, o.ID, e) }()
	switch {
	case ctx.Err() != nil:
		return Answer{}, ctx.Err()
	case a.err != nil && mine != nil:
		return Answer{Records: stored, Degraded: true}, nil
	case a.err != nil:
		return Answer{}, usersync.Errorf(usersync.CodeInternal, "There was a problem during the Get workflow.").Because(errors.Join(ErrWorkflow, a.err))
	case !a.found:
		return Answer{Records: stored}, nil
	}
	merged, from := record.Merge(mine, a.profile)
	e.Attributes["fields"] = from.OfProvider() // where the record came from
	if mine == nil {
		merged.ID = usersync.KeyedID(usersync.PrefixUser, o.Salt, merged.Email.Key())
	}
	if learnt, ok := record.Learnt(mine, merged, from); ok {
		s.Recorder.Learn(Learning{Organization: o, Query: q, New: mine == nil, Input: learnt})
	}
	return Answer{Records: []record.Record{merged}, From: from}, nil
}
