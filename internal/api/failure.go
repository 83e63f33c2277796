package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"usersync/internal/idempotency"
	"usersync/internal/usersync"
)

// Failure is an error as the caller is told it, with its HTTP status.
type Failure struct {
	*usersync.Error
	Status int
}

// statuses is the usual table from codes to HTTP statuses. A dialect whose
// clients expect others has a table of its own.
var statuses = map[usersync.Code]int{
	usersync.CodeInvalid:      http.StatusBadRequest,
	usersync.CodeUnauthorized: http.StatusUnauthorized,
	usersync.CodeForbidden:    http.StatusForbidden,
	usersync.CodeNotFound:     http.StatusNotFound,
	usersync.CodeConflict:     http.StatusConflict,
	usersync.CodeNoCredit:     http.StatusPaymentRequired,
	usersync.CodeRejected:     http.StatusUnprocessableEntity,
	usersync.CodeDisconnected: http.StatusConflict,
	usersync.CodeRateLimited:  http.StatusTooManyRequests,
	usersync.CodeUnavailable:  http.StatusServiceUnavailable,
	usersync.CodeInternal:     http.StatusInternalServerError,
}

// httpStatus is the cause of an error that has a status of its own.
type httpStatus int

func (s httpStatus) Error() string { return http.StatusText(int(s)) }

// refuse returns an invalid-input error that is answered with status.
func refuse(status int, message string) *usersync.Error {
	return &usersync.Error{Code: usersync.CodeInvalid, Message: message, Err: httpStatus(status)}
}

// Invalid returns the refusal of one field. Its message reads "limit must be …".
func Invalid(field, message string) *usersync.Error {
	return &usersync.Error{Code: usersync.CodeInvalid, Message: field + " " + message,
		Fields: []usersync.FieldError{{Field: field, Message: message}}}
}

func failureOf(err error) Failure {
	if h, ok := errors.AsType[*echo.HTTPError](err); ok {
		return ofEcho(h)
	}
	e := usersync.AsError(err)
	f := Failure{Error: e, Status: statuses[e.Code]}
	if own, ok := errors.AsType[httpStatus](err); ok {
		f.Status = int(own)
	}
	if errors.Is(err, idempotency.ErrReused) {
		f.Status = http.StatusUnprocessableEntity
	}
	if f.Status == 0 {
		f.Status = http.StatusInternalServerError
	}
	return f
}

// ofEcho translates the router's own errors: 404 and 405.
func ofEcho(h *echo.HTTPError) Failure {
	switch h.Code {
	case http.StatusNotFound:
		return Failure{usersync.Errorf(usersync.CodeNotFound, "There is nothing at this path."), h.Code}
	case http.StatusMethodNotAllowed:
		return Failure{usersync.Errorf(usersync.CodeNotFound, "This path does not take this method."), h.Code}
	}
	return failureOf(usersync.AsError(h.Unwrap()))
}

// statusGone is logged when the caller disconnected before the answer was made. It
// is not a registered status; nginx uses it in the same way.
const statusGone = 499

// fail answers with err in the dialect's shape. When an answer has begun, nothing can
// be added to it that tells the caller, so it is left broken.
func (c *Call) fail(err error) {
	c.broken = c.Response().Committed
	if errors.Is(err, context.Canceled) && c.ctx.Err() != nil {
		c.Response().Status = statusGone
		return
	}
	if c.paced.err != nil {
		c.unsent = c.paced.err
		return
	}
	f := failureOf(err)
	c.failure = &f
	if c.Response().Committed {
		return
	}
	header := c.Response().Header()
	if f.RetryAfter > 0 && header.Get("Retry-After") == "" {
		header.Set("Retry-After", strconv.Itoa(seconds(f.RetryAfter)))
	}
	if f.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	render := Problem
	if d := c.speaker(); d != nil && d.Render != nil {
		render = d.Render
	}
	if err := render(c, f); err != nil {
		c.unsent = err
	}
}
