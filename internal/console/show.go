package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"usersync/internal/api"
	"usersync/internal/console/static"
	"usersync/internal/console/ui"
	"usersync/internal/usersync"
)

// view is a page: what stands above, and the part that is kept current.
type view struct {
	title   string
	section string
	// still has forms, filters and headings, which stay as they are while the rest changes.
	still templ.Component
	// live is kept current by events. It is nil on a page that does not change.
	live templ.Component
	// below stands still beneath the live part; nil for nothing.
	below templ.Component
	// query is what the search field holds.
	query string
}

// loader reads what a page shows.
type loader func(c *api.Call) (view, error)

// show answers with a page, with its live part alone for a script that asks, or with the
// events that keep it current.
func (h *Handlers) show(load loader) func(*api.Call) error {
	return func(c *api.Call) error {
		if strings.Contains(c.Request().Header.Get("Accept"), "text/event-stream") {
			return h.stream(c, load)
		}
		v, err := load(c)
		if err != nil {
			return err
		}
		if c.Request().Header.Get("X-Live") != "" && v.live != nil {
			return h.write(c, http.StatusOK, v.live)
		}
		return h.render(c, http.StatusOK, v)
	}
}

// render writes a whole page.
func (h *Handlers) render(c *api.Call, status int, v view) error {
	p := ui.Page{Title: v.title, Section: v.section, Viewer: h.viewer(c), Query: v.query}
	var err error
	if p.Flash, err = h.flash(c); err != nil {
		return err
	}
	if v.live != nil {
		p.Live = c.Request().URL.RequestURI()
	}
	return h.write(c, status, whole(p, v))
}

// flash takes out of the session what the last action led to.
func (h *Handlers) flash(c *api.Call) (*ui.Flash, error) {
	ctx := visitOf(c).ctx
	if ctx == nil || c.Request().Method == http.MethodHead {
		return nil, nil
	}
	for _, name := range []string{sessionFlash, sessionFailed} {
		if text := h.Sessions.PopString(ctx, name); text != "" {
			return &ui.Flash{Failed: name == sessionFailed, Text: text}, h.save(ctx, c)
		}
	}
	return nil, nil
}

// write answers with a component.
func (h *Handlers) write(c *api.Call, status int, page templ.Component) error {
	var out bytes.Buffer
	if err := page.Render(c.Context(), &out); err != nil {
		return fmt.Errorf("render the page: %w", err)
	}
	return c.Blob(status, "text/html; charset=utf-8", out.Bytes())
}

// stream sends the live part of a page whenever it has changed, until the viewer goes, the
// process ends or the session ends. A viewer who gets no stream is told not to ask again.
func (h *Handlers) stream(c *api.Call, load loader) error {
	first, err := load(c)
	if err != nil {
		return err
	}
	if first.live == nil || !h.streams.Enter() {
		return c.NoContent(http.StatusNoContent)
	}
	defer h.streams.Leave()
	return h.streams.Send(c.Context(), c.Response(), first.live, func() (templ.Component, error) {
		authenticate := h.authenticate
		if isOperatorPath(c) {
			authenticate = h.authenticateOperator
		}
		if err := authenticate(c); err != nil {
			return nil, err
		}
		v, err := load(c)
		return v.live, err
	})
}

// done is what an action led to.
type done struct {
	// to is the page to go to, and text what it tells there.
	to, text string
	// page is shown in place of that, for what is told once: a new secret.
	page *view
}

// do answers an action. Where nothing was done because of what the viewer sent, or of how
// things are, the page they came from says why.
func (h *Handlers) do(action func(*api.Call) (done, error)) func(*api.Call) error {
	return func(c *api.Call) error {
		out, err := action(c)
		if err != nil && (usersync.CodeOf(err) == usersync.CodeInternal || errors.Is(err, context.Canceled)) {
			return err
		}
		switch {
		case err != nil:
			return h.leave(c, back(c), sessionFailed, refusal(err))
		case out.page != nil:
			return h.render(c, http.StatusOK, *out.page)
		}
		return h.leave(c, out.to, sessionFlash, out.text)
	}
}

// refusal says why nothing was done.
func refusal(err error) string {
	e := usersync.AsError(err)
	if hint := e.Code.Info().Hint; e.Code != usersync.CodeInvalid && hint != "" && e.Code != usersync.CodeForbidden {
		return e.Message + " " + hint
	}
	return e.Message
}

// leave sends the viewer to a page that tells text.
func (h *Handlers) leave(c *api.Call, to, name, text string) error {
	if ctx := visitOf(c).ctx; ctx != nil && text != "" {
		h.Sessions.Put(ctx, name, text)
		if err := h.save(ctx, c); err != nil {
			return err
		}
	}
	return c.Redirect(http.StatusSeeOther, to)
}

