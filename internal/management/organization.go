package management

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"usersync/internal/access"
	"usersync/internal/outbound"
	"usersync/internal/outbox"
	"usersync/internal/store"
	"usersync/internal/tenant"
)

// OrganizationInput is what an operator says of an organization; nil leaves a
// field as it is.
type OrganizationInput struct {
	ProfileInput
	Tenant   *tenantInput   `json:"tenant"`
	Settings *SettingsInput `json:"settings"`
}

// ProfileInput are the fields of an organization, beside its settings, that a
// tenant may change too.
type ProfileInput struct {
	Name                   *string `json:"name"`
	DefaultInviteLink      *string `json:"defaultInviteLink"`
	DefaultRedirectionLink *string `json:"defaultRedirectionLink"`
}

// tenantInput is how the directory dialect is to name an organization.
type tenantInput struct {
	ClientGroupCode *string `json:"clientGroupCode"`
	ClientCode      *string `json:"clientCode"`
	PaperCode       *string `json:"paperCode"`
}

// OwnOrganizationInput is what a tenant says of its own organization.
type OwnOrganizationInput struct {
	ProfileInput
	Settings *OwnSettingsInput `json:"settings"`
}

// input is the same in an operator's words.
func (in OwnOrganizationInput) input() OrganizationInput {
	out := OrganizationInput{ProfileInput: in.ProfileInput}
	if in.Settings != nil {
		out.Settings = &SettingsInput{OwnSettingsInput: *in.Settings}
	}
	return out
}

func (in OrganizationInput) validate(guard *outbound.Guard) error {
	var v invalid
	if in.Name != nil && (strings.TrimSpace(*in.Name) == "" || tooLong(*in.Name)) {
		v.add("name", "must have 1 to %d characters", maxText)
	}
	v.checkLink("defaultInviteLink", in.DefaultInviteLink)
	v.checkLink("defaultRedirectionLink", in.DefaultRedirectionLink)
	if in.Tenant != nil {
		in.Tenant.validate(&v)
	}
	if in.Settings != nil {
		in.Settings.validate(&v, guard)
	}
	return v.err()
}

func (in tenantInput) validate(v *invalid) {
	check := func(field string, code *string) {
		if code != nil && (tooLong(*code) || !access.ValidCode(*code)) {
			v.add("tenant."+field, "must have at most %d characters, of ASCII and without spaces around them", maxText)
		}
	}
	check("clientGroupCode", in.ClientGroupCode)
	check("clientCode", in.ClientCode)
	check("paperCode", in.PaperCode)
}

func (v *invalid) checkLink(field string, link *string) {
	if link != nil && !isLink(*link) {
		v.add(field, "must be an http or https URL of at most %d bytes, or empty", maxLink)
	}
}

