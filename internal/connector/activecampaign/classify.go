package activecampaign

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// refusal is the body of a refused call. Calls about one thing have errors, an import
// has failureReasons, and all others have a message.
type refusal struct {
	Errors []struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	} `json:"errors"`
	Message string `json:"message"`
	// Reasons are texts, or objects with the number of a contact.
	Reasons []json.RawMessage `json:"failureReasons"`
}

func refusalOf(r *connector.Response) refusal {
	var body refusal
	if r == nil || json.Unmarshal(r.Body, &body) != nil {
		return refusal{}
	}
	return body
}

// said returns ActiveCampaign's own words.
func (b refusal) said() string {
	if len(b.Errors) > 0 {
		e := b.Errors[0]
		return cmp.Or(e.Title, e.Detail, e.Code)
	}
	for _, reason := range b.Reasons {
		var words string
		if json.Unmarshal(reason, &words) == nil && words != "" {
			return words
		}
	}
	return b.Message
}

// guilty returns which of n contacts an import was refused for, and why.
// ActiveCampaign counts contacts from one.
func (b refusal) guilty(n int) map[int]string {
	out := map[int]string{}
	for _, raw := range b.Reasons {
		var reason struct {
			Contact int    `json:"contact"`
			Said    string `json:"failureReason"`
		}
		if json.Unmarshal(raw, &reason) == nil && reason.Contact >= 1 && reason.Contact <= n {
			out[reason.Contact-1] = reason.Said
		}
	}
	return out
}

// classify says what a refusal means. ActiveCampaign answers a wrong key with 403. 402
// means that the account does not pay, or that its plan does not include the call. An
// import above the rate limit is reported to be answered with 400.
func classify(r *connector.Response) *usersync.Error {
	said := refusalOf(r).said()
	e := connector.Classify(r, said)
	switch {
	case e == nil:
		return nil
	case r.Status == http.StatusPaymentRequired:
		e.Code = usersync.CodeDisconnected
	case r.Status == http.StatusBadRequest && strings.Contains(strings.ToLower(said), "rate limit"):
		e.Code = usersync.CodeRateLimited
	}
	return e
}

// noAccount gives the 404 of a call that names nothing its meaning.
func noAccount(response *connector.Response, err error) error {
	if !connector.NotFound(response) {
		return err
	}
	return usersync.Errorf(usersync.CodeDisconnected, "There is no ActiveCampaign account at this address.")
}
