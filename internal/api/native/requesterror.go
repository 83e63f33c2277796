package native

import (
	"fmt"
	"strings"

	"usersync/internal/api"
	"usersync/internal/bulk"
)

// listRequestErrors is GET /v1/requests/{requestId}/errors: the users of a bulk
// that failed or were skipped. Requests of other kinds have none.
func (h *Handlers) listRequestErrors(c *api.Call) error {
	id, err := requestID(c)
	if err != nil {
		return err
	}
	page, err := c.PageOf(isShortText)
	if err != nil {
		return fmt.Errorf("read which page is asked for: %w", err)
	}
	if prefersCSV(c.Request().Header.Values("Accept")) {
		return h.writeRequestErrors(c, id)
	}
	load := func(after string, limit int) ([]bulk.Error, error) {
		return h.Management.ListRequestErrors(c.Context(), c.Caller.Org, id, after, limit)
	}
	return api.AnswerList(c, page, load, func(e bulk.Error) string { return e.UserID })
}

// isShortText accepts whatever a caller may have sent as a user's id.
func isShortText(s string) bool { return s != "" && len(s) <= 256 }

// prefersCSV reports whether CSV is asked for. A caller who accepts both gets JSON.
func prefersCSV(accept []string) bool {
	all := strings.ToLower(strings.Join(accept, ","))
	return strings.Contains(all, "text/csv") && !strings.Contains(all, "json")
}

// writeRequestErrors writes all errors of a request as CSV.
func (h *Handlers) writeRequestErrors(c *api.Call, id string) error {
	headings := []string{"user_id", "email", "status", "code", "message"}
	return c.WriteCSV(id+"-errors.csv", headings, func(write func([]string) error) error {
		return h.Management.EachRequestError(c.Context(), c.Caller.Org, id, func(e bulk.Error) error {
			return write([]string{e.UserID, e.Email, string(e.Status), e.Code, e.Message})
		})
	})
}
