package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"usersync/internal/intake"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// headerRequestID names the call in every answer.
const headerRequestID = "X-Request-Id"

// These are headers of every answer. Answers hold personal data and new secrets: no
// cache may keep one, and no browser may take one for a page or a script.
var noStore, noSniff = []string{"no-store"}, []string{"nosniff"}

// Options are what the edge is made of. Store, Batcher and Waiters may be nil
// where no mounted dialect needs them.
type Options struct {
	Store   *store.Store
	Batcher *intake.Batcher
	Waiters *intake.Waiters
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	// Exchange tells the other API processes what this one took from the rate
	// limits, and returns what they took. It is nil where there is one process.
	Exchange Exchange
	// WriteWithin is how long a caller may take nothing of an answer before the
	// connection is cut. 0 means 30 s.
	WriteWithin time.Duration
}

// Edge is the HTTP face of the service: an http.Handler that serves the
// dialects mounted on it.
type Edge struct {
	store    *store.Store
	batcher  *intake.Batcher
	waiters  *intake.Waiters
	metrics  *telemetry.Metrics
	log      *slog.Logger
	callers  *callers // by the hash of their key
	keys     *callers // by the id of their key
	tenants  *callers // by the codes of their organization
	limits   *limits
	echo     *echo.Echo
	dialects []*Dialect

	writeWithin time.Duration
}

// New returns an edge that serves nothing yet.
func New(o Options) *Edge {
	e := &Edge{
		store: o.Store, batcher: o.Batcher, waiters: o.Waiters, metrics: o.Metrics, log: o.Log,
		limits: newLimits(o.Exchange), echo: echo.New(), writeWithin: cmp.Or(o.WriteWithin, defaultWriteWithin),
	}
	if o.Store != nil {
		e.callers = newCallers(func(ctx context.Context, hash string) (tenant.Caller, bool, error) {
			return tenant.FindCaller(ctx, o.Store, hash)
		})
		e.keys = newCallers(func(ctx context.Context, id string) (tenant.Caller, bool, error) {
			return tenant.FindCallerOfKey(ctx, o.Store, id)
		})
		e.tenants = newCallers(func(ctx context.Context, codes string) (tenant.Caller, bool, error) {
			return tenant.FindByCodes(ctx, o.Store, codes)
		})
	}
	e.echo.Use(e.enter)
	return e
}

// Mount adds dialects. All are mounted before the first call is served.
func (e *Edge) Mount(dialects ...Dialect) {
	for _, d := range dialects {
		e.dialects = append(e.dialects, &d)
		for _, r := range d.Routes {
			e.echo.Add(r.Method, r.Path, serve(&d, &r))
			if r.Method == http.MethodGet && !r.Writes {
				e.echo.Add(http.MethodHead, r.Path, serve(&d, &r))
			}
		}
	}
}

// Handle serves everything at or below a path with a plain handler, for pages
// that belong to no dialect. Name is its label in metrics and log lines.
func (e *Edge) Handle(name, path string, h http.Handler) {
	d := &Dialect{Name: name, Prefixes: []string{path}}
	r := &Route{Path: path}
	pass := func(c echo.Context) error {
		call := c.(*Call)
		call.dialect, call.route = d, r
		h.ServeHTTP(call.Response(), call.Request().WithContext(call.ctx))
		return nil
	}
	e.dialects = append(e.dialects, d)
	e.echo.Any(path, pass)
	e.echo.Any(strings.TrimSuffix(path, "/")+"/*", pass)
}

// Run keeps the rate limits in step with the other processes until ctx ends.
func (e *Edge) Run(ctx context.Context) { e.limits.run(ctx, e.log) }

// ServeHTTP serves one call.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, d := range e.dialects {
		if rest, ok := strings.CutPrefix(r.URL.Path, d.Doubled); ok && d.Doubled != "" {
			r.URL.Path, r.URL.RawPath = strings.TrimRight(d.Doubled, "/")+"/"+rest, ""
		}
	}
	e.echo.ServeHTTP(w, r)
}

// enter runs around every call, also around those that match no route.
func (e *Edge) enter(next echo.HandlerFunc) echo.HandlerFunc {
	return func(under echo.Context) error {
		c := e.begin(under)
		defer e.end(c)
		if err := next(c); err != nil {
			c.fail(err)
		}
		return nil
	}
}