// back is the page that an action was asked for on.
func back(c *api.Call) string {
	from, err := url.Parse(c.Request().Referer())
	if err != nil || from.Host != c.Request().Host {
		return "/"
	}
	return safePath(from.RequestURI())
}

// fail shows an error as a page, or leads to the page that mends it.
func (h *Handlers) fail(c *api.Call, f api.Failure) error {
	header := c.Header()
	header.Del("WWW-Authenticate")
	for name, value := range securityHeaders {
		header.Set(name, value)
	}
	script := c.Request().Header.Get("X-Live") != "" || strings.Contains(c.Request().Header.Get("Accept"), "text/event-stream")
	switch {
	case script:
		return c.NoContent(f.Status)
	case errors.Is(f.Error, errSignedOut):
		return c.Redirect(http.StatusSeeOther, "/sign-in"+nextOf(c))
	case errors.Is(f.Error, errNoOrganization):
		return c.Redirect(http.StatusSeeOther, "/operator")
	}
	p := ui.Page{Title: titles[f.Code], Viewer: h.viewer(c)}
	if p.Title == "" {
		p.Title = titles[usersync.CodeInternal]
	}
	message := f.Message
	if f.Code == usersync.CodeInternal {
		message = c.Quote()
	}
	return h.write(c, f.Status, errorPage(p, f.Status, message, f.Code.Info().Hint))
}

// titles are the headings of pages that tell an error.
var titles = map[usersync.Code]string{
	usersync.CodeInvalid: "That could not be read", usersync.CodeForbidden: "You may not see this", usersync.CodeNotFound: "There is no such thing here",
	usersync.CodeConflict: "That does not fit how things are", usersync.CodeRateLimited: "That was too much at once",
	usersync.CodeUnavailable: "This does not work right now", usersync.CodeInternal: "Something went wrong",
}

// nextOf is the query by which a sign-in leads back to the page that was asked for.
func nextOf(c *api.Call) string {
	if c.Request().Method != http.MethodGet || c.Request().URL.Path == "/" {
		return ""
	}
	return "?" + url.Values{"next": {c.Request().URL.RequestURI()}}.Encode()
}

// serveFile serves a file. Browsers keep it and ask whether it is still the same.
func (h *Handlers) serveFile(c *api.Call) error {
	f, ok := static.Find(c.Param("*"))
	if !ok {
		return usersync.Errorf(usersync.CodeNotFound, "There is no such file.")
	}
	c.Header().Set("Cache-Control", "no-cache")
	c.Header().Set("Etag", f.Tag)
	if c.Request().Header.Get("If-None-Match") == f.Tag {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, f.MediaType, f.Body)
}

// readForm returns what a form says.
func readForm(c *api.Call) (url.Values, error) {
	body, err := c.Body()
	if err != nil {
		return nil, fmt.Errorf("read the form: %w", err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The form could not be read.")
	}
	for _, values := range form {
		for i, v := range values {
			if !isText(v) {
				return nil, usersync.Errorf(usersync.CodeInvalid, "The form holds what is no text.")
			}
			values[i] = strings.TrimSpace(strings.ReplaceAll(v, "\r\n", "\n"))
		}
	}
	return form, nil
}

// isText reports whether the database can hold s: UTF-8 without NUL.
func isText(s string) bool { return strings.ToValidUTF8(s, "") == s && !strings.Contains(s, "\x00") }

// pageSize is how many items a list shows at once.
const pageSize = 50

// listing is which part of a list is asked for, and how it goes on.
type listing struct {
	ui.Pager
	before string
}

// readListing reads the place in a list of things whose ids begin with prefix.
func readListing(c *api.Call, prefix usersync.Prefix) (listing, error) {
	query, err := c.Query()
	if err != nil {
		return listing{}, err
	}
	l := listing{Pager: ui.Pager{Path: c.Request().URL.Path, Query: query}, before: query.Get("before")}
	if l.before != "" && !usersync.HasPrefix(l.before, prefix) {
		return l, api.Invalid("before", "must be an id out of the list")
	}
	return l, nil
}

// cut returns the items of a page out of those that were read, which are one more where
// there is a next page.
func cut[T any](l *listing, items []T, idOf func(T) string) []T {
	if len(items) <= pageSize {
		return items
	}
	items = items[:pageSize]
	l.Next = idOf(items[pageSize-1])
	return items
}

// known refuses parameters of the query that a page does not have.
func known(c *api.Call, names ...string) (url.Values, error) {
	query, err := c.Query()
	if err != nil {
		return nil, err
	}
	for name := range query {
		if name != "before" && !slices.Contains(names, name) {
			return nil, api.Invalid(name, "is no filter of this page")
		}
	}
	return query, nil
}
