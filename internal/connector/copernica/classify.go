package copernica

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// overloaded is how long to wait when the load balancer has too much to do. Its
// outages were seen to last minutes.
const overloaded = time.Minute

// said returns Copernica's own words. They are in {"error":{"message":"…"}}, or the
// error is a text.
func said(r *connector.Response) string {
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	if r == nil || json.Unmarshal(r.Body, &body) != nil {
		return ""
	}
	var object struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body.Error, &object) == nil && object.Message != "" {
		return object.Message
	}
	var words string
	_ = json.Unmarshal(body.Error, &words) // what is neither says nothing
	return words
}

// classify says what a refusal means. Nearly all refusals are 400, and their words
// tell whether the token, the database or what was sent is wrong. The load balancer
// answers in HTML.
func classify(r *connector.Response) *usersync.Error {
	words := said(r)
	e := connector.Classify(r, words)
	if e == nil {
		return nil
	}
	lower := strings.ToLower(words)
	switch {
	case r.Status == http.StatusBadRequest && isAccount(lower):
		e.Code = usersync.CodeDisconnected
	case isOverload(r):
		e.Code = usersync.CodeRateLimited
		if e.RetryAfter == 0 {
			e.RetryAfter = overloaded
		}
	}
	return e
}

// isAccount reports whether a refusal is about the connection rather than the
// person.
func isAccount(words string) bool {
	return strings.Contains(words, "access token") || strings.Contains(words, "no database with")
}

// isOverload recognises the page of the load balancer.
func isOverload(r *connector.Response) bool {
	return (r.Status == http.StatusServiceUnavailable || r.Status == http.StatusGatewayTimeout) &&
		bytes.Contains(bytes.ToLower(r.Body), []byte("too many requests"))
}

// isAuth reports whether the token was refused.
func isAuth(r *connector.Response) bool {
	if r == nil {
		return false
	}
	return r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden ||
		strings.Contains(strings.ToLower(said(r)), "access token")
}

// isGone reports whether a profile was not there.
func isGone(r *connector.Response) bool {
	return r != nil && (r.Status == http.StatusNotFound ||
		r.Status == http.StatusBadRequest && strings.Contains(strings.ToLower(said(r)), "no entity with"))
}
