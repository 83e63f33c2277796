package brevo

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// failure is Brevo's error.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ofAccount are the codes that say something of the account rather than of a
// contact, whatever the status:
// https://developers.brevo.com/reference/get-process
var ofAccount = []string{"unauthorized", "permission_denied", "account_under_validation", "not_enough_credits"}

// read returns what an error says. A body that is not JSON says nothing.
func read(r *connector.Response) failure {
	var f failure
	_ = json.Unmarshal(r.Body, &f)
	return f
}

// classify goes by the status, except for what concerns the whole account. A 429 says
// in X-Sib-RateLimit-Reset how many seconds to wait.
func classify(r *connector.Response) *usersync.Error {
	f := read(r)
	e := connector.Classify(r, f.Message)
	if e == nil || e.Code != usersync.CodeRejected {
		return e
	}
	if r.Status == http.StatusPaymentRequired || slices.Contains(ofAccount, f.Code) {
		e.Code = usersync.CodeDisconnected
	}
	return e
}

// listFault gives the refusal of a push for its list its meaning.
func (b *brevo) listFault(r *connector.Response, err error) error {
	if r == nil || r.Status != http.StatusBadRequest && r.Status != http.StatusNotFound || !aboutLists(r) {
		return err
	}
	return b.facts.Gone("list", b.settings.List, "Brevo has no list '"+b.facts.NameOf("list", b.settings.List)+"'.")
}

// aboutLists goes by the words, because a missing list has no code of its own.
func aboutLists(r *connector.Response) bool {
	said := strings.ToLower(read(r).Message)
	return strings.Contains(said, "list id") || strings.Contains(said, "listid") || strings.Contains(said, "list does not exist")
}
