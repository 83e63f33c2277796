package console

import (
	"fmt"
	"time"

	"usersync/internal/api"
	"usersync/internal/console/ui"
	"usersync/internal/delivery"
	"usersync/internal/management/pulse"
	"usersync/internal/platform"
	"usersync/internal/request"
)

func (h *Handlers) overviewPages() []api.Route {
	return []api.Route{h.page("/", h.overview, read, manage)}
}

// overview is what the first page shows.
type overview struct {
	pulse     pulse.Pulse
	balance   int64
	attention []attention
}

// attention is something that somebody should look at.
type attention struct {
	bad      bool
	text     string
	path     string
	linkText string
}

// attended bounds the connections and endpoints that are looked through.
const attended = 200

func (h *Handlers) overview(c *api.Call) (view, error) {
	var o overview
	var err error
	ctx, org := c.Context(), c.Caller.Org
	if o.pulse, err = h.Pulse.Take(ctx, org); err != nil {
		return view{}, err
	}
	if o.balance, err = h.Management.GetBalance(ctx, org); err != nil {
		return view{}, err
	}
	connections, err := h.Management.ListConnections(ctx, org, "", attended)
	if err != nil {
		return view{}, err
	}
	endpoints, err := h.Management.ListEndpoints(ctx, org, "", attended)
	if err != nil {
		return view{}, err
	}
	o.attention = append(ofConnections(connections), ofEndpoints(endpoints)...)
	o.attention = append(o.attention, ofCredits(o.balance, c.Caller.Organization.Settings.LowCredit())...)
	o.attention = append(o.attention, ofRequests(o.pulse)...)
	return view{title: "Overview", section: "Overview", still: overviewHead(), live: overviewView(o), below: overviewChart()}, nil
}

func ofConnections(list []platform.Connection) (out []attention) {
	for _, one := range list {
		path := "/connections/" + one.ID
		switch {
		case one.Status == platform.ConnectionDisconnected:
			out = append(out, attention{true, one.Name + " refuses our credentials. Nothing is pushed there.", path, "Connect again"})
		case !one.ThrottledUntil.IsZero() && time.Now().Before(one.ThrottledUntil.Time):
			out = append(out, attention{false, one.Name + " asked for a pause, or did not answer.", path, "Look"})
		}
	}
	return out
}

func ofEndpoints(list []delivery.Endpoint) (out []attention) {
	for _, one := range list {
		path := "/webhooks/" + one.ID
		switch {
		case one.Status == delivery.EndpointDisabled:
			out = append(out, attention{true, "The webhook endpoint " + one.URL + " is disabled.", path, "Look"})
		case !one.FailingSince.IsZero():
			out = append(out, attention{false, "The webhook endpoint " + one.URL + " is failing.", path, "Look"})
		}
	}
	return out
}

func ofCredits(balance, low int64) []attention {
	switch {
	case balance == 0:
		return []attention{{true, "There are no credits left. New users are refused, and what needs credits waits.", "/credits", "Credits"}}
	case balance <= low:
		return []attention{{false, fmt.Sprintf("Only %s credits are left.", ui.Number(balance)), "/credits", "Credits"}}
	}
	return nil
}

func ofRequests(p pulse.Pulse) (out []attention) {
	if n := p.Outcomes[request.Failed] + p.Outcomes[request.PartiallySucceeded]; n > 0 {
		out = append(out, attention{true, fmt.Sprintf("%s of the latest requests failed, wholly or in part.", ui.Number(int64(n))), "/failures", "Failures"})
	}
	if !p.Oldest.IsZero() && p.Now.Sub(p.Oldest) > 5*time.Minute {
		out = append(out, attention{false, "The oldest unfinished request has waited for " + ui.Took(p.Now.Sub(p.Oldest)) + ".", "/requests?status=processing", "Requests"})
	}
	return out
}

// outcomes are the statuses that the overview counts, in its order.
var outcomes = []request.Status{request.Succeeded, request.PartiallySucceeded, request.Failed, request.AwaitingCredits, request.Processing, request.Queued}
