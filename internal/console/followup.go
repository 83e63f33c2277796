package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"usersync/internal/api"
	"usersync/internal/console/followupform"
	"usersync/internal/console/ui"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/management/followups"
	"usersync/internal/usersync"
)

func (h *Handlers) followUpPages() []api.Route {
	const one = "/follow-ups/:id"
	return []api.Route{
		h.page("/follow-ups", h.listFollowUps, read, manage),
		h.page("/follow-ups/new", h.newFollowUp, manage),
		{Method: http.MethodPost, Path: "/follow-ups", Scope: manage, MediaTypes: forms, Handler: h.createFollowUp},
		h.page(one, h.showFollowUp, read, manage),
		{Method: http.MethodPost, Path: one, Scope: manage, MediaTypes: forms, Handler: h.updateFollowUp},
		{Method: http.MethodPost, Path: one + "/dry-run", Scope: manage, MediaTypes: forms, Handler: h.rehearseFollowUp},
		// What a dry run answers may be asked for again by its address.
		{Method: http.MethodGet, Path: one + "/dry-run", Handler: func(c *api.Call) error {
			return c.Redirect(http.StatusSeeOther, "/follow-ups/"+url.PathEscape(c.Param("id")))
		}},
		h.act(one+"/pause", manage, h.pauseFollowUp),
		h.act(one+"/resume", manage, h.resumeFollowUp),
		h.act(one+"/delete", manage, h.deleteFollowUp),
	}
}

func (h *Handlers) listFollowUps(c *api.Call) (view, error) {
	if _, err := known(c); err != nil {
		return view{}, err
	}
	l, err := readListing(c, catalog.Prefix)
	if err != nil {
		return view{}, err
	}
	list, err := h.FollowUps.List(c.Context(), c.Caller.Org, l.before, pageSize+1)
	if err != nil {
		return view{}, err
	}
	list = cut(&l, list, func(f catalog.FollowUp) string { return f.ID })
	return view{title: "Follow-ups", section: "Follow-ups", still: followUpsHead(may(c, manage)), live: followUpsView(l.Pager, list)}, nil
}

// followUpForm is the form of a new follow-up: what stands in its fields.
type followUpForm struct {
	url.Values
	fault string
}

func (h *Handlers) newFollowUp(c *api.Call) (view, error) {
	_, err := known(c)
	return followUpFormPage(followUpForm{Values: url.Values{}}), err
}

func followUpFormPage(f followUpForm) view {
	return view{title: "New follow-up", section: "Follow-ups", still: followUpFormView(f)}
}

func (h *Handlers) createFollowUp(c *api.Call) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	made, err := h.FollowUps.Create(c.Context(), c.Actor, c.Caller.Org, followupform.Read(form))
	if err != nil {
		e := usersync.AsError(err)
		if e.Code == usersync.CodeInternal {
			return err
		}
		return h.render(c, http.StatusUnprocessableEntity, followUpFormPage(followUpForm{form, e.Message}))
	}
	return h.leave(c, "/follow-ups/"+made.ID, sessionFlash, "The follow-up is made, and is set off from now on. Try it with a dry run.")
}

// followUpPage is what the page of a follow-up shows.
type followUpPage struct {
	catalog.FollowUp
	text      string // the definition as JSON
	versions  []versionDiff
	mayManage bool
	fault     string // of the definition that was sent
	sample    url.Values
	rehearsed *followup.Rehearsal
	refused   string // why there was no dry run
}

// versionDiff is a version with what it changed.
type versionDiff struct {
	catalog.Version
	lines []ui.DiffLine
}

func (h *Handlers) followUpPage(c *api.Call) (p followUpPage, err error) {
	if p.FollowUp, err = h.FollowUps.Get(c.Context(), c.Caller.Org, c.Param("id")); err != nil {
		return p, err
	}
	versions, err := h.FollowUps.Versions(c.Context(), c.Caller.Org, p.ID)
	if err != nil {
		return p, err
	}
	p.mayManage, p.sample, p.text = may(c, manage), url.Values{}, definitionText(p.Definition)
	for i, v := range versions {
		before := ""
		if i+1 < len(versions) {
			before = definitionText(versions[i+1].Definition)
		}
		p.versions = append(p.versions, versionDiff{v, ui.Diff(before, definitionText(v.Definition))})
	}
	return p, nil
}

func followUpView(p followUpPage) view {
	return view{title: p.Name, section: "Follow-ups", still: followUpBody(p)}
}

func (h *Handlers) showFollowUp(c *api.Call) (view, error) {
	p, err := h.followUpPage(c)
	if err != nil {
		return view{}, err
	}
	return followUpView(p), nil
}

func definitionText(d followup.Definition) string {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return "" // a definition was read from JSON and can be written as such
	}
	return string(text)
}

// updateFollowUp takes a definition as JSON.
func (h *Handlers) updateFollowUp(c *api.Call) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	var in followups.Input
	err = api.DecodeJSON([]byte(form.Get("definition")), &in)
	if err == nil {
		_, err = h.FollowUps.Update(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), in)
	}
	if err == nil {
		return h.leave(c, "/follow-ups/"+c.Param("id"), sessionFlash, "The new version counts from now on.")
	}
	e := usersync.AsError(err)
	if e.Code != usersync.CodeInvalid {
		return err
	}
	p, err := h.followUpPage(c)
	if err != nil {
		return err
	}
	p.text, p.fault = form.Get("definition"), e.Message
	return h.render(c, http.StatusUnprocessableEntity, followUpView(p))
}

// rehearseFollowUp shows what a follow-up would do about a sample.
func (h *Handlers) rehearseFollowUp(c *api.Call) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	p, err := h.followUpPage(c)
	if err != nil {
		return err
	}
	p.sample = form
	sample := followups.Sample{Email: form.Get("email")}
	err = api.DecodeJSON([]byte(cmp.Or(form.Get("attributes"), "{}")), &sample.Attributes)
	if err == nil {
		var out followup.Rehearsal
		out, err = h.FollowUps.Rehearse(c.Context(), c.Caller.Org, p.ID, sample)
		p.rehearsed = &out
	}
	if err != nil {
		e := usersync.AsError(err)
		if e.Code == usersync.CodeInternal {
			return err
		}
		p.rehearsed, p.refused = nil, e.Message
		return h.render(c, http.StatusUnprocessableEntity, followUpView(p))
	}
	return h.render(c, http.StatusOK, followUpView(p))
}

func (h *Handlers) pauseFollowUp(c *api.Call) (done, error) {
	f, err := h.FollowUps.Pause(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return done{to: "/follow-ups/" + f.ID, text: "No event sets it off until it is resumed."}, err
}

func (h *Handlers) resumeFollowUp(c *api.Call) (done, error) {
	f, err := h.FollowUps.Resume(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return done{to: "/follow-ups/" + f.ID, text: "Events set it off again."}, err
}

func (h *Handlers) deleteFollowUp(c *api.Call) (done, error) {
	err := h.FollowUps.Delete(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return done{to: "/follow-ups", text: "The follow-up is deleted."}, err
}

// actionsInShort names the actions of a follow-up.
func actionsInShort(list []followup.Action) string {
	names := make([]string, 0, len(list))
	for _, a := range list {
		names = append(names, strings.ReplaceAll(string(a.Type), "-", " "))
	}
	return strings.Join(names, ", then ")
}

// actionText is an action of a dry run as JSON.
func actionText(a followup.Action) string {
	text, err := json.Marshal(a)
	if err != nil {
		return string(a.Type)
	}
	return string(text)
}
