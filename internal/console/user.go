package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/api"
	"usersync/internal/colleague"
	"usersync/internal/consent"
	"usersync/internal/console/ui"
	"usersync/internal/erasure"
	"usersync/internal/event"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/management"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func (h *Handlers) userPages() []api.Route {
	return []api.Route{
		h.page("/users", h.listUsers, read, manage),
		h.page("/users/:id", h.showUser, read, manage),
		{Method: http.MethodGet, Path: "/users/:id/export", Handler: oneOf(h.exportUser, []tenant.Scope{read, manage})},
		h.act("/users/:id/sync", marketing, h.syncUser),
		h.act("/users/:id/consent", manage, h.setConsent),
		h.act("/users/:id/erase", erase, h.eraseUser),
		h.page("/erasures/:id", h.showErasure, erase, manage),
	}
}

var userFilters = []ui.Filter{{Name: "email", Label: "E-mail address", Type: "email", Placeholder: "jane.doe@example.com"}}

func (h *Handlers) listUsers(c *api.Call) (view, error) {
	query, err := known(c, "email")
	if err != nil {
		return view{}, err
	}
	l, err := readListing(c, usersync.PrefixUser)
	if err != nil {
		return view{}, err
	}
	list, err := h.usersOf(c, query, l)
	if err != nil {
		return view{}, err
	}
	list = cut(&l, list, func(u management.UserView) string { return u.ID })
	return view{title: "Users", section: "Users", still: usersHead(query), live: usersView(l.Pager, list)}, nil
}

func (h *Handlers) usersOf(c *api.Call, query url.Values, l listing) ([]management.UserView, error) {
	text := query.Get("email")
	if text == "" {
		return h.Management.ListUsers(c.Context(), c.Caller.Org, l.before, pageSize+1)
	}
	email, err := identity.ParseEmail(text)
	if err != nil {
		return nil, api.Invalid("email", "must be a whole e-mail address")
	}
	return h.Management.ListUsersByEmail(c.Context(), c.Caller.Org, email)
}

// userPage is what the page of a user shows.
type userPage struct {
	management.UserView
	colleagues []colleague.Colleague
	timeline   []happening
	mayPush    bool
	mayManage  bool
	mayErase   bool
}

// happening is one line of a user's timeline.
type happening struct {
	at     usersync.Time
	what   string
	detail string
	path   string
	tone   string
}

// remembered is how many of the newest requests and events of a user are shown.
const remembered = 30

func (h *Handlers) showUser(c *api.Call) (view, error) {
	u, err := h.Management.GetUser(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return view{}, err
	}
	p := userPage{UserView: u, mayPush: may(c, marketing) && !visitOf(c).operator, mayManage: may(c, manage), mayErase: may(c, erase)}
	requests, err := h.Management.ListRequests(c.Context(), c.Caller.Org, request.Filter{Email: u.Email, Limit: remembered})
	if err != nil {
		return view{}, err
	}
	events, err := h.Management.ListEvents(c.Context(), c.Caller.Org, event.Filter{UserID: u.ID, Limit: remembered})
	if err != nil {
		return view{}, err
	}
	if may(c, tenant.ScopeColleagues) && c.Caller.Organization.Settings.Colleagues() {
		if p.colleagues, err = h.Management.ListColleagues(c.Context(), c.Caller, u.Email.Display()); err != nil {
			return view{}, err
		}
	}
	p.timeline = timelineOf(requests, events)
	return view{title: titleOf(u), section: "Users", still: userHead(p), live: userBody(p)}, nil
}

func titleOf(u management.UserView) string {
	in := u.Input()
	return cmp.Or(in.FullName(), u.Email.Display())
}

func timelineOf(requests []*request.View, events []event.Event) []happening {
	var out []happening
	for _, r := range requests {
		out = append(out, happening{r.CreatedAt, kindTitle(r.Kind), stepsInShort(r), "/requests/" + r.RequestID, ui.Tone(string(r.Status))})
	}
	for _, e := range events {
		out = append(out, happening{e.CreatedAt, strings.ReplaceAll(string(e.Type), ".", " "), attributesInShort(e.Attributes), "", "off"})
	}
	slices.SortStableFunc(out, func(a, b happening) int { return b.at.Compare(a.at.Time) })
	return out[:min(len(out), remembered)]
}

func kindTitle(k request.Kind) string {
	switch k {
	case request.KindUserSync:
		return "Synced"
	case request.KindPlatformSync:
		return "Pushed to the platforms"
	case request.KindPlatformBulk:
		return "Pushed with others"
	case request.KindEvent:
		return "An event was reported"
	}
	return string(k)
}

