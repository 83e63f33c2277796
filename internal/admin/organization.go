package admin

import (
	"context"
	"net/url"
	"strings"

	"usersync/internal/usersync"
)

// OrganizationInput is what an operator says of an organization; nil leaves a
// field as it is.
type OrganizationInput struct {
	Name                   *string            `json:"name"`
	DefaultInviteLink      *string            `json:"defaultInviteLink"`
	DefaultRedirectionLink *string            `json:"defaultRedirectionLink"`
	Settings               *usersync.Settings `json:"settings"`
}

func (in OrganizationInput) validate() error {
	var v invalid
	if in.Name != nil && (strings.TrimSpace(*in.Name) == "" || len(*in.Name) > maxName) {
		v.add("name", "must have 1 to %d characters", maxName)
	}
	for field, link := range map[string]*string{"defaultInviteLink": in.DefaultInviteLink, "defaultRedirectionLink": in.DefaultRedirectionLink} {
		if link != nil && !isLink(*link) {
			v.add(field, "must be an http or https URL, or empty")
		}
	}
	if s := in.Settings; s != nil {
		if s.RateLimit.Rate < 0 || s.RateLimit.Burst < 0 {
			v.add("settings.rateLimit", "must not be negative")
		}
		if s.LowCreditThreshold != nil && *s.LowCreditThreshold < 0 {
			v.add("settings.lowCreditThreshold", "must not be negative")
		}
	}
	return v.err()
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
		o.Settings = *in.Settings
		fields = append(fields, "settings")
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
