package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"usersync/internal/api"
	"usersync/internal/console/ui"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

func (h *Console) failurePages() []api.Route {
	return []api.Route{
		h.page("/failures", h.listFailures, read),
		h.act("/failures/retry", syncing, h.retryFailures),
	}
}

// failureSample bounds the failed requests of each status that are grouped. The whole of them
// comes here when the API counts and retries by a filter.
const failureSample = 100

// failureFilters narrow the failures.
var failureFilters = []ui.Filter{
	{Name: "since", Label: "Came in the last", Options: []ui.Option{{Value: "1h", Text: "hour"}, {Value: "24h", Text: "day"}, {Value: "168h", Text: "week"}}},
}

// cause is what failures have in common.
type cause struct {
	step       request.StepName
	platform   string
	connection string
	code       usersync.Code
}

func (k cause) query() string {
	return url.Values{"step": {string(k.step)}, "platform": {k.platform}, "connection": {k.connection}, "code": {string(k.code)}}.Encode()
}

// group is the failures of one cause.
type group struct {
	cause
	requests []string // their ids, newest first
	message  string   // of the newest
	newest   usersync.Time
	// bars are counts over time, oldest first.
	bars [barCount]int
}

// barCount is how many parts of the time are told apart.
const barCount = 24

// failures are the groups, largest first.
type failures struct {
	groups   []group
	requests int
	cut      bool
	from     time.Time
	mayRetry bool
	query    url.Values
}

func (h *Console) listFailures(c *api.Call) (view, error) {
	query, err := known(c, "since")
	if err != nil {
		return view{}, err
	}
	list, cutShort, err := h.failed(c, query)
	if err != nil {
		return view{}, err
	}
	f := groupsOf(list, time.Now())
	f.cut, f.mayRetry, f.query = cutShort, may(c, syncing), query
	return view{title: "Failures", section: "Failures", still: failuresHead(query), live: failuresView(f)}, nil
}

// failed returns the newest requests that failed wholly or in part, newest first, and
// whether there are more.
func (h *Console) failed(c *api.Call, query url.Values) (list []*request.View, more bool, err error) {
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

// groupsOf groups requests, newest first, by what failed in them.
func groupsOf(list []*request.View, now time.Time) failures {
	f := failures{requests: len(list), from: now}
	if len(list) > 0 {
		f.from = list[len(list)-1].CreatedAt.Time
	}
	width := max(now.Sub(f.from)/barCount, time.Second)
	by := map[cause]*group{}
	for _, r := range list {
		for _, s := range r.Steps {
			if s.Status != request.StepFailed || s.Error == nil {
				continue
			}
			k := cause{s.Name, s.Platform, s.ConnectionID, s.Error.Code}
			if by[k] == nil {
				by[k] = &group{cause: k, message: s.Error.Message, newest: r.CreatedAt}
			}
			by[k].requests = append(by[k].requests, r.RequestID)
			by[k].bars[min(max(int(r.CreatedAt.Sub(f.from)/width), 0), barCount-1)]++
		}
	}
	for _, g := range by {
		f.groups = append(f.groups, *g)
	}
	slices.SortFunc(f.groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(len(b.requests), len(a.requests)), cmp.Compare(b.newest.UnixMicro(), a.newest.UnixMicro()), cmp.Compare(a.connection, b.connection))
	})
	return f
}

// retryFailures retries the requests of one group.
func (h *Console) retryFailures(c *api.Call) (done, error) {
	form, err := readForm(c)
	if err != nil {
		return done{}, err
	}
	k := cause{request.StepName(form.Get("step")), form.Get("platform"), form.Get("connection"), usersync.Code(form.Get("code"))}
	list, _, err := h.failed(c, form)
	if err != nil {
		return done{}, err
	}
	f := groupsOf(list, time.Now())
	i := slices.IndexFunc(f.groups, func(g group) bool { return g.cause == k })
	if i < 0 {
		return done{to: "/failures", text: "Nothing of this group is left to retry."}, nil
	}
	retried, refused, err := h.retryAll(c, f.groups[i].requests)
	if err != nil {
		return done{}, err
	}
	text := fmt.Sprintf("%d requests run again.", retried)
	if refused > 0 {
		text += fmt.Sprintf(" %d could not be retried; their pages say why.", refused)
	}
	return done{to: "/failures", text: text}, nil
}

// retryAll retries requests one by one, and counts those that refuse it.
func (h *Console) retryAll(c *api.Call, ids []string) (retried, refused int, err error) {
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

// where names what failed, for people.
func (k cause) where() string {
	return stepTitle(request.StepView{Name: k.step, Platform: k.platform})
}
