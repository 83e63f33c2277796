package api

import (
	"context"
	"net/http"
	"time"

	"log/slog"
)

// Operations answers probes and Prometheus: whether the process lives, whether it
// is ready, and its metrics. The routes need no key, since OPS_ADDR gives them a
// port of their own.
type Operations struct {
	// Checks are what /readyz looks at.
	Checks []Check
	// Metrics answers /metrics.
	Metrics http.Handler
}

// Check is one thing that a process needs to do its work.
type Check struct {
	// Name is its member in the answer of /readyz: "database", "queue".
	Name string
	// Check returns nil when it is in order.
	Check func(ctx context.Context) error
	// Optional says that a failure degrades the process but leaves it ready.
	Optional bool
}

// checkWithin bounds the checks of one /readyz. Probes usually wait longer.
const checkWithin = 2 * time.Second

// Dialect returns the routes to mount, either beside the API or on an edge of
// their own.
func (o Operations) Dialect() Dialect {
	return Dialect{Name: "operations", Level: slog.LevelDebug, Routes: []Route{
		{Method: http.MethodGet, Path: "/healthz", Summary: "The process lives.", Handler: health},
		{Method: http.MethodGet, Path: "/readyz", Summary: "The process can do its work.", Handler: o.ready},
		{Method: http.MethodGet, Path: "/metrics", Summary: "Metrics for Prometheus.", Handler: o.metrics},
	}}
}

func health(c *Call) error { return c.JSON(http.StatusOK, map[string]string{"status": "ok"}) }

// ready answers 200 when every check that is not optional passes, else 503.
// The answer names what failed; the log says why.
func (o Operations) ready(c *Call) error {
	ctx, cancel := context.WithTimeout(c.ctx, checkWithin)
	defer cancel()
	answer, status := map[string]string{"status": "ok"}, http.StatusOK
	for _, check := range o.Checks {
		answer[check.Name] = "ok"
		err := check.Check(ctx)
		if err == nil {
			continue
		}
		c.edge.log.WarnContext(c.ctx, "not ready", "check", check.Name, "error", err)
		answer[check.Name] = "degraded"
		if !check.Optional {
			answer[check.Name], answer["status"], status = "failed", "unavailable", http.StatusServiceUnavailable
		}
	}
	return c.JSON(status, answer)
}

func (o Operations) metrics(c *Call) error {
	o.Metrics.ServeHTTP(c.Response(), c.Request())
	return nil
}
