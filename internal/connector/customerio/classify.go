package customerio

import (
	"encoding/json"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// failure is an error in the shapes that the two APIs use: a list of errors (v2),
// meta.error or meta.errors (v1 and the App API), a list of errors that are texts
// or have a detail.
type failure struct {
	Errors json.RawMessage `json:"errors"`
	Meta   struct {
		Error  string   `json:"error"`
		Errors []string `json:"errors"`
	} `json:"meta"`
}

// said is the first thing that an error says, "" when it says nothing.
func (f failure) said() string {
	if f.Meta.Error != "" {
		return f.Meta.Error
	}
	if len(f.Meta.Errors) > 0 {
		return f.Meta.Errors[0]
	}
	var items []struct {
		refusal
		Detail string `json:"detail"`
	}
	if json.Unmarshal(f.Errors, &items) == nil && len(items) > 0 {
		if items[0].Detail != "" {
			return items[0].Detail
		}
		return items[0].said()
	}
	var texts []string
	if json.Unmarshal(f.Errors, &texts) == nil && len(texts) > 0 {
		return texts[0]
	}
	return ""
}

// untold is how long to wait after a 429: the limits are of calls a second, and
// the answer says nothing.
const untold = time.Second

// classify goes by status alone: 401 and 403 for the keys, 400 for the content,
// 429 for the limit.
func classify(r *outbound.Response) *usersync.Error {
	var f failure
	_ = json.Unmarshal(r.Body, &f) // gateways answer with HTML
	e := connector.Classify(r, f.said())
	if e != nil && e.Code == usersync.CodeRateLimited && e.RetryAfter == 0 {
		e.RetryAfter = untold
	}
	return e
}
