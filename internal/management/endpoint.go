package management

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"usersync/internal/delivery"
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
	// Signing is fixed when the endpoint is made.
	Signing *string `json:"signing"`
}

func (s *Service) validateEndpoint(in EndpointInput) (v invalid) {
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
	return v
}

// validateTypes names the first fault only, since the list can be long.
func validateTypes(v *invalid, types []string) {
	if len(types) == 0 {
		v.add("eventTypes", `must name at least one type, or "*"`)
	}
	for i, t := range types {
		if t != delivery.EveryMessage && !slices.Contains(delivery.MessageTypes, delivery.MessageType(t)) {
			v.add(fmt.Sprintf("eventTypes[%d]", i), "must be * or one of %v", delivery.MessageTypes)
			return
		}
		if slices.Contains(types[:i], t) {
			v.add(fmt.Sprintf("eventTypes[%d]", i), "must not be there twice")
			return
		}
	}
}

func (in EndpointInput) apply(e *delivery.Endpoint) []string {
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
func (s *Service) CreateEndpoint(ctx context.Context, actor string, org *store.Org, in EndpointInput) (delivery.Endpoint, usersync.Secret, error) {
	if in.URL == nil {
		empty := ""
		in.URL = &empty
	}
	if in.EventTypes == nil {
		in.EventTypes = &[]string{delivery.EveryMessage}
	}
	v := s.validateEndpoint(in)
	e := delivery.Endpoint{Signing: delivery.SigningSymmetric}
	if in.Signing != nil {
		e.Signing = *in.Signing
	}
	if !slices.Contains(delivery.Signings, e.Signing) {
		v.add("signing", "must be one of %v", delivery.Signings)
	}
	if err := v.err(); err != nil {
		return delivery.Endpoint{}, usersync.Secret{}, err
	}
	in.apply(&e)
	secret := newSecret(e.Signing)
	e, err := delivery.CreateEndpoint(ctx, org, actor, e, secret)
	return e, secret, err
}

// newSecret returns what signs: a shared secret, or a private key.
func newSecret(signing string) usersync.Secret {
	if signing == delivery.SigningAsymmetric {
		private, _ := webhooksig.NewKeyPair()
		return private
	}
	return webhooksig.NewSecret()
}

// UpdateEndpoint changes what in says.
func (s *Service) UpdateEndpoint(ctx context.Context, actor string, org *store.Org, id string, in EndpointInput) (delivery.Endpoint, error) {
	v := s.validateEndpoint(in)
	if in.Signing != nil {
		v.add("signing", "cannot be changed; make another endpoint")
	}
	if err := v.err(); err != nil {
		return delivery.Endpoint{}, err
	}
	return delivery.UpdateEndpoint(ctx, org, actor, id, func(e *delivery.Endpoint) ([]string, error) { return in.apply(e), nil })
}

// ListEndpoints returns the webhook endpoints, newest first.
func (s *Service) ListEndpoints(ctx context.Context, org *store.Org, before string, limit int) ([]delivery.Endpoint, error) {
	return delivery.ListEndpoints(ctx, org, before, limit)
}

// ListKeyedEndpoints returns the endpoints whose messages are signed with a key
// pair, newest first.
func (s *Service) ListKeyedEndpoints(ctx context.Context, org *store.Org, before string, limit int) ([]delivery.Endpoint, error) {
	return delivery.KeyedEndpoints(ctx, org, before, limit)
}

// GetEndpoint returns a webhook endpoint.
func (s *Service) GetEndpoint(ctx context.Context, org *store.Org, id string) (delivery.Endpoint, error) {
	return delivery.GetEndpoint(ctx, org, id)
}

// EnableEndpoint has an endpoint that was disabled receive messages again.
func (s *Service) EnableEndpoint(ctx context.Context, actor string, org *store.Org, id string) (delivery.Endpoint, error) {
	return delivery.EnableEndpoint(ctx, org, actor, id)
}

// RotateSecret gives an endpoint a new secret. The one before signs beside it
// for usersync.SecretOverlap.
func (s *Service) RotateSecret(ctx context.Context, actor string, org *store.Org, id string) (delivery.Endpoint, error) {
	return delivery.RotateSecret(ctx, org, actor, id, newSecret)
}

// DeleteEndpoint removes an endpoint. Deliveries that wait for it fail.
func (s *Service) DeleteEndpoint(ctx context.Context, actor string, org *store.Org, id string) error {
	if err := delivery.DeleteEndpoint(ctx, org, actor, id, delivery.EndDeliveriesTask(org.ID(), id)); err != nil {
		return fmt.Errorf("delete the endpoint: %w", err)
	}
	return nil
}
