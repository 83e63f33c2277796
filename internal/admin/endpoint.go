package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"usersync/internal/store"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// EndpointInput is what a tenant says of a webhook endpoint; nil leaves a
// field as it is.
type EndpointInput struct {
	URL         *string   `json:"url"`
	EventTypes  *[]string `json:"eventTypes"`
	Description *string   `json:"description"`
}

func (s *Service) validateEndpoint(in EndpointInput) error {
	var v invalid
	if in.URL != nil {
		if _, err := s.Guard.CheckURL(*in.URL); err != nil {
			v.add("url", "%s", strings.TrimPrefix(usersync.AsError(err).Message, "The URL "))
		}
	}
	if in.EventTypes != nil {
		validateTypes(&v, *in.EventTypes)
	}
	if in.Description != nil && tooLong(*in.Description) {
		v.add("description", "must have at most %d characters", maxText)
	}
	return v.err()
}

// validateTypes names the first fault only: the list can be long.
func validateTypes(v *invalid, types []string) {
	if len(types) == 0 {
		v.add("eventTypes", `must name at least one type, or "*"`)
	}
	for i, t := range types {
		if t != usersync.EveryMessage && !slices.Contains(usersync.MessageTypes, usersync.MessageType(t)) {
			v.add(fmt.Sprintf("eventTypes[%d]", i), "must be * or one of %v", usersync.MessageTypes)
			return
		}
		if slices.Contains(types[:i], t) {
			v.add(fmt.Sprintf("eventTypes[%d]", i), "must not be there twice")
			return
		}
	}
}

func (in EndpointInput) apply(e *usersync.Endpoint) []string {
	var fields []string
	if in.URL != nil && *in.URL != e.URL {
		e.URL, fields = *in.URL, append(fields, "url")
	}
	if in.EventTypes != nil && !slices.Equal(*in.EventTypes, e.EventTypes) {
		e.EventTypes, fields = *in.EventTypes, append(fields, "eventTypes")
	}
	if in.Description != nil && *in.Description != e.Description {
		e.Description, fields = *in.Description, append(fields, "description")
	}
	return fields
}

// CreateEndpoint makes a webhook endpoint. Its secret is returned here and
// never again.
func (s *Service) CreateEndpoint(ctx context.Context, actor string, org *store.Org, in EndpointInput) (usersync.Endpoint, usersync.Secret, error) {
	if in.URL == nil {
		empty := ""
		in.URL = &empty
	}
	if in.EventTypes == nil {
		in.EventTypes = &[]string{usersync.EveryMessage}
	}
	if err := s.validateEndpoint(in); err != nil {
		return usersync.Endpoint{}, usersync.Secret{}, err
	}
	var e usersync.Endpoint
	in.apply(&e)
	secret := webhooksig.NewSecret()
	e, err := org.CreateEndpoint(ctx, actor, e, secret)
	return e, secret, err
}

// UpdateEndpoint changes what in says.
func (s *Service) UpdateEndpoint(ctx context.Context, actor string, org *store.Org, id string, in EndpointInput) (usersync.Endpoint, error) {
	if err := s.validateEndpoint(in); err != nil {
		return usersync.Endpoint{}, err
	}
	return org.UpdateEndpoint(ctx, actor, id, func(e *usersync.Endpoint) ([]string, error) { return in.apply(e), nil })
}
