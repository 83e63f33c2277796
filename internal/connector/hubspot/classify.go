package hubspot

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// Statuses that only HubSpot uses:
// https://developers.hubspot.com/docs/api-reference/latest/error-handling
const (
	statusLocked    = 423 // too much written at once: wait 2 s
	statusMigrating = 477 // the account moves to another region, up to 24 h
)

// These are the waits where HubSpot says none. Its rolling window is 10 s. The daily
// quota begins again at midnight in the account's time zone, which no answer tells.
const (
	waitLocked    = 2 * time.Second
	waitSecondly  = time.Second
	waitRolling   = 10 * time.Second
	waitDaily     = time.Hour
	waitMigrating = time.Hour
)

// failure is HubSpot's error, of a call or of one record. All of its fields may be
// missing.
type failure struct {
	Category string         `json:"category"`
	Message  string         `json:"message"`
	Policy   string         `json:"policyName"`
	Context  map[string]any `json:"context"`
	// Validation is what some calls send. Other calls put the same into Message.
	Validation []validation `json:"validationResults"`
}

type validation struct {
	Name    string `json:"name"`
	Error   string `json:"error"`
	Message string `json:"message"`
}

// traces returns the traces of the records that an error is about.
func (f failure) traces() []string {
	var out []string
	switch trace := f.Context["objectWriteTraceId"].(type) {
	case string:
		out = append(out, trace)
	case []any:
		for _, one := range trace {
			if text, ok := one.(string); ok {
				out = append(out, text)
			}
		}
	}
	return out
}

// validations returns which properties are wrong, and why.
func (f failure) validations() []validation {
	if len(f.Validation) > 0 {
		return f.Validation
	}
	_, list, found := strings.Cut(f.Message, "[")
	var out []validation
	if found {
		// Message is for people. What cannot be read is quoted as it is.
		_ = json.NewDecoder(strings.NewReader("[" + list)).Decode(&out)
	}
	return out
}

// said returns HubSpot's sentence.
func (f failure) said() string {
	if all := f.validations(); len(all) > 0 && all[0].Message != "" {
		return all[0].Message
	}
	return f.Message
}

// classify says what an error of one record means.
func (f failure) classify() *usersync.Error {
	code := usersync.CodeRejected
	switch f.Category {
	case "RATE_LIMITS", "RATE_LIMIT":
		code = usersync.CodeRateLimited
	case "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT":
		code = usersync.CodeUnavailable
	}
	if f.namesNoProperty() {
		code = usersync.CodeDisconnected
	}
	message := connector.Quote(f.said())
	if message == "" {
		message = "HubSpot refuses this contact."
	}
	return usersync.Errorf(code, "%s", message)
}

// namesNoProperty reports whether a property does not exist, or must not be written.
// Then the settings are wrong, not the person.
func (f failure) namesNoProperty() bool {
	if f.Category == "PROPERTY_DOESNT_EXIST" {
		return true
	}
	for _, v := range f.validations() {
		if v.Error == "PROPERTY_DOESNT_EXIST" || v.Error == "READ_ONLY_VALUE" {
			return true
		}
	}
	return false
}

func classify(r *connector.Response) *usersync.Error {
	var f failure
	_ = json.Unmarshal(r.Body, &f) // gateways answer with HTML
	e := connector.Classify(r, f.said())
	if e == nil {
		return nil
	}
	switch {
	case r.Status == http.StatusTooManyRequests:
		e.RetryAfter = max(e.RetryAfter, waitAfter429(r, f))
	case r.Status == statusLocked:
		e.Code, e.RetryAfter = usersync.CodeRateLimited, waitLocked
	case r.Status == statusMigrating:
		e.Code = usersync.CodeRateLimited
		if e.RetryAfter, _ = outbound.RetryAfter(r.Header, time.Now()); e.RetryAfter == 0 {
			e.RetryAfter = waitMigrating
		}
	case r.Status == http.StatusBadRequest && f.namesNoProperty():
		e.Code = usersync.CodeDisconnected
	}
	return e
}

// waitAfter429 returns the wait for the policy that was broken, because HubSpot sends
// no Retry-After.
func waitAfter429(r *connector.Response, f failure) time.Duration {
	policy := strings.ToLower(f.Policy + " " + f.Message)
	switch {
	case strings.Contains(policy, "daily"), r.Header.Get("X-HubSpot-RateLimit-Daily-Remaining") == "0":
		return waitDaily
	case strings.Contains(policy, "ten_secondly"):
		return waitRolling
	case strings.Contains(policy, "secondly"):
		return waitSecondly
	}
	if ms, err := strconv.Atoi(r.Header.Get("X-HubSpot-RateLimit-Interval-Milliseconds")); err == nil && ms > 0 {
		return min(max(time.Duration(ms)*time.Millisecond, waitSecondly), waitRolling)
	}
	return waitRolling
}

// listFault gives the refusal of a push for its list its meaning.
func (h *hubspot) listFault(r *connector.Response, err error) error {
	if r == nil || r.Status != http.StatusNotFound && r.Status != http.StatusBadRequest {
		return err
	}
	return h.facts.Gone("list", h.settings.List,
		"HubSpot has no static list '"+h.facts.NameOf("list", h.settings.List)+"' that people can be added to.")
}
