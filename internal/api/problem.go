package api

import (
	"net/http"

	"usersync/internal/usersync"
)

// problem is a problem document (RFC 9457 §3) with our extensions.
type problem struct {
	Type      string                `json:"type"`
	Title     string                `json:"title"`
	Status    int                   `json:"status"`
	Detail    string                `json:"detail"`
	Code      usersync.Code         `json:"code"`
	Errors    []usersync.FieldError `json:"errors,omitempty"`
	RequestID string                `json:"requestId"`
}

// Problem renders an error as application/problem+json. It speaks for the
// management routes and for every path that belongs to no dialect.
func Problem(c *Call, f Failure) error {
	p := problem{Type: "about:blank", Title: http.StatusText(f.Status), Status: f.Status, Detail: f.Message,
		Code: f.Code, Errors: f.Fields, RequestID: c.ID}
	if f.Code == usersync.CodeInternal {
		p.Detail = c.Quote()
	}
	return c.write(f.Status, "application/problem+json", p)
}
