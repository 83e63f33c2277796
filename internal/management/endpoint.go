package management

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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

// validateTypes names the first fault only: the list can be long.
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

// RotateSecret gives an endpoint a new secret. The one before signs beside it
// for usersync.SecretOverlap.
func (s *Service) RotateSecret(ctx context.Context, actor string, org *store.Org, id string) (delivery.Endpoint, error) {
	return delivery.RotateSecret(ctx, org, actor, id, newSecret)
}

// DeleteEndpoint removes an endpoint. Deliveries that wait for it fail.
func (s *Service) DeleteEndpoint(ctx context.Context, actor string, org *store.Org, id string) error {
	return delivery.DeleteEndpoint(ctx, org, actor, id, delivery.EndDeliveriesTask(org.ID(), id))
}

// RecoverInput names the window in which messages were made.
type RecoverInput struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"` // zero: now
}

func (in RecoverInput) window(now time.Time) (delivery.RecoveryWindow, error) {
	var v invalid
	w := delivery.RecoveryWindow{Since: in.Since, Until: now}
	if !in.Until.IsZero() && in.Until.Before(now) {
		w.Until = in.Until
	}
	switch {
	case in.Since.IsZero():
		v.add("since", "must be a time like 2026-11-22T10:00:00Z")
	case !in.Until.IsZero() && !in.Since.Before(in.Until):
		v.add("until", "must be after since")
	case !in.Since.Before(now):
		v.add("since", "must be in the past")
	}
	return w, v.err()
}

// Recover sends every failed delivery to an endpoint again whose message was
// made in the window, and returns how many those are.
func (s *Service) Recover(ctx context.Context, actor string, org *store.Org, id string, in RecoverInput) (int64, error) {
	w, err := in.window(time.Now())
	if err != nil {
		return 0, err
	}
	return delivery.RecoverFailed(ctx, org, actor, id, w)
}
