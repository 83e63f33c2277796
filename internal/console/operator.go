package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/api"
	"usersync/internal/audit"
	"usersync/internal/console/ui"
	"usersync/internal/management"
	"usersync/internal/outbox"
	"usersync/internal/queue"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func (h *Handlers) operatorPages() []api.Route {
	const one = "/operator/organizations/:id"
	return []api.Route{
		h.page("/operator", h.listOrganizations),
		h.act("/operator/organizations", "", h.createOrganization),
		h.page(one, h.showOrganizationOf),
		h.act(one+"/open", "", h.openOrganization),
		h.act(one+"/enable", "", h.enableOrganization),
		h.act(one+"/disable", "", h.disableOrganization),
		h.act(one+"/credits", "", h.topUp),
		h.act(one+"/verify", "", h.verifyCredits),
		h.act(one+"/keys", "", h.createKey),
		h.act(one+"/keys/:key/revoke", "", h.revokeKey),
		h.page("/operator/queues", h.showQueues),
		h.act("/operator/queues/:name/pause", "", h.pauseQueue),
		h.act("/operator/queues/:name/resume", "", h.resumeQueue),
		h.act("/operator/rebuild", "", h.rebuild),
		h.act("/operator/stuck/:id/retry", "", h.retryTask),
		h.page("/operator/audit", h.showAudit),
	}
}

func (h *Handlers) listOrganizations(c *api.Call) (view, error) {
	if _, err := known(c); err != nil {
		return view{}, err
	}
	l, err := readListing(c, usersync.PrefixOrganization)
	if err != nil {
		return view{}, err
	}
	list, err := h.Management.ListOrganizations(c.Context(), l.before, pageSize+1)
	if err != nil {
		return view{}, err
	}
	list = cut(&l, list, func(o tenant.Organization) string { return o.ID })
	return view{title: "Organizations", section: "Organizations", still: organizationsView(l.Pager, list)}, nil
}

func (h *Handlers) createOrganization(c *api.Call) (done, error) {
	form, err := readForm(c)
	if err != nil {
		return done{}, err
	}
	name := form.Get("name")
	o, err := h.Management.CreateOrganization(c.Context(), operator, management.OrganizationInput{ProfileInput: management.ProfileInput{Name: &name}})
	return done{to: operatorPath(o.ID), text: "The organization is made. It needs credits and a key next."}, err
}

func operatorPath(organization string) string { return "/operator/organizations/" + organization }

// organizationOf is what the operator's page of an organization shows.
type organizationOf struct {
	tenant.Organization
	balance  int64
	keys     []tenant.Key
	settings string
	now      time.Time
}

func (h *Handlers) showOrganizationOf(c *api.Call) (view, error) {
	var p organizationOf
	var err error
	if p.Organization, err = h.Management.GetOrganization(c.Context(), c.Param("id")); err != nil {
		return view{}, err
	}
	if p.balance, err = h.Management.GetBalanceOf(c.Context(), p.ID); err != nil {
		return view{}, err
	}
	if p.keys, err = h.Management.ListKeys(c.Context(), p.ID, "", maxCounted); err != nil {
		return view{}, err
	}
	if p.settings, err = settingsText(p.Settings); err != nil {
		return view{}, err
	}
	p.now = time.Now()
	return view{title: p.Name, section: "Organizations", still: organizationOfView(p)}, nil
}

// openOrganization has the operator look at the pages of an organization.
func (h *Handlers) openOrganization(c *api.Call) (done, error) {
	o, err := h.Management.GetOrganization(c.Context(), c.Param("id"))
	if err != nil {
		return done{}, err
	}
	if o.Status != tenant.Active {
		return done{}, usersync.Errorf(usersync.CodeConflict, "The organization is disabled.")
	}
	h.Sessions.Put(visitOf(c).ctx, sessionOrganization, o.ID)
	return done{to: "/", text: "You look at " + o.Name + " as the operator."}, nil
}

func (h *Handlers) enableOrganization(c *api.Call) (done, error) {
	o, err := h.Management.EnableOrganization(c.Context(), operator, c.Param("id"))
	return done{to: operatorPath(o.ID), text: "The organization's calls are taken, and its work goes on."}, err
}

func (h *Handlers) disableOrganization(c *api.Call) (done, error) {
	o, err := h.Management.DisableOrganization(c.Context(), operator, c.Param("id"))
	return done{to: operatorPath(o.ID), text: "The organization's calls are refused, and its work stops."}, err
}

func (h *Handlers) topUp(c *api.Call) (done, error) {
	form, err := readForm(c)
	if err != nil {
		return done{}, err
	}
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	if err != nil {
		return done{}, api.Invalid("amount", "must be a whole number")
	}
	id := c.Param("id")
	entry, err := h.Management.TopUp(c.Context(), operator, id, management.TopUpInput{Amount: amount, Reference: form.Get("reference")})
	return done{to: operatorPath(id), text: fmt.Sprintf("The balance is %s now. What waited for credits goes on.", ui.Number(entry.BalanceAfter))}, err
}

