package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"usersync/internal/api"
	"usersync/internal/console/ui"
	"usersync/internal/delivery"
	"usersync/internal/management"
	"usersync/internal/usersync"
)

func (h *Handlers) webhookPages() []api.Route {
	const one = "/webhooks/:id"
	return []api.Route{
		h.page("/webhooks", h.listEndpoints, read, manage),
		h.page("/webhooks/new", h.newEndpoint, manage),
		{Method: http.MethodPost, Path: "/webhooks", Scope: manage, MediaTypes: forms, Handler: h.createEndpoint},
		h.page(one, h.showEndpoint, read, manage),
		h.act(one+"/test", manage, h.testEndpoint),
		h.act(one+"/enable", manage, h.enableEndpoint),
		h.act(one+"/rotate", manage, h.rotateEndpoint),
		h.act(one+"/recover", manage, h.recoverEndpoint),
		h.act(one+"/delete", manage, h.deleteEndpoint),
		h.page("/deliveries/:id", h.showDelivery, read, manage),
		h.act("/deliveries/:id/redeliver", manage, h.redeliver),
	}
}

func (h *Handlers) listEndpoints(c *api.Call) (view, error) {
	if _, err := known(c); err != nil {
		return view{}, err
	}
	l, err := readListing(c, usersync.PrefixEndpoint)
	if err != nil {
		return view{}, err
	}
	list, err := h.Management.ListEndpoints(c.Context(), c.Caller.Org, l.before, pageSize+1)
	if err != nil {
		return view{}, err
	}
	list = cut(&l, list, func(e delivery.Endpoint) string { return e.ID })
	return view{title: "Webhooks", section: "Webhooks", still: endpointsHead(may(c, manage)), live: endpointsView(l.Pager, list)}, nil
}

// endpointForm is the form of a new endpoint.
type endpointForm struct {
	url, description string
	types            []string
	faults           []usersync.FieldError
}

func endpointFormPage(f endpointForm) view {
	return view{title: "New webhook endpoint", section: "Webhooks", still: endpointFormView(f)}
}

func (h *Handlers) newEndpoint(c *api.Call) (view, error) {
	_, err := known(c)
	return endpointFormPage(endpointForm{types: []string{delivery.EveryMessage}}), err
}

func (h *Handlers) createEndpoint(c *api.Call) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	f := endpointForm{url: form.Get("url"), description: form.Get("description"), types: form["type"]}
	made, secret, err := h.Management.CreateEndpoint(c.Context(), c.Actor, c.Caller.Org, management.EndpointInput{URL: &f.url, EventTypes: &f.types, Description: &f.description})
	if err != nil {
		e := usersync.AsError(err)
		if e.Code != usersync.CodeInvalid {
			return err
		}
		f.faults = e.Fields
		return h.render(c, http.StatusUnprocessableEntity, endpointFormPage(f))
	}
	return h.render(c, http.StatusCreated, view{title: "The endpoint is made", section: "Webhooks",
		still: onceView("The endpoint is made", "Its secret is shown this once. The receiver checks every message with it.", secret.Reveal(), "/webhooks/"+made.ID, "To the endpoint")})
}

// endpointPage is what the page of an endpoint shows.
type endpointPage struct {
	delivery.Endpoint
	ui.Pager
	deliveries []delivery.Delivery
	mayManage  bool
	preview    *recovery
}

// recovery is a window whose failed deliveries may be sent again, and how many those are.
type recovery struct {
	window string
	since  time.Time
	count  int64
}

var deliveryFilters = []ui.Filter{{Name: "status", Label: "Deliveries", Options: ui.Options(delivery.Statuses)}}

// windows are those that can be recovered with a click.
var windows = []ui.Option{{Value: "1h", Text: "the last hour"}, {Value: "24h", Text: "the last day"}, {Value: "168h", Text: "the last week"}}

func (h *Handlers) showEndpoint(c *api.Call) (view, error) {
	query, err := known(c, "status", "window")
	if err != nil {
		return view{}, err
	}
	l, err := readListing(c, usersync.PrefixDelivery)
	if err != nil {
		return view{}, err
	}
	status := delivery.Status(query.Get("status"))
	if status != "" && !slices.Contains(delivery.Statuses, status) {
		return view{}, api.Invalid("status", "is not a status of deliveries")
	}
	e, err := h.Management.GetEndpoint(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return view{}, err
	}
	p := endpointPage{Endpoint: e, mayManage: may(c, manage)}
	if p.preview, err = h.previewRecovery(c, e.ID, query); err != nil {
		return view{}, err
	}
	list, err := h.Management.ListDeliveries(c.Context(), c.Caller.Org, e.ID, status, l.before, pageSize+1)
	if err != nil {
		return view{}, err
	}
	p.deliveries = cut(&l, list, func(d delivery.Delivery) string { return d.ID })
	p.Pager = l.Pager
	return view{title: e.URL, section: "Webhooks", still: endpointHead(p, query), live: endpointView(p)}, nil
}

