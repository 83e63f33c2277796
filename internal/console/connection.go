package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/api"
	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/console/fieldform"
	"usersync/internal/console/ui"
	"usersync/internal/management"
	"usersync/internal/mask"
	"usersync/internal/platform"
	"usersync/internal/usersync"
)

func (h *Handlers) connectionPages() []api.Route {
	const one = "/connections/:id"
	return []api.Route{
		h.page("/connections", h.listConnections, read, manage),
		h.page("/connections/new", h.newConnection, manage),
		{Method: http.MethodPost, Path: "/connections", Scope: manage, MediaTypes: forms, Handler: h.createConnection},
		h.page(one, h.showConnection, read, manage),
		h.page(one+"/fields", h.showFields, read, manage),
		h.page(one+"/edit", h.editConnection, manage),
		{Method: http.MethodPost, Path: one, Scope: manage, MediaTypes: forms, Handler: h.updateConnection},
		h.act(one+"/check", manage, h.checkConnection),
		h.act(one+"/pause", manage, h.pauseConnection),
		h.act(one+"/resume", manage, h.resumeConnection),
		h.act(one+"/delete", manage, h.deleteConnection),
	}
}

func (h *Handlers) listConnections(c *api.Call) (view, error) {
	if _, err := known(c); err != nil {
		return view{}, err
	}
	l, err := readListing(c, usersync.PrefixConnection)
	if err != nil {
		return view{}, err
	}
	list, err := h.Management.ListConnections(c.Context(), c.Caller.Org, l.before, pageSize+1)
	if err != nil {
		return view{}, err
	}
	list = cut(&l, list, func(one platform.Connection) string { return one.ID })
	return view{title: "Connections", section: "Connections", still: connectionsHead(may(c, manage)), live: connectionsView(l.Pager, list)}, nil
}

// connectionPage is what the page of a connection shows.
type connectionPage struct {
	platform.Connection
	kind connector.Platform
	// credentials have their secrets masked.
	credentials, settings []fieldFact
	mayManage             bool
}

func (h *Handlers) showConnection(c *api.Call) (view, error) {
	one, err := h.Management.GetConnection(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return view{}, err
	}
	p := connectionPage{Connection: one, mayManage: may(c, manage)}
	p.kind, _ = h.kind(one.Platform)
	shown, err := h.Management.Shown(one)
	if err != nil {
		return view{}, err
	}
	if p.credentials, err = valuesOf(shown); err != nil {
		return view{}, err
	}
	if p.settings, err = valuesOf(one.Settings); err != nil {
		return view{}, err
	}
	return view{title: one.Name, section: "Connections", still: connectionHead(p), live: connectionView(p)}, nil
}

// valuesOf lists the values of an object by name.
func valuesOf(object json.RawMessage) ([]fieldFact, error) {
	fields, err := mask.Object(object)
	if err != nil {
		return nil, fmt.Errorf("read the values: %w", err)
	}
	var out []fieldFact
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, fieldFact{name: name, value: strings.Trim(string(fields[name]), `"`)})
	}
	return out, nil
}

// kind returns the platform with a name.
func (h *Handlers) kind(name string) (connector.Platform, bool) {
	i := slices.IndexFunc(h.Management.Platforms, func(k connector.Platform) bool { return k.Name == name })
	if i < 0 {
		return connector.Platform{}, false
	}
	return h.Management.Platforms[i], true
}

// showFields asks the platform what fields its contacts have.
func (h *Handlers) showFields(c *api.Call) (view, error) {
	one, err := h.Management.GetConnection(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return view{}, err
	}
	list, err := h.Fields.List(c.Context(), c.Caller.Org, one.ID)
	if usersync.CodeOf(err) == usersync.CodeInternal {
		return view{}, err
	}
	refused := ""
	if err != nil {
		refused = usersync.AsError(err).Message
	}
	return view{title: "Fields of " + one.Name, section: "Connections", still: fieldsView(one, list, refused)}, nil
}

// connectionForm is a form made from what the platform needs.
type connectionForm struct {
	kind   connector.Platform
	id     string // "" for a new connection
	name   string
	values map[string]string // by credentials.x and settings.x, as they stand in the fields
	faults []usersync.FieldError
	fault  string // of the whole
}

func (f connectionForm) path() string {
	if f.id == "" {
		return "/connections"
	}
	return "/connections/" + f.id
}

func (h *Handlers) newConnection(c *api.Call) (view, error) {
	query, err := known(c, "platform")
	if err != nil {
		return view{}, err
	}
	k, ok := h.kind(query.Get("platform"))
	if !ok {
		return view{title: "Connect a platform", section: "Connections", still: platformsView(h.Management.Platforms)}, nil
	}
	return connectionFormPage(connectionForm{kind: k, name: k.Title}), nil
}

func connectionFormPage(f connectionForm) view {
	title := "Connect " + f.kind.Title
	if f.id != "" {
		title = "Change " + f.name
	}
	return view{title: title, section: "Connections", still: connectionFormView(title, f)}
}

func (h *Handlers) editConnection(c *api.Call) (view, error) {
	f, err := h.storedForm(c)
	if err != nil {
		return view{}, err
	}
	return connectionFormPage(f), nil
}