func isLink(s string) bool {
	if s == "" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxLink && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// apply writes what in says to o and returns the names of the fields it set.
func (in OrganizationInput) apply(o *tenant.Organization) []string {
	var fields []string
	set := func(field string, to *string, value *string) {
		if value != nil && *to != *value {
			*to = *value
			fields = append(fields, field)
		}
	}
	set("name", &o.Name, in.Name)
	set("defaultInviteLink", &o.DefaultInviteLink, in.DefaultInviteLink)
	set("defaultRedirectionLink", &o.DefaultRedirectionLink, in.DefaultRedirectionLink)
	if t := in.Tenant; t != nil {
		set("tenant.clientGroupCode", &o.Tenant.ClientGroupCode, t.ClientGroupCode)
		set("tenant.clientCode", &o.Tenant.ClientCode, t.ClientCode)
		set("tenant.paperCode", &o.Tenant.PaperCode, t.PaperCode)
	}
	if in.Settings != nil {
		fields = append(fields, in.Settings.apply(&o.Settings)...)
	}
	return fields
}

// CreateOrganization makes an organization; it needs only a name.
func (s *Service) CreateOrganization(ctx context.Context, actor string, in OrganizationInput) (tenant.Organization, error) {
	if in.Name == nil {
		empty := ""
		in.Name = &empty
	}
	if err := in.validate(s.Guard); err != nil {
		return tenant.Organization{}, err
	}
	var o tenant.Organization
	in.apply(&o)
	if err := in.checkWhole(o.Settings, s.Guard); err != nil {
		return tenant.Organization{}, err
	}
	return tenant.Create(ctx, s.Store, actor, o)
}

// ListOrganizations returns the organizations, newest first.
func (s *Service) ListOrganizations(ctx context.Context, before string, limit int) ([]tenant.Organization, error) {
	return tenant.List(ctx, s.Store, before, limit)
}

// GetOrganization returns an organization.
func (s *Service) GetOrganization(ctx context.Context, id string) (tenant.Organization, error) {
	return tenant.Get(ctx, s.Store, id)
}

// GetOwnOrganization is GetOrganization for a tenant: the rate limit is the
// operator's and is left out.
func (s *Service) GetOwnOrganization(ctx context.Context, org *store.Org) (tenant.Organization, error) {
	return own(tenant.Get(ctx, s.Store, org.ID()))
}

func own(o tenant.Organization, err error) (tenant.Organization, error) {
	o.Settings.RateLimit = tenant.RateLimit{}
	return o, err
}

// viewOf returns the view of an organization that an operator names, when there
// is one.
func (s *Service) viewOf(ctx context.Context, id string) (*store.Org, error) {
	if _, err := tenant.Get(ctx, s.Store, id); err != nil {
		return nil, fmt.Errorf("read the organization: %w", err)
	}
	return s.Store.Org(id), nil
}

// UpdateOrganization changes what in says.
func (s *Service) UpdateOrganization(ctx context.Context, actor, id string, in OrganizationInput) (tenant.Organization, error) {
	return s.updateOrganization(ctx, actor, s.Store.Org(id), in)
}

func (s *Service) updateOrganization(ctx context.Context, actor string, org *store.Org, in OrganizationInput) (tenant.Organization, error) {
	if err := in.validate(s.Guard); err != nil {
		return tenant.Organization{}, err
	}
	return tenant.Update(ctx, org, actor, func(o *tenant.Organization) ([]string, error) {
		before := o.Settings.Clone()
		fields := in.apply(o)
		if err := checkDestinations(&before, &o.Settings); err != nil {
			return nil, err
		}
		return fields, in.checkWhole(o.Settings, s.Guard)
	})
}

// UpdateOwnOrganization is UpdateOrganization for a tenant: the rate limit is the
// operator's and is left out.
func (s *Service) UpdateOwnOrganization(ctx context.Context, actor string, org *store.Org, in OwnOrganizationInput) (tenant.Organization, error) {
	return own(s.updateOrganization(ctx, actor, org, in.input()))
}

// DisableOrganization refuses the organization's calls from now on, and stops its work:
// none of its tasks is claimed any more. What has been accepted is kept.
func (s *Service) DisableOrganization(ctx context.Context, actor, id string) (tenant.Organization, error) {
	return s.setStatus(ctx, actor, id, tenant.Disabled)
}

// EnableOrganization takes the calls of a disabled organization again, and has its work
// go on where it stopped.
func (s *Service) EnableOrganization(ctx context.Context, actor, id string) (tenant.Organization, error) {
	o, err := s.setStatus(ctx, actor, id, tenant.Active)
	if err != nil {
		return o, err
	}
	return o, outbox.Resume(ctx, s.Store, id) // Else the relay does it.
}

func (s *Service) setStatus(ctx context.Context, actor, id, status string) (tenant.Organization, error) {
	return tenant.Update(ctx, s.Store.Org(id), actor, func(o *tenant.Organization) ([]string, error) {
		if o.Status == status {
			return nil, nil
		}
		o.Status = status
		return []string{"status"}, nil
	})
}
