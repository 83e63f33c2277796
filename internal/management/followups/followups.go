// Package followups holds the operations on follow-ups that the management dialect offers,
// beside package management, which has those on everything else.
package followups

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"usersync/internal/consent"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/identity"
	"usersync/internal/outbound"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Service carries out what tenants ask for. A method sees the rows of the organization
// that it is given only.
type Service struct{ Guard *outbound.Guard }

// Input is what a tenant says of a follow-up; nil leaves a field as it is.
type Input struct {
	Name    *string           `json:"name"`
	Trigger *followup.Trigger `json:"trigger"`
	// Condition is replaced as a whole. The empty one always holds.
	Condition *followup.Condition `json:"condition"`
	Overlap   *followup.Overlap   `json:"overlap"`
	Actions   *[]followup.Action  `json:"actions"`
	Status    *string             `json:"status"`
}

// apply changes a follow-up and returns the names of the fields that it changed.
func (in Input) apply(f *catalog.FollowUp) []string {
	var fields []string
	before := *f
	note := func(name string, changed bool) {
		if changed {
			fields = append(fields, name)
		}
	}
	if in.Name != nil {
		f.Name = strings.TrimSpace(*in.Name)
		note("name", f.Name != before.Name)
	}
	if in.Trigger != nil {
		f.Trigger = *in.Trigger
		note("trigger", f.Trigger != before.Trigger)
	}
	if in.Condition != nil {
		f.Condition = in.Condition
		note("condition", !same(f.Condition, before.Condition))
	}
	if in.Overlap != nil {
		f.Overlap = *in.Overlap
		note("overlap", f.Overlap != before.Overlap)
	}
	if in.Actions != nil {
		f.Actions = *in.Actions
		note("actions", !same(f.Actions, before.Actions))
	}
	if in.Status != nil {
		f.Status = *in.Status
		note("status", f.Status != before.Status)
	}
	return fields
}

// same reports whether two parts of a definition are stored alike.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// known are the ids of the organization's connections.
type known map[string]bool

func connections(ctx context.Context, org *store.Org) (known, error) {
	list, err := platform.ListConnections(ctx, org, "", maxConnections)
	if err != nil {
		return nil, fmt.Errorf("read the connections: %w", err)
	}
	ids := known{}
	for _, c := range list {
		ids[c.ID] = true
	}
	return ids, nil
}

// maxConnections is more than any organization has: the limit's default is 50.
const maxConnections = 10_000

// check compiles what a follow-up says. The error has code invalid and names each place.
func (s *Service) check(f *catalog.FollowUp, connections known) error {
	p, err := followup.Compile(f.Definition)
	var faults []usersync.FieldError
	if err != nil {
		faults = usersync.AsError(err).Fields
	} else {
		f.Definition = p.Definition
		faults = s.outward(p, connections)
	}
	if !slices.Contains(catalog.Statuses, f.Status) {
		faults = append(faults, usersync.FieldError{Field: "status", Message: fmt.Sprintf("must be one of %v", catalog.Statuses)})
	}
	if len(faults) == 0 {
		return nil
	}
	return invalid(faults)
}

// outward checks where a follow-up leads to.
func (s *Service) outward(p *followup.Program, connections known) (faults []usersync.FieldError) {
	addresses, ids := p.Addresses(), p.ConnectionIDs()
	for _, place := range slices.Sorted(maps.Keys(addresses)) {
		if _, err := s.Guard.CheckURL(addresses[place]); err != nil {
			faults = append(faults, usersync.FieldError{Field: place, Message: strings.TrimPrefix(usersync.AsError(err).Message, "The URL ")})
		}
	}
	for _, place := range slices.Sorted(maps.Keys(ids)) {
		for i, id := range ids[place] {
			if !connections[id] {
				faults = append(faults, usersync.FieldError{Field: fmt.Sprintf("%s[%d]", place, i), Message: "is no connection of the organization"})
			}
		}
	}
	return faults
}

func invalid(faults []usersync.FieldError) error {
	parts := make([]string, len(faults))
	for i, f := range faults {
		parts[i] = f.Field + " " + f.Message
	}
	return &usersync.Error{Code: usersync.CodeInvalid, Message: strings.Join(parts, "; "), Fields: faults}
}

// Create makes a follow-up. It is active unless in says otherwise.
func (s *Service) Create(ctx context.Context, actor string, org *store.Org, in Input) (catalog.FollowUp, error) {
	f := catalog.FollowUp{Status: catalog.Active}
	in.apply(&f)
	connections, err := connections(ctx, org)
	if err != nil {
		return f, err
	}
	if err := s.check(&f, connections); err != nil {
		return f, err
	}
	return catalog.Create(ctx, org, actor, f.Definition, f.Status)
}

// List returns the follow-ups, newest first.
func (s *Service) List(ctx context.Context, org *store.Org, before string, limit int) ([]catalog.FollowUp, error) {
	return catalog.List(ctx, org, before, limit)
}

// Get returns a follow-up.
func (s *Service) Get(ctx context.Context, org *store.Org, id string) (catalog.FollowUp, error) {
	return catalog.Get(ctx, org, id)
}

// Versions returns the definitions that a follow-up has had, newest first.
func (s *Service) Versions(ctx context.Context, org *store.Org, id string) ([]catalog.Version, error) {
	return catalog.Versions(ctx, org, id)
}

