package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"usersync/internal/telemetry"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// echoContext is embedded under an unexported name: Param, Request, Response,
// Blob, NoContent and the like are Echo's.
type echoContext = echo.Context

// Call is one HTTP request that the edge handles. It must not be used after its
// handler returned.
type Call struct {
	echoContext
	// ID names the call (req_…): X-Request-Id, the log line, and the request
	// that a single acceptance makes.
	ID string
	// Caller is who the key belongs to. Authenticate sets it.
	Caller tenant.Caller
	// Actor is who changes things, for the audit log: the key's id, or what
	// another Auth puts here.
	Actor string

	edge    *Edge
	ctx     context.Context
	line    *telemetry.Line
	trace   telemetry.Trace
	start   time.Time
	dialect *Dialect
	route   *Route
	failure *Failure
	unsent  error // unsent says why the answer could not be written.
	broken  bool  // broken says that the answer had begun when its handler failed.
	paced   pacedWriter
	body    *bytes.Buffer
	query   url.Values
}

// Context returns the call's context: it carries trace and log line, and ends
// when the caller disconnects.
func (c *Call) Context() context.Context { return c.ctx }

// Traceparent returns the trace context that travels with the call's work.
func (c *Call) Traceparent() string { return c.trace.String() }

// Header returns the header of the answer.
func (c *Call) Header() http.Header { return c.Response().Header() }

// Quote is all that a caller is told of an internal error.
func (c *Call) Quote() string { return "Request " + c.ID + " failed; quote this id." }

// rename gives the call the id of the earlier request that it replays.
func (c *Call) rename(id string) {
	c.ID = id
	c.Header().Set(headerRequestID, id)
}

// Answer answers with v as JSON, or returns the error that kept a service from
// making v.
func (c *Call) Answer(status int, v any, err error) error {
	if err != nil {
		return err
	}
	return c.JSON(status, v)
}

// JSON answers with v as JSON, without a newline at the end and without HTML
// escapes.
func (c *Call) JSON(status int, v any) error { return c.write(status, "application/json", v) }

func (c *Call) write(status int, mediaType string, v any) error {
	var out bytes.Buffer
	if err := encodeJSON(&out, v); err != nil {
		return err
	}
	return c.Blob(status, mediaType, out.Bytes())
}

// encodeJSON writes v as JSON, without a newline at the end and without HTML escapes.
func encodeJSON(to *bytes.Buffer, v any) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	to.Truncate(to.Len() - len("\n"))
	return nil
}

// Query returns the parameters of the query string, or an error of code
// invalid when it cannot be read or holds what no text may hold.
func (c *Call) Query() (url.Values, error) {
	if c.query != nil {
		return c.query, nil
	}
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		// The parser's error quotes the query.
		return nil, usersync.Errorf(usersync.CodeInvalid, "The query string is malformed.")
	}
	for name, list := range values {
		for _, v := range append(list, name) {
			if !isText(v) {
				return nil, usersync.Errorf(usersync.CodeInvalid, "The query string holds NUL or is not UTF-8.")
			}
		}
	}
	c.query = values
	return values, nil
}

// isText reports whether the database can hold s: UTF-8 without NUL.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func (c *Call) speaker() *Dialect {
	if c.dialect != nil {
		return c.dialect
	}
	return speaker(c.edge.dialects, c.Request().URL.Path)
}