// attributesInShort is what an event says besides its type.
func attributesInShort(attributes map[string]any) string {
	if len(attributes) == 0 {
		return ""
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		parts = append(parts, name+": "+textOf(attributes[name]))
	}
	text := strings.Join(parts, ", ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// textOf is a value of JSON as people read it.
func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if list, ok := v.([]any); ok {
		parts := make([]string, len(list))
		for i, one := range list {
			parts[i] = textOf(one)
		}
		return strings.Join(parts, ", ")
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// fieldFact is a field of a user with where it comes from.
type fieldFact struct {
	name, value string
	// sequence is the number of the acceptance that set it, 0 where that is not known.
	sequence int64
}

func factsOf(u management.UserView) []fieldFact {
	at := func(f usersync.Field) int64 { return u.Sequences[f] }
	facts := []fieldFact{
		{"First name", u.FirstName, at(usersync.FieldFirstName)}, {"Last name", u.LastName, at(usersync.FieldLastName)}, {"Name", u.Name, at(usersync.FieldName)},
		{"Job title", u.JobTitle, at(usersync.FieldJobTitle)}, {"Country", u.Country, at(usersync.FieldCountry)}, {"Invite link", u.InviteLink, at(usersync.FieldInviteLink)},
	}
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		facts = append(facts, fieldFact{name, textOf(u.Attributes[name]), 0})
	}
	return facts
}

func (h *Handlers) exportUser(c *api.Call) error {
	c.Header().Set("Content-Disposition", `attachment; filename="user-export.json"`)
	return c.WriteStream("application/json", func(w io.Writer) error {
		return h.Management.Export(c.Context(), c.Caller.Organization, c.Param("id"), w)
	})
}

// syncUser pushes the user to the platforms now, or shows what that would do.
func (h *Handlers) syncUser(c *api.Call) (done, error) {
	form, err := readForm(c)
	if err != nil {
		return done{}, err
	}
	u, err := h.Management.GetUser(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return done{}, err
	}
	ask := usersync.PlatformSync{DryRun: form.Get("dryRun") == "true"}
	item, err := c.Asking(request.KindPlatformSync, u.ID, u.Email, ask)
	if err != nil {
		return done{}, err
	}
	sub, err := c.Submit([]*intake.Acceptance{item}, nil)
	if err != nil {
		return done{}, err
	}
	text := "The user is being pushed to the platforms."
	if ask.DryRun {
		text = "This is a dry run: each step says what a push would change. Nothing is changed."
	}
	return done{to: "/requests/" + sub.Accepted[0].RequestID, text: text}, nil
}

func (h *Handlers) setConsent(c *api.Call) (done, error) {
	form, err := readForm(c)
	if err != nil {
		return done{}, err
	}
	id := c.Param("id")
	change := management.UserChange{Consent: map[usersync.Channel]management.ConsentInput{
		usersync.Channel(form.Get("channel")): {Status: usersync.ConsentStatus(form.Get("status")), Source: cmp.Or(form.Get("source"), "console")},
	}}
	if _, err := h.Management.UpdateUser(c.Context(), c.Actor, c.Caller.Org, id, change); err != nil {
		return done{}, err
	}
	return done{to: "/users/" + id, text: "The consent is noted. The platforms follow."}, nil
}

func (h *Handlers) eraseUser(c *api.Call) (done, error) {
	e, err := h.Management.EraseUser(c.Context(), c.Actor, c.Caller.Org, c.Caller.Organization.Salt, c.Param("id"))
	if err != nil {
		return done{}, err
	}
	return done{to: "/erasures/" + e.ID, text: "The user is erased here. The platforms follow, each with a receipt."}, nil
}

func (h *Handlers) showErasure(c *api.Call) (view, error) {
	e, err := h.Management.GetErasure(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return view{}, err
	}
	return view{title: "Erasure", section: "Users", still: erasureHead(), live: erasureView(e)}, nil
}

// removedFacts counts what an erasure removed.
func removedFacts(e erasure.Erasure) []fieldFact {
	r := e.Removed
	var out []fieldFact
	for _, f := range []struct {
		name string
		n    int64
	}{{"Users", r.Users}, {"People of the directory", r.People}, {"Colleagues", r.Colleagues}, {"Links between colleagues", r.Links}, {"Requests", r.Requests}, {"Webhook messages", r.Messages}, {"Events", r.Events}} {
		out = append(out, fieldFact{f.name, ui.Number(f.n), 0})
	}
	return out
}

// channels and consentStatuses are the choices of the form.
var (
	channels        = ui.Options(consent.Channels)
	consentStatuses = ui.Options(consent.Statuses)
)
