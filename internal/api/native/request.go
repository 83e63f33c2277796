package native

import (
	"fmt"
	"net/http"
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

func readFilter(c *api.Call) (f request.Filter, err error) {
	query, err := c.Query()
	if err != nil {
		return f, fmt.Errorf("read the query: %w", err)
	}
	f.Status, f.Kind = request.Status(query.Get("status")), request.Kind(query.Get("kind"))
	switch query.Get("include") {
	case "":
	case "colleagues":
		f.Colleagues = true
	default:
		return f, api.Invalid("include", "must be colleagues")
	}
	if f.Status != "" && !f.Status.Valid() {
		return f, api.Invalid("status", "is not a status of requests")
	}
	if text := query.Get("email"); text != "" {
		if f.Email, err = identity.ParseEmail(text); err != nil {
			return f, api.Invalid("email", "must be an e-mail address")
		}
	}
	if text := query.Get("since"); text != "" {
		if f.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return f, api.Invalid("since", "must be a time like 2026-11-22T10:00:00Z")
		}
	}
	return f, nil
}