// Update changes what in says. A changed definition is a new version; what has begun goes
// on by the one that it began with.
func (s *Service) Update(ctx context.Context, actor string, org *store.Org, id string, in Input) (catalog.FollowUp, error) {
	connections, err := connections(ctx, org)
	if err != nil {
		return catalog.FollowUp{}, err
	}
	return catalog.Change(ctx, org, actor, "follow_up.update", id, func(f *catalog.FollowUp) ([]string, error) {
		fields := in.apply(f)
		if len(fields) == 0 {
			return nil, nil
		}
		return fields, s.check(f, connections)
	})
}

// Pause has a follow-up be set off by no event. What has begun goes on.
func (s *Service) Pause(ctx context.Context, actor string, org *store.Org, id string) (catalog.FollowUp, error) {
	return setStatus(ctx, actor, org, "follow_up.pause", id, catalog.Paused)
}

// Resume has a follow-up be set off again.
func (s *Service) Resume(ctx context.Context, actor string, org *store.Org, id string) (catalog.FollowUp, error) {
	return setStatus(ctx, actor, org, "follow_up.resume", id, catalog.Active)
}

func setStatus(ctx context.Context, actor string, org *store.Org, action, id, status string) (catalog.FollowUp, error) {
	return catalog.Change(ctx, org, actor, action, id, func(f *catalog.FollowUp) ([]string, error) {
		if f.Status == status {
			return nil, nil
		}
		f.Status = status
		return []string{"status"}, nil
	})
}

// Delete removes a follow-up. What it has begun ends at its next action.
func (s *Service) Delete(ctx context.Context, actor string, org *store.Org, id string) error {
	if err := catalog.Delete(ctx, org, actor, id); err != nil {
		return fmt.Errorf("delete the follow-up: %w", err)
	}
	return nil
}

// Sample is an event that nobody reported, for a rehearsal.
type Sample struct {
	// Type is that of the follow-up's trigger where it is not set.
	Type followup.EventType `json:"type"`
	// Email is the address of a user, who need not be known.
	Email string `json:"email"`
	// Timestamp is in seconds since 1970; 0 is now.
	Timestamp int64  `json:"timestamp"`
	Source    string `json:"source"`
	// Profile has fields that replace those of the user.
	Profile    Object `json:"profile"`
	Attributes Object `json:"attributes"`
	Trigger    Object `json:"trigger"`
	// Responses are what webhooks are answered, by the names of their actions.
	Responses Object `json:"responses"`
}

// Object is a JSON object whose numbers keep their digits.
type Object map[string]any

// UnmarshalJSON reads an object.
func (o *Object) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode((*map[string]any)(o)); err != nil {
		return fmt.Errorf("read an object: %w", err)
	}
	return nil
}

// errSampleEmail refuses a sample about nobody who could be.
var errSampleEmail = invalid([]usersync.FieldError{{Field: "event.email", Message: "must be an e-mail address"}})

// Rehearse shows what a follow-up would do about an event. Nothing is done.
func (s *Service) Rehearse(ctx context.Context, org *store.Org, id string, sample Sample) (followup.Rehearsal, error) {
	f, err := catalog.Get(ctx, org, id)
	if err != nil {
		return followup.Rehearsal{}, err
	}
	p, err := followup.Compile(f.Definition)
	if err != nil {
		return followup.Rehearsal{}, fmt.Errorf("compile the stored definition: %w", err)
	}
	if sample.Type != "" && sample.Type != f.Trigger.Type {
		return followup.Rehearsal{Why: fmt.Sprintf("trigger.type: it is set off by %s, not by %s", f.Trigger.Type, sample.Type), Actions: []followup.Rehearsed{}}, nil
	}
	now, err := org.Now(ctx)
	if err != nil {
		return followup.Rehearsal{}, fmt.Errorf("ask for the time: %w", err)
	}
	data, err := sample.data(ctx, org, f.Trigger.Type, now)
	if err != nil {
		return followup.Rehearsal{}, err
	}
	return p.Rehearse(data, now), nil
}

// data returns what conditions and templates see of the sample.
func (e Sample) data(ctx context.Context, org *store.Org, t followup.EventType, now time.Time) (map[string]any, error) {
	profile, err := e.profile(ctx, org)
	if err != nil {
		return nil, err
	}
	if e.Timestamp == 0 {
		e.Timestamp = now.Unix()
	}
	if e.Source == "" {
		e.Source = "dry-run"
	}
	return map[string]any{
		"type": string(t), "timestamp": e.Timestamp, "source": e.Source, "profile": profile,
		"attributes": map[string]any(e.Attributes), "trigger": map[string]any(e.Trigger), "responses": map[string]any(e.Responses),
	}, nil
}

func (e Sample) profile(ctx context.Context, org *store.Org) (map[string]any, error) {
	profile := followup.Profile("", usersync.UserInput{}, nil, false)
	if e.Email != "" {
		email, err := identity.ParseEmail(e.Email)
		if err != nil {
			return nil, errSampleEmail
		}
		if profile, err = profileOf(ctx, org, email); err != nil {
			return nil, err
		}
	}
	maps.Copy(profile, e.Profile)
	return profile, nil
}

// profileOf returns the profile of whoever has an address.
func profileOf(ctx context.Context, org *store.Org, email usersync.Email) (map[string]any, error) {
	users, err := user.ByEmail(ctx, org, email)
	if err != nil {
		return nil, fmt.Errorf("read the user: %w", err)
	}
	if len(users) == 0 {
		return followup.Profile("", usersync.UserInput{Email: email}, nil, false), nil
	}
	in := users[0].Input()
	wishes, err := consent.Of(ctx, org, users[0].ID)
	if err != nil {
		return nil, fmt.Errorf("read the user's consent: %w", err)
	}
	in.Consent = wishes[users[0].ID]
	return followup.Profile(users[0].ID, in, users[0].Tags, users[0].Removed), nil
}
