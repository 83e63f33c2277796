package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"usersync/internal/api"
	"usersync/internal/console/failures"
	"usersync/internal/console/ui"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

func (h *Handlers) failurePages() []api.Route {
	return []api.Route{
		h.page("/failures", h.listFailures, read),
		h.act("/failures/retry", syncing, h.retryFailures),
	}
}

// failureSample bounds the failed requests of each status that are grouped.
const failureSample = 100

// failureFilters narrow the failures.
var failureFilters = []ui.Filter{
	{Name: "since", Label: "Came in the last", Options: []ui.Option{{Value: "1h", Text: "hour"}, {Value: "24h", Text: "day"}, {Value: "168h", Text: "week"}}},
}

// failurePage is what the page of failures shows.
type failurePage struct {
	failures.Groups
	cut      bool
	mayRetry bool
	query    url.Values
}

func (h *Handlers) listFailures(c *api.Call) (view, error) {
	query, err := known(c, "since")
	if err != nil {
		return view{}, err
	}
	list, cutShort, err := h.failed(c, query)
	if err != nil {
		return view{}, err
	}
	f := failurePage{failures.GroupsOf(list, time.Now()), cutShort, may(c, syncing), query}
	return view{title: "Failures", section: "Failures", still: failuresHead(query), live: failuresView(f)}, nil
}

// failed returns the newest requests that failed wholly or in part, newest first, and
// whether there are more.
func (h *Handlers) failed(c *api.Call, query url.Values) (list []*request.View, more bool, err error) {
	since, err := readSince(query)
	if err != nil {
		return nil, false, err
	}
	for _, status := range []request.Status{request.Failed, request.PartiallySucceeded} { //lint:loop two statuses
		some, err := h.Management.ListRequests(c.Context(), c.Caller.Org, request.Filter{Status: status, Since: since, Limit: failureSample})
		if err != nil {
			return nil, false, err
		}
		list, more = append(list, some...), more || len(some) == failureSample
	}
	slices.SortFunc(list, func(a, b *request.View) int { return cmp.Compare(b.RequestID, a.RequestID) })
	return list, more, nil
}

// retryFailures retries the requests of one group.
func (h *Handlers) retryFailures(c *api.Call) (done, error) {
	form, err := readForm(c)
	if err != nil {
		return done{}, err
	}
	if form.Get("connection") != "" {
		return h.retryAtConnection(c, form)
	}
	k := failures.Cause{Step: request.StepName(form.Get("step")), Platform: form.Get("platform"), Connection: form.Get("connection"), Code: usersync.Code(form.Get("code"))}
	list, _, err := h.failed(c, form)
	if err != nil {
		return done{}, err
	}
	f := failures.GroupsOf(list, time.Now())
	i := slices.IndexFunc(f.List, func(g failures.Group) bool { return g.Cause == k })
	if i < 0 {
		return done{to: "/failures", text: "Nothing of this group is left to retry."}, nil
	}
	retried, refused, err := h.retryAll(c, f.List[i].Requests)
	if err != nil {
		return done{}, err
	}
	text := fmt.Sprintf("%d requests run again.", retried)
	if refused > 0 {
		text += fmt.Sprintf(" %d could not be retried; their pages say why.", refused)
	}
	return done{to: "/failures", text: text}, nil
}

// retryAtConnection retries the requests that failed at a connection for one reason: all of
// them, not only those that are shown.
func (h *Handlers) retryAtConnection(c *api.Call, form url.Values) (done, error) {
	since, err := readSince(form)
	if err != nil {
		return done{}, err
	}
	retried, more, err := h.Management.RetryRequests(c.Context(), c.Caller.Org,
		request.Filter{Connection: form.Get("connection"), Code: usersync.Code(form.Get("code")), Since: since})
	if err != nil {
		return done{}, err
	}
	text := fmt.Sprintf("%d requests run again.", retried)
	if more {
		text += " More are left: retry the group once more."
	}
	return done{to: "/failures", text: text}, nil
}

// retryAll retries requests one by one, and counts those that refuse it.
func (h *Handlers) retryAll(c *api.Call, ids []string) (retried, refused int, err error) {
	for _, id := range ids { //lint:loop a retry is a transaction of its own
		_, _, err := h.Management.RetryRequest(c.Context(), c.Caller.Org, id, usersync.NewID(usersync.PrefixRequest), nil)
		switch code := usersync.CodeOf(err); {
		case err == nil:
			retried++
		case errors.Is(err, c.Context().Err()), code == usersync.CodeInternal, code == usersync.CodeUnauthorized, code == usersync.CodeForbidden, code == usersync.CodeUnavailable:
			return retried, refused, err
		default:
			refused++
		}
	}
	return retried, refused, nil
}

// failedTitle names what failed, for people.
func failedTitle(k failures.Cause) string {
	return stepTitle(request.StepView{Name: k.Step, Platform: k.Platform})
}
