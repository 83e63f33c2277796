package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"usersync/internal/api"
	"usersync/internal/bulk"
	"usersync/internal/console/ui"
	"usersync/internal/identity"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

func (h *Handlers) requestPages() []api.Route {
	return []api.Route{
		h.page("/requests", h.listRequests, read),
		h.page("/requests/:id", h.showRequest, read),
		h.act("/requests/:id/retry", syncing, h.retryRequest),
		h.act("/requests/:id/steps/:step/try-now", syncing, h.tryStepNow),
	}
}

// requestFilters narrow the list of requests.
var requestFilters = []ui.Filter{
	{Name: "status", Label: "Status", Options: ui.Options(request.Statuses)},
	{Name: "kind", Label: "Kind", Options: ui.Options(request.Kinds)},
	{Name: "since", Label: "Came in the last", Options: []ui.Option{{Value: "15m", Text: "15 minutes"}, {Value: "1h", Text: "hour"}, {Value: "24h", Text: "day"}, {Value: "168h", Text: "week"}}},
	{Name: "email", Label: "E-mail address", Type: "email", Placeholder: "jane.doe@example.com"},
	{Name: "platform", Label: "Platform", Placeholder: "mailchimp"},
	{Name: "connection", Label: "Connection", Placeholder: "con_…"},
	{Name: "code", Label: "What went wrong", Options: ui.Options(codes())},
}

// codes are those of errors.
func codes() (out []usersync.Code) {
	for _, one := range usersync.Codes {
		out = append(out, one.Code)
	}
	return out
}

func readRequestFilter(query url.Values) (f request.Filter, err error) {
	f.Status, f.Kind, f.Limit = request.Status(query.Get("status")), request.Kind(query.Get("kind")), pageSize+1
	if f.Status != "" && !f.Status.Valid() {
		return f, api.Invalid("status", "is not a status of requests")
	}
	if f.Kind != "" && !f.Kind.Valid() {
		return f, api.Invalid("kind", "is not a kind of requests")
	}
	if text := query.Get("email"); text != "" {
		if f.Email, err = identity.ParseEmail(text); err != nil {
			return f, api.Invalid("email", "must be a whole e-mail address")
		}
	}
	f.Platform, f.Connection, f.Code = query.Get("platform"), query.Get("connection"), usersync.Code(query.Get("code"))
	if f.Connection != "" && !usersync.HasPrefix(f.Connection, usersync.PrefixConnection) {
		return f, api.Invalid("connection", "must be the id of a connection")
	}
	if f.Code != "" && !slices.Contains(codes(), f.Code) {
		return f, api.Invalid("code", "is not a code of errors")
	}
	f.Since, err = readSince(query)
	return f, err
}

// readSince reads how far back a list goes; zero is as far as there is.
func readSince(query url.Values) (time.Time, error) {
	text := query.Get("since")
	if text == "" {
		return time.Time{}, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return time.Time{}, api.Invalid("since", "must be a duration like 24h")
	}
	return time.Now().Add(-d), nil
}

func (h *Handlers) listRequests(c *api.Call) (view, error) {
	query, err := known(c, "status", "kind", "since", "email", "platform", "connection", "code")
	if err != nil {
		return view{}, err
	}
	l, err := readListing(c, usersync.PrefixRequest)
	if err != nil {
		return view{}, err
	}
	filter, err := readRequestFilter(query)
	if err != nil {
		return view{}, err
	}
	filter.Before = l.before
	list, err := h.Management.ListRequests(c.Context(), c.Caller.Org, filter)
	if err != nil {
		return view{}, err
	}
	list = cut(&l, list, func(r *request.View) string { return r.RequestID })
	return view{title: "Requests", section: "Requests", still: requestsHead(query), live: requestsView(l.Pager, list)}, nil
}

// shownErrors bounds the failed users that are shown of a bulk.
const shownErrors = 100

func (h *Handlers) showRequest(c *api.Call) (view, error) {
	id := bulk.RequestOf(c.Param("id"))
	if !usersync.HasPrefix(id, usersync.PrefixRequest) {
		return view{}, request.ErrNotFound
	}
	r, err := c.Report(id)
	if err != nil {
		return view{}, err
	}
	var wrong []bulk.Error
	if r.Kind == request.KindPlatformBulk {
		if wrong, err = h.Management.ListRequestErrors(c.Context(), c.Caller.Org, id, "", shownErrors); err != nil {
			return view{}, err
		}
	}
	p := requestPage{View: r, wrong: wrong, mayRetry: may(c, syncing) && retryable(r), mayTry: may(c, syncing), tries: map[int][]request.AttemptView{}}
	attempts, err := h.Management.ListAttempts(c.Context(), c.Caller.Org, id)
	if err != nil {
		return view{}, err
	}
	for _, a := range attempts {
		p.tries[a.Step] = append(p.tries[a.Step], a)
	}
	return view{title: "Request " + id, section: "Requests", still: requestHead(p), live: requestView(p)}, nil
}

// requestPage is what the page of a request shows.
type requestPage struct {
	*request.View
	wrong    []bulk.Error // of a bulk
	mayRetry bool
	mayTry   bool
	tries    map[int][]request.AttemptView // by the places of their steps, the newest first
}

// retryable reports whether a retry would run something again.
func retryable(r *request.View) bool {
	return r.Status == request.Failed || r.Status == request.PartiallySucceeded
}

func (h *Handlers) retryRequest(c *api.Call) (done, error) {
	id := c.Param("id")
	if !usersync.HasPrefix(id, usersync.PrefixRequest) {
		return done{}, request.ErrNotFound
	}
	if _, _, err := h.Management.RetryRequest(c.Context(), c.Caller.Org, id, c.ID, nil); err != nil {
		return done{}, err
	}
	return done{to: "/requests/" + id, text: "What had failed runs again."}, nil
}

func (h *Handlers) tryStepNow(c *api.Call) (done, error) {
	id := c.Param("id")
	step, err := strconv.Atoi(c.Param("step"))
	if err != nil || step < 0 || !usersync.HasPrefix(id, usersync.PrefixRequest) {
		return done{}, request.ErrNotFound
	}
	if _, err := h.Management.TryStepNow(c.Context(), c.Caller.Org, id, step); err != nil {
		return done{}, err
	}
	return done{to: "/requests/" + id, text: "The step is tried now."}, nil
}

// owners say whose fault an error is.
var owners = map[usersync.Owner]string{
	usersync.OwnerYou: "You can mend this", usersync.OwnerPlatform: "The platform's fault", usersync.OwnerUs: "Our fault",
}

// stepTitle names a step for people.
func stepTitle(s request.StepView) string {
	switch s.Name {
	case request.StepColleagues:
		return "Find colleagues"
	case request.StepFollowUps:
		return "Follow-ups"
	case request.StepPlatform:
		if s.Platform == "" {
			return "Platforms"
		}
		return "Push to " + s.Platform
	}
	return string(s.Name)
}

// took is how long a request took, "" while it is worked.
func took(r *request.View) string {
	if r.FinishedAt.IsZero() {
		return ""
	}
	return ui.Took(r.FinishedAt.Sub(r.CreatedAt.Time))
}

// attemptsOf tells how often a step was tried.
func attemptsOf(n int) string {
	switch n {
	case 0:
		return "not tried yet"
	case 1:
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