func (h *Handlers) verifyCredits(c *api.Call) (done, error) {
	id := c.Param("id")
	v, err := h.Management.VerifyCredits(c.Context(), id)
	if err != nil {
		return done{}, err
	}
	if !v.OK {
		return done{}, usersync.Errorf(usersync.CodeConflict, "The balance is %d, and the ledger sums up to %d.", v.Balance, v.Sum)
	}
	return done{to: operatorPath(id), text: fmt.Sprintf("The balance of %s is the sum of %s entries.", ui.Number(v.Balance), ui.Number(v.Entries))}, nil
}

// days are how long a new key lasts.
var days = []ui.Option{{Value: "", Text: "never"}, {Value: "30", Text: "in 30 days"}, {Value: "90", Text: "in 90 days"}, {Value: "365", Text: "in a year"}}

func (h *Handlers) createKey(c *api.Call) (done, error) {
	form, err := readForm(c)
	if err != nil {
		return done{}, err
	}
	in := management.KeyInput{Name: form.Get("name")}
	for _, s := range form["scope"] {
		in.Scopes = append(in.Scopes, tenant.Scope(s))
	}
	if text := form.Get("days"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return done{}, api.Invalid("days", "must be a whole number")
		}
		in.ExpiresAt = time.Now().AddDate(0, 0, n)
	}
	if len(in.Scopes) == 0 {
		return done{}, api.Invalid("scope", "must be one at least")
	}
	id := c.Param("id")
	_, secret, err := h.Management.CreateKey(c.Context(), operator, id, in)
	if err != nil {
		return done{}, err
	}
	return done{page: &view{title: "The key is made", section: "Organizations",
		still: onceView("The key is made", "It is shown this once, and stored as a hash.", secret.Reveal(), operatorPath(id), "To the organization")}}, nil
}

func (h *Handlers) revokeKey(c *api.Call) (done, error) {
	id := c.Param("id")
	_, err := h.Management.RevokeKey(c.Context(), operator, id, c.Param("key"))
	return done{to: operatorPath(id), text: "The key is revoked."}, err
}

// stateOfKey says whether a key works.
func stateOfKey(k tenant.Key, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero() && !now.Before(k.RevokedAt.Time):
		return "revoked"
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt.Time):
		return "expired"
	}
	return "active"
}

func scopeList(scopes []tenant.Scope) string {
	if slices.Contains(scopes, tenant.ScopeAll) {
		return "all"
	}
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// queuesPage is what the page of the queues shows.
type queuesPage struct {
	depths []queue.Depth
	state  outbox.State
	stuck  []outbox.StuckTask
}

func (h *Handlers) showQueues(c *api.Call) (view, error) {
	var p queuesPage
	var err error
	if p.depths, p.state, err = h.Management.GetQueues(c.Context()); err != nil {
		return view{}, err
	}
	if p.stuck, err = h.Management.ListStuckTasks(c.Context(), outbox.LostAfter, "", maxCounted); err != nil {
		return view{}, err
	}
	return view{title: "Queues", section: "Queues", still: queuesHead(), live: queuesView(p)}, nil
}

func (h *Handlers) pauseQueue(c *api.Call) (done, error) {
	err := h.Management.PauseQueue(c.Context(), operator, c.Param("name"))
	return done{to: "/operator/queues", text: "The workers take nothing more from the queue."}, err
}

func (h *Handlers) resumeQueue(c *api.Call) (done, error) {
	err := h.Management.ResumeQueue(c.Context(), operator, c.Param("name"))
	return done{to: "/operator/queues", text: "The workers go on with the queue."}, err
}

func (h *Handlers) rebuild(c *api.Call) (done, error) {
	n, err := h.Management.RebuildQueue(c.Context(), operator)
	return done{to: "/operator/queues", text: fmt.Sprintf("%s tasks are sent again.", ui.Number(n))}, err
}

func (h *Handlers) retryTask(c *api.Call) (done, error) {
	err := h.Management.RetryTask(c.Context(), operator, c.Param("id"))
	return done{to: "/operator/queues", text: "The task is worked again."}, err
}

var auditFilters = []ui.Filter{{Name: "organization", Label: "Organization", Placeholder: "org_…"}}

func (h *Handlers) showAudit(c *api.Call) (view, error) {
	query, err := known(c, "organization")
	if err != nil {
		return view{}, err
	}
	l, err := readListing(c, usersync.PrefixAudit)
	if err != nil {
		return view{}, err
	}
	list, err := h.Management.ListAuditEntries(c.Context(), query.Get("organization"), l.before, pageSize+1)
	if err != nil {
		return view{}, err
	}
	list = cut(&l, list, func(e audit.Entry) string { return e.ID })
	return view{title: "Audit", section: "Audit", still: auditHead(query), live: auditView(l.Pager, list)}, nil
}

// isOperatorPath reports where streams of the operator's pages check who looks.
func isOperatorPath(c *api.Call) bool { return strings.HasPrefix(c.Path(), "/operator") }
