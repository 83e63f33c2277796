package management

import (
	"context"
	"fmt"

	"usersync/internal/connector"
	"usersync/internal/inbound"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// InboundAddress is where a platform may call. Its path is shown this once.
type InboundAddress struct {
	Path string `json:"path"`
	// Verified says what proves a call beside the address: the credential whose signature
	// it must carry, or "" where the address is all there is.
	Verified string `json:"verifiedBy"`
	// Setup says how to have the platform call.
	Setup string `json:"setup"`
}

// OpenInbound makes the address at which a connection's platform may call.
func (s *Service) OpenInbound(ctx context.Context, actor string, org *store.Org, id string) (InboundAddress, error) {
	c, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return InboundAddress{}, fmt.Errorf("read the connection: %w", err)
	}
	kind, err := s.kindOf(c)
	if err != nil {
		return InboundAddress{}, fmt.Errorf("find the platform: %w", err)
	}
	if kind.Inbound == nil {
		return InboundAddress{}, usersync.Errorf(usersync.CodeConflict, "%s does not tell of people by webhooks.", kind.Title)
	}
	cfg, err := c.Config()
	if err != nil {
		return InboundAddress{}, err
	}
	out := InboundAddress{Setup: kind.Inbound.Help}
	if kind.Keyed(cfg) {
		out.Verified = kind.Inbound.Key
	} else if kind.Inbound.Key != "" && !kind.Inbound.KeyOptional {
		var v invalid
		v.add("credentials."+kind.Inbound.Key, "is needed first: calls are verified with it")
		return out, v.err()
	}
	secret, err := inbound.Open(ctx, org, actor, id)
	out.Path = "/v1/connections/" + id + "/inbound/" + secret.Reveal()
	return out, err
}

// CloseInbound takes the address of a connection away.
func (s *Service) CloseInbound(ctx context.Context, actor string, org *store.Org, id string) error {
	return inbound.Close(ctx, org, actor, id)
}

// Knock returns the organization whose connection a secret address leads to. The error is
// inbound.ErrNoDoor where it leads nowhere.
func (s *Service) Knock(ctx context.Context, id string, secret usersync.Secret) (tenant.Organization, *store.Org, error) {
	organization, err := inbound.Knock(ctx, s.Store, id, secret)
	if err != nil {
		return tenant.Organization{}, nil, err
	}
	o, err := tenant.Get(ctx, s.Store, organization)
	return o, s.Store.Org(organization), err
}

// Received is what came of a platform's call.
type Received struct {
	Success bool `json:"success"`
	// Accepted is how much it told that is taken in.
	Accepted int `json:"accepted"`
}

// Receive verifies what a connection's platform told, and keeps it.
func (s *Service) Receive(ctx context.Context, org *store.Org, id string, call connector.InboundCall) (Received, error) {
	c, err := platform.GetConnection(ctx, org, id)
	if err != nil {
		return Received{}, fmt.Errorf("read the connection: %w", err)
	}
	kind, err := s.kindOf(c)
	if err != nil {
		return Received{}, fmt.Errorf("find the platform: %w", err)
	}
	cfg, err := c.Config()
	if err != nil {
		return Received{}, err
	}
	// By it a signature is fresh, and a wish that is not yet to be counts as of now.
	if call.At, err = s.Store.Now(ctx); err != nil {
		return Received{}, fmt.Errorf("ask for the time: %w", err)
	}
	told, err := kind.Receive(cfg, call)
	if err != nil {
		return Received{}, err
	}
	n, err := inbound.Accept(ctx, org, id, told, call.At)
	if err != nil {
		return Received{}, fmt.Errorf("accept what the platform told: %w", err)
	}
	return Received{Success: true, Accepted: n}, nil
}
