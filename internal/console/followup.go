package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/api"
	"usersync/internal/console/ui"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/management/followups"
	"usersync/internal/usersync"
)

func (h *Console) followUpPages() []api.Route {
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

func (h *Console) listFollowUps(c *api.Call) (view, error) {
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

// How many comparisons and actions the form has. A definition with more of them, or with
// branches, is written as JSON.
const (
	formComparisons = 3
	formActions     = 4
)

// followUpForm is the form of a new follow-up: what stands in its fields.
type followUpForm struct {
	url.Values
	fault string
}

func (h *Console) newFollowUp(c *api.Call) (view, error) {
	_, err := known(c)
	return followUpFormPage(followUpForm{Values: url.Values{}}), err
}

func followUpFormPage(f followUpForm) view {
	return view{title: "New follow-up", section: "Follow-ups", still: followUpFormView(f)}
}

// triggers are the types of events that a form offers.
var triggers = ui.Options(followup.EventTypes)

// comparisons are the ways to compare that a form offers.
var comparisons = []ui.Option{
	{Value: "equals", Text: "is"}, {Value: "notEquals", Text: "is not"}, {Value: "contains", Text: "contains"}, {Value: "notContains", Text: "does not contain"},
	{Value: "less", Text: "is less than"}, {Value: "more", Text: "is more than"}, {Value: "matches", Text: "matches (RE2)"},
	{Value: "isSet", Text: "is set"}, {Value: "isNotSet", Text: "is not set"},
}

// formKinds are the actions that a form offers, and what its text says of each.
var formKinds = []ui.Option{
	{Value: string(followup.AddTag), Text: "add a tag: the tag"}, {Value: string(followup.RemoveTag), Text: "remove a tag: the tag"},
	{Value: string(followup.Wait), Text: "wait: how long, as in 24h or 3d"}, {Value: string(followup.SyncToPlatforms), Text: "sync to all platforms"},
	{Value: string(followup.RemoveFromPlatforms), Text: "remove from all platforms"}, {Value: string(followup.Unsubscribe), Text: "unsubscribe: email or sms"},
	{Value: string(followup.SendWebhook), Text: "call an address: the https address"}, {Value: string(followup.TriggerEvent), Text: "trigger an event: custom/its-name"},
	{Value: string(followup.FindColleagues), Text: "find colleagues"}, {Value: string(followup.SendInvitation), Text: "invite colleagues"},
}

// readFollowUp makes a definition of a form.
func readFollowUp(form url.Values) followups.Input {
	name, trigger := form.Get("name"), followup.Trigger{Type: followup.EventType(form.Get("trigger"))}
	actions := []followup.Action{}
	for i := range formActions {
		if a, ok := actionOf(form.Get(fmt.Sprintf("action%d", i)), form.Get(fmt.Sprintf("with%d", i))); ok {
			actions = append(actions, a)
		}
	}
	in := followups.Input{Name: &name, Trigger: &trigger, Actions: &actions}
	var all []followup.Condition
	for i := range formComparisons {
		if one, ok := comparisonOf(form.Get(fmt.Sprintf("field%d", i)), form.Get(fmt.Sprintf("compare%d", i)), form.Get(fmt.Sprintf("value%d", i))); ok {
			all = append(all, one)
		}
	}
	switch {
	case len(all) == 1:
		in.Condition = &all[0]
	case len(all) > 1 && form.Get("join") == "any":
		in.Condition = &followup.Condition{Any: all}
	case len(all) > 1:
		in.Condition = &followup.Condition{All: all}
	}
	return in
}

// comparisonOf makes one comparison of three fields; ok is false for an empty row.
func comparisonOf(field, compare, text string) (c followup.Condition, ok bool) {
	if field == "" {
		return c, false
	}
	c.Field = field
	value, yes, no := valueFrom(text), true, false
	switch compare {
	case "notEquals":
		c.NotEquals = &value
	case "contains":
		c.Contains = &value
	case "notContains":
		c.NotContains = &value
	case "less":
		c.Less = &value
	case "more":
		c.More = &value
	case "matches":
		c.Matches = &text
	case "isSet":
		c.IsSet = &yes
	case "isNotSet":
		c.IsSet = &no
	default:
		c.Equals = &value
	}
	return c, true
}

// valueFrom is a number, true or false where the text is one, and else the text.
func valueFrom(text string) followup.Value {
	var v followup.Value
	if text != "" && v.UnmarshalJSON([]byte(text)) == nil {
		return v
	}
	return followup.ValueOf(text)
}

// actionOf makes an action of its type and the one text that it needs.
func actionOf(kind, with string) (a followup.Action, ok bool) {
	a.Type = followup.ActionType(kind)
	switch a.Type {
	case "":
		return a, false
	case followup.AddTag, followup.RemoveTag:
		a.Tags = []string{with}
	case followup.Wait:
		a.For = with
	case followup.Unsubscribe:
		a.Channel = usersync.Channel(with)
	case followup.SendWebhook:
		a.URL = with
	case followup.TriggerEvent:
		a.Event = followup.EventType(with)
	}
	return a, true
}

func (h *Console) createFollowUp(c *api.Call) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	made, err := h.FollowUps.Create(c.Context(), c.Actor, c.Caller.Org, readFollowUp(form))
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
	lines []diffLine
}

// diffLine is a line that stayed (" "), came ("+") or went ("-").
type diffLine struct{ sign, text string }

func (h *Console) followUpPage(c *api.Call) (p followUpPage, err error) {
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
		p.versions = append(p.versions, versionDiff{v, diff(before, definitionText(v.Definition))})
	}
	return p, nil
}

func followUpView(p followUpPage) view {
	return view{title: p.Name, section: "Follow-ups", still: followUpBody(p)}
}

func (h *Console) showFollowUp(c *api.Call) (view, error) {
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

// diff compares two texts line by line: the longest common lines stay.
func diff(before, after string) []diffLine {
	a, b := linesOf(before), linesOf(after)
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []diffLine
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, diffLine{" ", a[i]})
			i, j = i+1, j+1
		case j < len(b) && (i == len(a) || common[i][j+1] > common[i+1][j]):
			out = append(out, diffLine{"+", b[j]})
			j++
		default:
			out = append(out, diffLine{"-", a[i]})
			i++
		}
	}
	return out
}

// linesOf are the lines of a text, bounded so that comparing stays quick.
func linesOf(text string) []string {
	if text == "" {
		return nil
	}
	const most = 1000
	all := strings.Split(text, "\n")
	return all[:min(len(all), most)]
}

// updateFollowUp takes a definition as JSON.
func (h *Console) updateFollowUp(c *api.Call) error {
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
func (h *Console) rehearseFollowUp(c *api.Call) error {
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

func (h *Console) pauseFollowUp(c *api.Call) (done, error) {
	f, err := h.FollowUps.Pause(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return done{to: "/follow-ups/" + f.ID, text: "No event sets it off until it is resumed."}, err
}

func (h *Console) resumeFollowUp(c *api.Call) (done, error) {
	f, err := h.FollowUps.Resume(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return done{to: "/follow-ups/" + f.ID, text: "Events set it off again."}, err
}

func (h *Console) deleteFollowUp(c *api.Call) (done, error) {
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

// changed reports whether a diff shows any change.
func changed(lines []diffLine) bool {
	return slices.ContainsFunc(lines, func(l diffLine) bool { return l.sign != " " })
}