// previewRecovery counts what a recovery of the window in the query would send again, nil
// where none is asked for.
func (h *Handlers) previewRecovery(c *api.Call, id string, query url.Values) (*recovery, error) {
	text := query.Get("window")
	if text == "" || !may(c, manage) {
		return nil, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return nil, api.Invalid("window", "must be a duration like 24h")
	}
	r := &recovery{window: text, since: time.Now().Add(-d).UTC().Truncate(time.Second)}
	r.count, err = h.Management.PreviewRecovery(c.Context(), c.Caller.Org, id, management.RecoverInput{Since: r.since})
	return r, err
}

func (h *Handlers) recoverEndpoint(c *api.Call) (done, error) {
	form, err := readForm(c)
	if err != nil {
		return done{}, err
	}
	since, err := time.Parse(time.RFC3339, form.Get("since"))
	if err != nil {
		return done{}, api.Invalid("since", "must be a time like 2026-11-22T10:00:00Z")
	}
	id := c.Param("id")
	n, err := h.Management.RecoverDeliveries(c.Context(), c.Actor, c.Caller.Org, id, management.RecoverInput{Since: since})
	return done{to: "/webhooks/" + id, text: fmt.Sprintf("%s failed deliveries are being sent again.", ui.Number(n))}, err
}

func (h *Handlers) testEndpoint(c *api.Call) (done, error) {
	d, err := h.Management.TestEndpoint(c.Context(), c.Actor, c.Caller.Org, c.Param("id"), c.Traceparent())
	return done{to: "/deliveries/" + d.ID, text: "A test message is on its way."}, err
}

func (h *Handlers) enableEndpoint(c *api.Call) (done, error) {
	id := c.Param("id")
	_, err := h.Management.EnableEndpoint(c.Context(), c.Actor, c.Caller.Org, id)
	return done{to: "/webhooks/" + id, text: "The endpoint takes messages again. What it missed can be recovered."}, err
}

func (h *Handlers) rotateEndpoint(c *api.Call) (done, error) {
	id := c.Param("id")
	e, err := h.Management.RotateSecret(c.Context(), c.Actor, c.Caller.Org, id)
	if err != nil {
		return done{}, err
	}
	return done{page: &view{title: "The secret is replaced", section: "Webhooks",
		still: onceView("The secret is replaced", "The new one is shown this once. The old one signs beside it for 24 hours.", e.Secrets[0].Reveal(), "/webhooks/"+id, "To the endpoint")}}, nil
}

func (h *Handlers) deleteEndpoint(c *api.Call) (done, error) {
	err := h.Management.DeleteEndpoint(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return done{to: "/webhooks", text: "The endpoint is deleted."}, err
}

// deliveryPage is what the page of a delivery shows.
type deliveryPage struct {
	delivery.Delivery
	mayManage bool
}

func (h *Handlers) showDelivery(c *api.Call) (view, error) {
	d, err := h.Management.GetDelivery(c.Context(), c.Caller.Org, c.Param("id"))
	if err != nil {
		return view{}, err
	}
	p := deliveryPage{d, may(c, manage)}
	return view{title: "Delivery", section: "Webhooks", still: deliveryHead(p), live: deliveryView(p)}, nil
}

func (h *Handlers) redeliver(c *api.Call) (done, error) {
	d, err := h.Management.Redeliver(c.Context(), c.Actor, c.Caller.Org, c.Param("id"))
	return done{to: "/deliveries/" + cmp.Or(d.ID, c.Param("id")), text: "The message is sent again."}, err
}

// answerOf tells how an attempt was answered.
func answerOf(a delivery.Attempt) string {
	if a.Status == 0 {
		return cmp.Or(a.Error, "no answer")
	}
	return fmt.Sprintf("HTTP %d %s", a.Status, http.StatusText(a.Status))
}

// toneOf is good for an answer that took the message.
func toneOf(a delivery.Attempt) string {
	if a.Status >= 200 && a.Status < 300 {
		return "good"
	}
	return "bad"
}

// newestFirst turns attempts around.
func newestFirst(list []delivery.Attempt) []delivery.Attempt {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}
