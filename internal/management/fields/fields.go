// Package fields holds the operations on the fields of a connection's platform, beside
// package management, which has those on everything else.
package fields

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"usersync/internal/audit"
	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Service asks platforms. A method sees the connections of the organization that it is
// given only.
type Service struct {
	// FindPlatform finds a platform by name.
	FindPlatform func(name string) (connector.Platform, bool)
	// Hub makes the calls.
	Hub *connector.Hub
}

// within bounds all calls of one operation together, since the caller waits for them.
const within = 30 * time.Second

// Input is a field that is asked for.
type Input struct {
	// Name is what a mapping is to call it.
	Name string `json:"name"`
	// Type is what it is to take.
	Type ability.FieldType `json:"type"`
}

// at is a connection that was opened.
type at struct {
	connector.Connector
	platform connector.Platform
}

// open opens a connection. It has no breaker, since somebody wants to know how things are
// now.
func (s *Service) open(ctx context.Context, org *store.Org, id string) (at, error) {
	c, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return at{}, fmt.Errorf("read the connection: %w", err)
	}
	kind, known := s.FindPlatform(c.Platform)
	if !known {
		return at{}, usersync.Errorf(usersync.CodeConflict, "This service no longer knows the platform %s; delete the connection.", c.Platform)
	}
	cfg, err := c.Config()
	if err != nil {
		return at{}, fmt.Errorf("read what the connection is opened with: %w", err)
	}
	opened, err := kind.Open(cfg, s.Hub.Client(c.Organization, ""))
	if err != nil {
		return at{}, usersync.Errorf(usersync.CodeConflict, "The connection cannot be opened: %s", usersync.AsError(err).Message).Because(err)
	}
	return at{opened, kind}, nil
}

// List asks a connection's platform what fields its contacts have.
func (s *Service) List(ctx context.Context, org *store.Org, id string) ([]ability.Field, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := s.open(ctx, org, id)
	if err != nil {
		return nil, err
	}
	lister, ok := ability.FieldListerOf(c.Connector)
	if !ok {
		return nil, usersync.Errorf(usersync.CodeConflict, "%s does not say what fields it has.", c.platform.Title)
	}
	return c.list(ctx, lister)
}

func (c at) list(ctx context.Context, lister ability.FieldLister) ([]ability.Field, error) {
	list, err := lister.Fields(ctx)
	return list, c.said(err)
}

// said is an error of the platform as the caller reads it.
func (c at) said(err error) error {
	switch usersync.CodeOf(err) {
	case usersync.CodeDisconnected, usersync.CodeRejected:
		return usersync.Errorf(usersync.CodeConflict, "%s refuses the connection: %s", c.platform.Title, usersync.AsError(err).Message).Because(err)
	case usersync.CodeRateLimited:
		out := usersync.Errorf(usersync.CodeUnavailable, "%s takes no more calls for now.", c.platform.Title).Because(err)
		out.RetryAfter = usersync.AsError(err).RetryAfter
		return out
	}
	return err
}

// Make has a connection's platform make a field. isNew is false where there is one of the
// name and the type already. The error has code invalid for a name or a type that the
// platform does not take, and conflict for a field of another type.
func (s *Service) Make(ctx context.Context, actor string, org *store.Org, id string, in Input) (made ability.Field, isNew bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := s.open(ctx, org, id)
	if err != nil {
		return made, false, err
	}
	maker, ok := ability.FieldMakerOf(c.Connector)
	if !ok {
		return made, false, usersync.Errorf(usersync.CodeInvalid, "%s needs no field to be made: map any name in the settings, and it keeps what is pushed under it.", c.platform.Title)
	}
	kind, err := check(maker.FieldRules(), in)
	if err != nil {
		return made, false, err
	}
	if made, err = c.find(ctx, maker, in.Name, kind); err != nil || made.Name != "" {
		return made, false, err
	}
	// A key that has ended may make nothing at the platform.
	if err := org.Tx(ctx, func(*store.Tx) error { return nil }); err != nil {
		return made, false, err
	}
	if err := maker.MakeField(ctx, in.Name, kind); err != nil {
		return c.refused(ctx, maker, in.Name, kind, err)
	}
	err = org.Tx(ctx, func(tx *store.Tx) error {
		return audit.Record(ctx, tx, org.ID(), actor, "connection.field.create", id, in.Name)
	})
	if err != nil {
		return made, false, fmt.Errorf("record who made the field: %w", err)
	}
	if made, err = c.find(ctx, maker, in.Name, kind); made.Name == "" { // it may be listed later
		made = ability.Field{Name: in.Name, Label: in.Name, Type: kind}
	}
	return made, true, err
}

// check returns the platform's word for the type of a field that it can make.
func check(rules ability.FieldRules, in Input) (kind string, err error) {
	var wrong []usersync.FieldError
	if !rules.Name.MatchString(in.Name) {
		wrong = append(wrong, usersync.FieldError{Field: "name", Message: "must be " + rules.NameHelp})
	}
	kind, known := rules.Types[in.Type]
	if !known {
		var types []string
		for _, one := range slices.Sorted(maps.Keys(rules.Types)) {
			types = append(types, string(one))
		}
		wrong = append(wrong, usersync.FieldError{Field: "type", Message: "must be one of " + strings.Join(types, ", ")})
	}
	if len(wrong) == 0 {
		return kind, nil
	}
	parts := make([]string, len(wrong))
	for i, w := range wrong {
		parts[i] = w.Field + " " + w.Message
	}
	return "", &usersync.Error{Code: usersync.CodeInvalid, Message: strings.Join(parts, "; "), Fields: wrong}
}

// find returns the field of a name, which no platform tells apart by its case. It is the
// zero Field where there is none.
func (c at) find(ctx context.Context, lister ability.FieldLister, name, kind string) (ability.Field, error) {
	list, err := c.list(ctx, lister)
	if err != nil {
		return ability.Field{}, err
	}
	i := slices.IndexFunc(list, func(f ability.Field) bool { return strings.EqualFold(f.Name, name) })
	switch {
	case i < 0:
		return ability.Field{}, nil
	case list[i].Type != kind:
		return ability.Field{}, usersync.Errorf(usersync.CodeConflict, "%s has a field '%s' of the type '%s'.", c.platform.Title, list[i].Name, list[i].Type)
	}
	return list[i], nil
}

// refused is what becomes of a field that the platform refused to make. Another call may
// have made it meanwhile.
func (c at) refused(ctx context.Context, lister ability.FieldLister, name, kind string, why error) (ability.Field, bool, error) {
	if usersync.CodeOf(why) != usersync.CodeRejected {
		return ability.Field{}, false, c.said(why)
	}
	found, err := c.find(ctx, lister, name, kind)
	if err != nil || found.Name != "" {
		return found, false, err
	}
	e := usersync.AsError(why)
	return found, false, usersync.Errorf(usersync.CodeConflict, "%s refuses to make the field: %s", c.platform.Title, e.Message).Because(e)
}
