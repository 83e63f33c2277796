package customerio

import (
	"encoding/json"

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

// classify goes by status alone: 401 and 403 for the keys, 400 for the content,
// 429 for the limit, without a word about how long to wait.
func classify(r *outbound.Response) *usersync.Error {
	var f failure
	_ = json.Unmarshal(r.Body, &f) // gateways answer with HTML
	return connector.Classify(r, f.said())
}
