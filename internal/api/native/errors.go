package native

import (
	"encoding/csv"
	"io"
	"net/http"
	"strings"

	"usersync/internal/api"
	"usersync/internal/bulk"
	"usersync/internal/request"
)

// errorPage is how many errors are read and written at once.
const errorPage = 1000

// listErrors is GET /v1/requests/{requestId}/errors: the users of a bulk that
// failed or were skipped. Requests of other kinds have none.
func listErrors(c *api.Call) error {
	id, err := requestID(c)
	if err != nil {
		return err
	}
	page, err := c.PageOf(isShortText)
	if err != nil {
		return err
	}
	if _, err := request.Get(c.Context(), c.Caller.Org, id); err != nil {
		return err
	}
	if prefersCSV(c.Request().Header.Values("Accept")) {
		return writeErrors(c, id)
	}
	list, err := bulk.ListErrors(c.Context(), c.Caller.Org, id, page.Before, page.Limit+1)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, api.NewList(page, list, func(e bulk.Error) string { return e.UserID }))
}

// isShortText takes whatever a caller may have sent as a user's id.
func isShortText(s string) bool { return s != "" && len(s) <= 256 }

// prefersCSV reports whether CSV is asked for. Who takes both gets JSON.
func prefersCSV(accept []string) bool {
	all := strings.ToLower(strings.Join(accept, ","))
	return strings.Contains(all, "text/csv") && !strings.Contains(all, "json")
}

// writeErrors writes all errors as CSV, bit by bit.
func writeErrors(c *api.Call, id string) error {
	c.Header().Set("Content-Disposition", `attachment; filename="`+id+`-errors.csv"`)
	return c.WriteStream("text/csv; charset=utf-8", func(out io.Writer) error {
		w := csv.NewWriter(out)
		if err := w.Write([]string{"user_id", "email", "status", "code", "message"}); err != nil {
			return err
		}
		for after := ""; ; { //lint:loop follows a cursor, page by page
			list, err := bulk.ListErrors(c.Context(), c.Caller.Org, id, after, errorPage)
			if err != nil {
				return err
			}
			for _, e := range list {
				if err := w.Write([]string{cell(e.UserID), cell(e.Email), string(e.Status), cell(e.Code), cell(e.Message)}); err != nil {
					return err
				}
				after = e.UserID
			}
			w.Flush()
			if err := w.Error(); err != nil || len(list) < errorPage {
				return err
			}
		}
	})
}

// cell keeps a text from being a formula where the file is opened: an id and an
// address are the caller's, a message may quote a platform.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