// storedForm is the form as the stored connection fills it in. Secrets stay out of it.
func (h *Handlers) storedForm(c *api.Call) (connectionForm, error) {
	one, err := h.Management.GetConnection(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return connectionForm{}, err
	}
	k, ok := h.kind(one.Platform)
	if !ok {
		return connectionForm{}, usersync.Errorf(usersync.CodeConflict, "This service no longer knows the platform %s.", one.Platform)
	}
	f := connectionForm{kind: k, id: one.ID, name: one.Name, values: map[string]string{}}
	settings, err := mask.Object(one.Settings)
	if err != nil {
		return f, fmt.Errorf("read the settings: %w", err)
	}
	for _, field := range k.Settings {
		if value, set := settings[field.Name]; set {
			f.values["settings."+field.Name] = fieldform.TextOf(value)
		}
	}
	return f, nil
}

func (h *Handlers) createConnection(c *api.Call) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	k, ok := h.kind(form.Get("platform"))
	if !ok {
		return c.Redirect(http.StatusSeeOther, "/connections/new")
	}
	return h.storeConnection(c, form, connectionForm{kind: k, name: k.Title}, func(in management.ConnectionInput) (platform.Connection, error) {
		in.Platform = &k.Name
		return h.Management.CreateConnection(c.Context(), c.Actor, c.Caller.Org, in, management.AtPlatform)
	})
}

func (h *Handlers) updateConnection(c *api.Call) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	f, err := h.storedForm(c)
	if err != nil {
		return err
	}
	return h.storeConnection(c, form, f, func(in management.ConnectionInput) (platform.Connection, error) {
		return h.Management.UpdateConnection(c.Context(), c.Actor, c.Caller.Org, f.id, in, management.AtPlatform)
	})
}

// storeConnection stores what a form says, or shows the form again with what is wrong.
func (h *Handlers) storeConnection(c *api.Call, form url.Values, f connectionForm, store func(management.ConnectionInput) (platform.Connection, error)) error {
	in, faults := f.read(form)
	if len(faults) == 0 {
		one, err := store(in)
		if err == nil {
			return h.leave(c, "/connections/"+one.ID, sessionFlash, "The platform was asked, and takes these credentials.")
		}
		e := usersync.AsError(err)
		if e.Code == usersync.CodeInternal {
			return err
		}
		f.faults, f.fault = e.Fields, e.Message
		return h.render(c, http.StatusUnprocessableEntity, connectionFormPage(f))
	}
	f.faults = faults
	return h.render(c, http.StatusUnprocessableEntity, connectionFormPage(f))
}

// read reads what a form says, and keeps it so that it can be shown again. Secrets are not
// kept. A field that is left empty is left out, or taken away where it had a value.
func (f *connectionForm) read(form url.Values) (in management.ConnectionInput, faults []usersync.FieldError) {
	before := f.values
	f.name, f.values = form.Get("name"), map[string]string{}
	in.Name = &f.name
	in.Credentials, in.Settings = map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for place, fields := range map[string][]connector.Field{"credentials": f.kind.Credentials, "settings": f.kind.Settings} {
		to := in.Settings
		if place == "credentials" {
			to = in.Credentials
		}
		for _, field := range fields {
			name := place + "." + field.Name
			text := form.Get(name)
			if place == "settings" {
				f.values[name] = text
			}
			value, fault := fieldform.ValueOf(field, text)
			switch {
			case fault != "":
				faults = append(faults, usersync.FieldError{Field: name, Message: fault})
			case value != nil:
				to[field.Name] = value
			case before[name] != "":
				to[field.Name] = json.RawMessage("null")
			}
		}
	}
	return in, faults
}

func (h *Handlers) checkConnection(c *api.Call) (done, error) {
	id := c.Param("id")
	checked, err := h.Management.CheckConnection(c.Context(), c.Actor, c.Caller.Org, id)
	if err != nil {
		return done{}, err
	}
	if !checked.OK {
		return done{}, usersync.Errorf(checked.Code, "The platform says: %s", checked.Message)
	}
	return done{to: "/connections/" + id, text: "The platform takes the credentials."}, nil
}

func (h *Handlers) pauseConnection(c *api.Call) (done, error) {
	id := c.Param("id")
	_, err := h.Management.PauseConnection(c.Context(), c.Actor, c.Caller.Org, id)
	return done{to: "/connections/" + id, text: "Nothing more is pushed there until it is resumed."}, err
}

func (h *Handlers) resumeConnection(c *api.Call) (done, error) {
	id := c.Param("id")
	_, err := h.Management.ResumeConnection(c.Context(), c.Actor, c.Caller.Org, id)
	return done{to: "/connections/" + id, text: "Users are pushed there again."}, err
}

func (h *Handlers) deleteConnection(c *api.Call) (done, error) {
	err := h.Management.DeleteConnection(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return done{to: "/connections", text: "The connection is deleted. What waited for it is skipped."}, err
}

// stateOf is the status of a connection, with the pause that its platform asked for.
func stateOf(one platform.Connection) string {
	if one.Status == platform.ConnectionActive && !one.ThrottledUntil.IsZero() {
		return "throttled"
	}
	return one.Status
}

// limitsOf tells the published limits of a platform for people.
func limitsOf(k connector.Platform) string {
	var parts []string
	for _, w := range k.Limits.Published {
		parts = append(parts, fmt.Sprintf("%d calls in %s", w.Calls, ui.Took(w.In)))
	}
	if k.Limits.Concurrent > 0 {
		parts = append(parts, fmt.Sprintf("%d at once", k.Limits.Concurrent))
	}
	if len(parts) == 0 {
		return "none published"
	}
	return strings.Join(parts, ", ")
}

// sourceOf says what a connection writes into a field of the platform.
func sourceOf(f ability.Field) string {
	if f.Source == "" {
		return "–"
	}
	return f.Source
}
