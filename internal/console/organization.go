package console

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"usersync/internal/api"
	"usersync/internal/management"
	"usersync/internal/tenant"
)

func (h *Handlers) organizationPages() []api.Route {
	return []api.Route{
		h.page("/organization", h.showOrganization, read, manage),
		h.act("/organization", manage, h.updateOrganization),
	}
}

// organizationPage is what the page of the viewer's organization shows.
type organizationPage struct {
	tenant.Organization
	settings  string // as JSON, secrets masked
	key       tenant.Key
	mayManage bool
	operator  bool
}

func (h *Handlers) showOrganization(c *api.Call) (view, error) {
	o, err := h.Management.GetOwnOrganization(c.Context(), c.Caller.Org)
	if err != nil {
		return view{}, err
	}
	p := organizationPage{Organization: o, key: c.Caller.Key, mayManage: may(c, manage), operator: visitOf(c).operator}
	if p.settings, err = settingsText(o.Settings); err != nil {
		return view{}, err
	}
	return view{title: "Organization", section: "Organization", still: organizationView(p)}, nil
}

// settingsText is the settings as the API shows them: their secrets mask themselves.
func settingsText(s tenant.Settings) (string, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode the settings: %w", err)
	}
	return string(text), nil
}

func (h *Handlers) updateOrganization(c *api.Call) (done, error) {
	form, err := readForm(c)
	if err != nil {
		return done{}, err
	}
	in, err := readOrganization(form)
	if err != nil {
		return done{}, err
	}
	_, err = h.Management.UpdateOwnOrganization(c.Context(), c.Actor, c.Caller.Org, in)
	return done{to: "/organization", text: "The settings count from now on."}, err
}

func readOrganization(form url.Values) (in management.OwnOrganizationInput, err error) {
	name, invite, redirection, contact := form.Get("name"), form.Get("defaultInviteLink"), form.Get("defaultRedirectionLink"), form.Get("contactEmail")
	colleagues, follow := form.Get("colleaguesEnabled") == "true", form.Get("followUnsubscribes") == "true"
	in.ProfileInput = management.ProfileInput{Name: &name, DefaultInviteLink: &invite, DefaultRedirectionLink: &redirection}
	in.Settings = &management.OwnSettingsInput{ContactEmail: &contact, ColleaguesEnabled: &colleagues, FollowUnsubscribes: &follow}
	if text := form.Get("lowCreditThreshold"); text != "" {
		low, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return in, api.Invalid("lowCreditThreshold", "must be a whole number")
		}
		in.Settings.LowCreditThreshold = &low
	}
	return in, nil
}
