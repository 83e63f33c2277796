package native

import (
	"net/http"
	"time"

	"usersync/internal/api"
	"usersync/internal/bulk"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// requestID returns the id in the path, where a bulk may go by its sync_id; what
// is no id names nothing.
func requestID(c *api.Call) (string, error) {
	id := bulk.RequestOf(c.Param("id"))
	if !usersync.HasPrefix(id, usersync.PrefixRequest) {
		return "", request.ErrNotFound
	}
	return id, nil
}

// showRequest is GET /v1/requests/{requestId}.
func showRequest(c *api.Call) error {
	id, err := requestID(c)
	if err != nil {
		return err
	}
	report, err := c.Report(id)
	if err != nil {
		return err
	}
	if !report.Status.Final() {
		c.Header().Set("Retry-After", "1")
	}
	return c.JSON(http.StatusOK, report)
}

// retryRequest is POST /v1/requests/{requestId}/retry. It answers 202 with the
// request as it is now.
func retryRequest(c *api.Call) error {
	id, err := requestID(c)
	if err != nil {
		return err
	}
	key, err := c.Idempotency()
	if err != nil {
		return err
	}
	org := c.Caller.Org
	replayed, err := intake.Retry(c.Context(), org, id, c.ID, key)
	if err != nil {
		return err
	}
	if replayed {
		c.Header().Set("Idempotency-Replayed", "true")
	}
	report, err := request.Get(c.Context(), org, id)
	if err != nil {
		return err
	}
	c.Header().Set("Location", "/v1/requests/"+id)
	c.Header().Set("Retry-After", "1")
	return c.JSON(http.StatusAccepted, report)
}

// listRequests is GET /v1/requests.
func listRequests(c *api.Call) error {
	page, err := c.Page(usersync.PrefixRequest)
	if err != nil {
		return err
	}
	filter, err := readFilter(c)
	if err != nil {
		return err
	}
	filter.Before, filter.Limit = page.Before, page.Limit+1
	ids, err := request.ListIDs(c.Context(), c.Caller.Org, filter)
	if err != nil {
		return err
	}
	reports, err := request.List(c.Context(), c.Caller.Org, ids)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, api.NewList(page, reports, func(r *request.View) string { return r.RequestID }))
}

func readFilter(c *api.Call) (f request.Filter, err error) {
	query, err := c.Query()
	if err != nil {
		return f, err
	}
	f.Status, f.Kind = request.Status(query.Get("status")), request.Kind(query.Get("kind"))
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