func (e *Edge) begin(under echo.Context) *Call {
	c := &Call{echoContext: under, ID: usersync.NewID(usersync.PrefixRequest), edge: e, start: time.Now()}
	c.pace(e.writeWithin)
	header := c.Header()
	header.Set(headerRequestID, c.ID)
	header["Cache-Control"], header["X-Content-Type-Options"] = noStore, noSniff
	trace, ok := telemetry.ParseTraceparent(under.Request().Header.Get("Traceparent"))
	if ok {
		c.trace = trace.Child()
	} else {
		c.trace = telemetry.NewTrace()
	}
	c.ctx = telemetry.WithTrace(under.Request().Context(), c.trace)
	c.ctx, c.line = telemetry.Start(c.ctx)
	return c
}

// end is deferred: it answers for a handler that panicked, counts the call and
// writes its line. An answer that broke off has its connection cut, or the caller
// would take the half of it for all.
func (e *Edge) end(c *Call) {
	if r := recover(); r != nil {
		c.panicked(r)
	}
	c.releaseBody()
	status := c.Response().Status
	dialect, route := "", ""
	if c.dialect != nil {
		dialect = c.dialect.Name
	}
	if c.route != nil {
		route = c.route.Path
	}
	e.metrics.ObserveHTTP(dialect, route, c.Request().Method, status, time.Since(c.start))
	e.emit(c, dialect, route, status)
	if c.broken {
		panic(http.ErrAbortHandler)
	}
}

// emit writes the one log line. It repeats nothing that the caller sent: neither
// path nor query, nor a message about their input.
func (e *Edge) emit(c *Call, dialect, route string, status int) {
	telemetry.Add(c.ctx,
		slog.String("request_id", c.ID), slog.String("dialect", dialect), slog.String("method", methodName(c.Request().Method)),
		slog.String("route", route), slog.Int("status", status), slog.Int64("bytes", c.Response().Size))
	level := slog.LevelInfo
	if c.dialect != nil {
		level = c.dialect.Level
	}
	if c.failure != nil {
		telemetry.Add(c.ctx, slog.String("code", string(c.failure.Code)))
		if c.failure.Status >= http.StatusInternalServerError && !errors.Is(c.failure.Error, usersync.ErrDatabaseAway) { // which the store says
			level = slog.LevelError
			telemetry.Add(c.ctx, slog.String("error", c.failure.Error.Error()))
		}
	}
	if c.unsent != nil {
		telemetry.Add(c.ctx, slog.String("unsent", c.unsent.Error()))
	}
	c.line.Emit(e.log, level, "http")
}

// methodName keeps what callers invent out of the log.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// panicked answers for a handler that panicked.
func (c *Call) panicked(r any) {
	if err, ok := r.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		c.broken = true
		return
	}
	c.fail(panicError(r))
}

// panicError describes a panic with its stack. What the panic says may hold a
// caller's data and is left out, unless the runtime says it.
func panicError(r any) error {
	text := fmt.Sprintf("panic: %T", r)
	if e, ok := r.(runtime.Error); ok {
		text = "panic: " + e.Error()
	}
	return fmt.Errorf("%s\n%s", text, debug.Stack())
}

// serve handles a call that matched a route.
func serve(d *Dialect, r *Route) echo.HandlerFunc {
	return func(under echo.Context) error {
		c := under.(*Call)
		c.dialect, c.route = d, r
		if !c.cleanParams() {
			return echo.ErrNotFound
		}
		if d.Auth != nil {
			if err := d.Auth(c); err != nil {
				return err
			}
		}
		if err := c.knownQuery(r.Query); err != nil {
			return err
		}
		return r.Handler(c)
	}
}

// knownQuery refuses a query string with a parameter that is not among known. nil knows
// all.
func (c *Call) knownQuery(known []string) error {
	if known == nil {
		return nil
	}
	query, err := c.Query()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(known, name) {
			return Invalid(cmp.Or(name, "query"), "is no parameter of this call")
		}
	}
	return nil
}

// cleanParams makes the path's parameters plain text: the router hands them
// over escaped where the path was sent in an unusual form. It reports false for
// one that is no text.
func (c *Call) cleanParams() bool {
	values := c.ParamValues()
	for i, v := range values {
		if c.Request().URL.RawPath != "" {
			plain, err := url.PathUnescape(v)
			if err != nil {
				return false
			}
			values[i] = plain
		}
		if !isText(values[i]) {
			return false
		}
	}
	return true
}
