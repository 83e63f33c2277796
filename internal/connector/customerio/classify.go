package customerio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// failure is an error in the shapes that the two APIs use. It is a list of errors
// (v2), meta.error or meta.errors (v1 and the App API), or a list of errors that are
// texts or have a detail.
type failure struct {
	Errors json.RawMessage `json:"errors"`
	Meta   struct {
		Error  string   `json:"error"`
		Errors []string `json:"errors"`
	} `json:"meta"`
}

// said returns the first thing that an error says, or "" if it says nothing.
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

type refusal struct {
	Index   *int   `json:"batch_index"`
	Reason  string `json:"reason"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// said returns what an error says, with the field it is about.
func (e refusal) said() string {
	text := e.Message
	if text == "" {
		text = e.Reason
	}
	if text == "" {
		text = "Customer.io refuses this person."
	}
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	return text
}

// refusals is the answer to a batch of which some items were wrong.
type refusals struct {
	Errors []refusal `json:"errors"`
}

// refusedOf returns which of n items were refused, and why.
func refusedOf(r *connector.Response, n int) (map[int]*usersync.Error, error) {
	if connector.IsEmpty(r) && r.Status != http.StatusMultiStatus {
		return nil, nil
	}
	var answer refusals
	if err := connector.Decode(r, &answer); err != nil {
		return nil, fmt.Errorf("read the refusals: %w", err)
	}
	out := map[int]*usersync.Error{}
	for _, e := range answer.Errors {
		if e.Index == nil || *e.Index < 0 || *e.Index >= n {
			return nil, usersync.Errorf(usersync.CodeUnavailable, "Customer.io's answer does not say which person it refuses.")
		}
		out[*e.Index] = usersync.Errorf(usersync.CodeRejected, "%s", connector.Quote(e.said()))
	}
	if answer.Errors == nil {
		return nil, connector.Unexpected(platform)
	}
	if r.Status == http.StatusMultiStatus && len(out) == 0 {
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Customer.io's answer does not say what went wrong.")
	}
	return out, nil
}

// untold is how long to wait after a 429. The limits are of calls a second, and the
// answer says nothing.
const untold = time.Second

// classify goes by the status alone. 401 and 403 are about the keys, 400 about the
// content, and 429 about the limit.
func classify(r *connector.Response) *usersync.Error {
	var f failure
	_ = json.Unmarshal(r.Body, &f) // gateways answer with HTML
	e := connector.Classify(r, f.said())
	if e != nil && e.Code == usersync.CodeRateLimited && e.RetryAfter == 0 {
		e.RetryAfter = untold
	}
	return e
}

// segmentFault is the error of a push when its segment takes nobody.
func (c *customerio) segmentFault() error {
	return c.facts.Gone("list", c.settings.Segment,
		"Customer.io has no manual segment '"+c.facts.NameOf("list", c.settings.Segment)+"' that people can be added to.")
}
