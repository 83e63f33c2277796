package admin

import (
	"context"
	"net/url"
	"strings"

	"usersync/internal/store"
	"usersync/internal/usersync"
)

// OrganizationInput is what an operator says of an organization; nil leaves a
// field as it is.
type OrganizationInput struct {
	Name                   *string        `json:"name"`
	DefaultInviteLink      *string        `json:"defaultInviteLink"`
	DefaultRedirectionLink *string        `json:"defaultRedirectionLink"`
	Settings               *SettingsInput `json:"settings"`
}

func (in OrganizationInput) validate() error {
	var v invalid
	if in.Name != nil && (strings.TrimSpace(*in.Name) == "" || tooLong(*in.Name)) {
		v.add("name", "must have 1 to %d characters", maxText)
	}
	v.checkLink("defaultInviteLink", in.DefaultInviteLink)
	v.checkLink("defaultRedirectionLink", in.DefaultRedirectionLink)
	if in.Settings != nil {
		in.Settings.validate(&v)
	}
	return v.err()
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
func (in OrganizationInput) apply(o *usersync.Organization) []string {
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
	if in.Settings != nil {
		fields = append(fields, in.Settings.apply(&o.Settings)...)
	}
	return fields
}

// CreateOrganization makes an organization; it needs only a name.
func (s *Service) CreateOrganization(ctx context.Context, actor string, in OrganizationInput) (usersync.Organization, error) {
	if in.Name == nil {
		empty := ""
		in.Name = &empty
	}
	if err := in.validate(); err != nil {
		return usersync.Organization{}, err
	}
	var o usersync.Organization
	in.apply(&o)
	return s.Store.CreateOrganization(ctx, actor, o)
}

// Organization returns the organization that org is the view of.
func (s *Service) Organization(ctx context.Context, org *store.Org) (usersync.Organization, error) {
	return s.Store.Organization(ctx, org.ID())
}

// UpdateOrganization changes what in says.
func (s *Service) UpdateOrganization(ctx context.Context, actor, id string, in OrganizationInput) (usersync.Organization, error) {
	if err := in.validate(); err != nil {
		return usersync.Organization{}, err
	}
	return s.Store.UpdateOrganization(ctx, actor, id, func(o *usersync.Organization) ([]string, error) {
		return in.apply(o), nil
	})
}

// DisableOrganization refuses the organization's calls from now on.
func (s *Service) DisableOrganization(ctx context.Context, actor, id string) (usersync.Organization, error) {
	return s.Store.UpdateOrganization(ctx, actor, id, func(o *usersync.Organization) ([]string, error) {
		if o.Status == usersync.OrganizationDisabled {
			return nil, nil
		}
		o.Status = usersync.OrganizationDisabled
		return []string{"status"}, nil
	})
}
