package api

import (
	"log/slog"
	"strings"

	"usersync/internal/tenant"
)

// Dialect is one public API: its paths, who may call it, its routes, and what an
// error looks like.
type Dialect struct {
	// Name is the dialect's label in metrics and log lines.
	Name string
	// Prefixes are the beginnings of paths whose errors this dialect renders
	// even when no route matched. The longest prefix of all dialects wins.
	Prefixes []string
	// Doubled is a beginning of paths with a slash too many, as clients send it that join a
	// base and a path which both have one. It stands for the one with a single slash.
	Doubled string
	// Auth finds out who calls. When it is nil, everybody is let in.
	Auth   Auth
	Routes []Route
	// Render writes an error in the dialect's shape. When it is nil, Problem does.
	Render func(c *Call, f Failure) error
	// Level is the level of the log line for an answer below 500. Its zero is Info.
	Level slog.Level
}

// Auth finds out who makes a call and refuses those who may not.
type Auth func(c *Call) error

// Route is one endpoint.
type Route struct {
	// Method is GET, POST, and so on. A route of GET answers HEAD too, unless it
	// writes.
	Method string
	// Writes says that a route of GET changes something. HEAD never does (RFC 9110
	// §9.2.1), so such a route does not answer it.
	Writes bool
	// Path is the template of the path, like /v1/requests/:id.
	Path string
	// Scope is what the caller's key must allow; "" means nothing.
	Scope tenant.Scope
	// Query are the parameters of the query string that the route knows. A call with
	// another one is refused; nil refuses none.
	Query []string
	// Summary says in one line what the route does; /docs shows it.
	Summary string
	// MediaTypes are the media types a body may have; empty means application/json.
	MediaTypes []string
	// BodyLimit bounds a body in bytes; 0 means DefaultBodyLimit.
	BodyLimit int64
	Handler   func(c *Call) error
}

// speaker returns the dialect with the longest prefix of path, nil when none has
// one.
func speaker(dialects []*Dialect, path string) *Dialect {
	var best *Dialect
	length := 0
	for _, d := range dialects {
		for _, p := range d.Prefixes {
			if len(p) > length && strings.HasPrefix(path, p) {
				best, length = d, len(p)
			}
		}
	}
	return best
}
