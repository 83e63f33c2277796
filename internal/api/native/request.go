package native

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/api"
	"usersync/internal/bulk"
	"usersync/internal/identity"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// requestID returns the id of the request that the path names by its id or, for a
// bulk, by its sync_id. It returns request.ErrNotFound for another text.
func requestID(c *api.Call) (string, error) {
	id := bulk.RequestOf(c.Param("id"))
	if !usersync.HasPrefix(id, usersync.PrefixRequest) {
		return "", request.ErrNotFound
	}
	return id, nil
}

// getRequest is GET /v1/requests/{requestId}.
func (h *Handlers) getRequest(c *api.Call) error {
	id, err := requestID(c)
	if err != nil {
		return err
	}
	report, err := c.Report(id)
	if err == nil && !report.Status.Final() {
		c.Header().Set("Retry-After", "1")
	}
	return c.Answer(http.StatusOK, report, err)
}

// retryRequest is POST /v1/requests/{requestId}/retry. It answers 202 with the
// request as it is now.
func (h *Handlers) retryRequest(c *api.Call) error {
	id, err := requestID(c)
	if err != nil {
		return err
	}
	key, err := c.Idempotency()
	if err != nil {
		return fmt.Errorf("read the idempotency key: %w", err)
	}
	report, replayed, err := h.Management.RetryRequest(c.Context(), c.Caller.Org, id, c.ID, key)
	if err != nil {
		return err
	}
	if replayed {
		c.Header().Set("Idempotency-Replayed", "true")
	}
	c.Header().Set("Location", "/v1/requests/"+id)
	c.Header().Set("Retry-After", "1")
	return c.JSON(http.StatusAccepted, report)
}

// tryStepNow is POST /v1/requests/{requestId}/steps/{step}/try-now. It answers 202 with the
// request as it is now.
func (h *Handlers) tryStepNow(c *api.Call) error {
	id, err := requestID(c)
	if err != nil {
		return err
	}
	step, err := strconv.Atoi(c.Param("step"))
	if err != nil || step < 0 {
		return errNoStep
	}
	report, err := h.Management.TryStepNow(c.Context(), c.Caller.Org, id, step)
	if err == nil {
		c.Header().Set("Location", "/v1/requests/"+id)
	}
	return c.Answer(http.StatusAccepted, report, err)
}

// errNoStep is the refusal of a step that is no number.
var errNoStep = usersync.Errorf(usersync.CodeNotFound, "The request has no such step.")

// numberedAttempt is an attempt with its place in the list, which is what cursors say.
type numberedAttempt struct {
	request.AttemptView
	number int
}

// listAttempts is GET /v1/requests/{requestId}/attempts.
func (h *Handlers) listAttempts(c *api.Call) error {
	page, err := c.PageOf(func(key string) bool { return key != "" && strings.Trim(key, "0123456789") == "" })
	if err != nil {
		return fmt.Errorf("read which page is asked for: %w", err)
	}
	id, err := requestID(c)
	if err != nil {
		return err
	}
	list, err := h.Management.ListAttempts(c.Context(), c.Caller.Org, id)
	if err != nil {
		return err
	}
	load := func(before string, limit int) (out []numberedAttempt, _ error) {
		from := 0
		if before != "" {
			last, err := strconv.Atoi(before)
			if err != nil || last >= len(list) {
				return nil, nil // beyond the end
			}
			from = last + 1
		}
		for i := from; i < min(from+limit, len(list)); i++ {
			out = append(out, numberedAttempt{list[i], i})
		}
		return out, nil
	}
	return api.AnswerList(c, page, load, func(a numberedAttempt) string { return strconv.Itoa(a.number) })
}

// listRequests is GET /v1/requests.
func (h *Handlers) listRequests(c *api.Call) error {
	page, err := c.Page(usersync.PrefixRequest)
	if err != nil {
		return fmt.Errorf("read which page is asked for: %w", err)
	}
	filter, err := readFilter(c)
	if err != nil {
		return fmt.Errorf("read the filter: %w", err)
	}
	load := func(before string, limit int) ([]*request.View, error) {
		filter.Before, filter.Limit = before, limit
		return h.Management.ListRequests(c.Context(), c.Caller.Org, filter)
	}
	return api.AnswerList(c, page, load, func(r *request.View) string { return r.RequestID })
}

// filterNames are the filters of requests.
var filterNames = []string{"status", "kind", "platform", "connection", "code", "email", "since", "until"}

func readFilter(c *api.Call) (f request.Filter, err error) {
	query, err := c.Query()
	if err != nil {
		return f, fmt.Errorf("read the query: %w", err)
	}
	switch query.Get("include") {
	case "", "colleagues":
	default:
		return f, api.Invalid("include", "must be colleagues")
	}
	f, err = filterOf("", query.Get)
	f.Colleagues = query.Get("include") != ""
	return f, err
}

// filterOf reads the filters that value returns by name, "" for one that is not given. Names
// in errors begin with place.
func filterOf(place string, value func(name string) string) (f request.Filter, err error) {
	f.Status, f.Kind = request.Status(value("status")), request.Kind(value("kind"))
	f.Platform, f.Connection, f.Code = value("platform"), value("connection"), usersync.Code(value("code"))
	if f.Status != "" && !f.Status.Valid() {
		return f, api.Invalid(place+"status", "is not a status of requests")
	}
	if f.Connection != "" && !usersync.HasPrefix(f.Connection, usersync.PrefixConnection) {
		return f, api.Invalid(place+"connection", "must be the id of a connection")
	}
	if f.Code != "" && !slices.ContainsFunc(usersync.Codes, func(i usersync.CodeInfo) bool { return i.Code == f.Code }) {
		return f, api.Invalid(place+"code", "is not a code of errors")
	}
	if text := value("email"); text != "" {
		if f.Email, err = identity.ParseEmail(text); err != nil {
			return f, api.Invalid(place+"email", "must be an e-mail address")
		}
	}
	if f.Since, err = timeOf(place+"since", value("since")); err != nil {
		return f, err
	}
	f.Until, err = timeOf(place+"until", value("until"))
	return f, err
}

func timeOf(name, text string) (at time.Time, err error) {
	if text == "" {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, api.Invalid(name, "must be a time like 2026-11-22T10:00:00Z")
	}
	return at, nil
}

// retryRequests is POST /v1/requests/retry {"filter":{…}}.
func (h *Handlers) retryRequests(c *api.Call) error {
	var in struct {
		Filter map[string]string `json:"filter"`
	}
	if err := c.Decode(&in); err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	if in.Filter == nil {
		return api.Invalid("filter", "is required; {} lets everything through that has failed")
	}
	for _, name := range slices.Sorted(maps.Keys(in.Filter)) {
		if !slices.Contains(filterNames, name) {
			return api.Invalid("filter."+name, "is no filter of requests")
		}
	}
	filter, err := filterOf("filter.", func(name string) string { return in.Filter[name] })
	if err != nil {
		return err
	}
	retried, more, err := h.Management.RetryRequests(c.Context(), c.Caller.Org, filter)
	return c.Answer(http.StatusAccepted, retriedBody{retried, more}, err)
}

// retriedBody says how many requests were queued again, and whether there are others.
type retriedBody struct {
	Retried int  `json:"retried"`
	More    bool `json:"more"`
}
