package mailchimp

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// These are the waits after refusals, because Mailchimp sends no header that tells
// them. Too many calls at once end within seconds. An account that is turned away
// before the API, with 403 and a page, has made far too many calls. An address that
// joined too many lists was reported to be accepted again after hours to days.
const (
	waitThrottled = 5 * time.Second
	waitBarred    = time.Minute
	waitAddress   = 6 * time.Hour
)

// problem is the body of a refusal. Some have no type, although the description says
// that all have one.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

// problemOf reads the body of a refusal and reports whether there is one.
func problemOf(r *connector.Response) (problem, bool) {
	var p problem
	err := json.Unmarshal(r.Body, &p)
	return p, err == nil
}

// said returns what the platform said, for people.
func (p problem) said() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, e := range p.Errors {
		text += " " + strings.TrimSpace(strings.TrimPrefix(e.Field+": ", ": ")+e.Message) + "."
	}
	return text
}

// classify says what a refusal means.
func classify(r *connector.Response) *usersync.Error {
	p, isProblem := problemOf(r)
	if r.Status == http.StatusForbidden && !isProblem {
		e := usersync.Errorf(usersync.CodeRateLimited, "Mailchimp turns calls of this account away for now.")
		e.RetryAfter = waitBarred
		return e
	}
	e := connector.Classify(r, p.said())
	if e != nil && e.Code == usersync.CodeRateLimited && e.RetryAfter == 0 {
		e.RetryAfter = waitThrottled
	}
	return e
}

// joinedTooMany recognizes the refusal of an address that joined too many lists
// lately. The refusal passes, but it is about one person. So classify must not make it
// a wait, which would hold up the whole account.
func joinedTooMany(text string) bool {
	return strings.Contains(text, "signed up to a lot of lists very recently")
}

func tooManyLists(said string) *usersync.Error {
	e := usersync.Errorf(usersync.CodeRateLimited, "%s", connector.Quote(said))
	e.RetryAfter = waitAddress
	return e
}

// exists recognizes the refusal of an address that another member has.
func exists(answer *connector.Response) bool {
	if answer == nil || answer.Status != http.StatusBadRequest {
		return false
	}
	p, _ := problemOf(answer)
	return p.Title == "Member Exists"
}

// personal returns err if it is about the person of a call, or about what the call
// asks for. It returns nil if err is about the account.
func personal(answer *connector.Response, err error) *usersync.Error {
	if answer == nil {
		return nil
	}
	e := usersync.AsError(err)
	if e.Code != usersync.CodeRejected {
		return nil
	}
	if p, _ := problemOf(answer); joinedTooMany(p.Detail) {
		return tooManyLists(p.Detail)
	}
	return e
}

// listMissing is what 404 means to a call about the audience.
func (c *client) listMissing() *usersync.Error {
	e := c.facts.Gone("list", c.settings.ListID, "Mailchimp knows no audience with this id in the account of the key.")
	e.Fields = []usersync.FieldError{{Field: "settings.listId", Message: "is no audience of the account"}}
	return e
}

// isListMissing recognizes listMissing.
func isListMissing(e *usersync.Error) bool {
	return e != nil && len(e.Fields) == 1 && e.Fields[0].Field == "settings.listId"
}

// failed is the result of a person whom Mailchimp refuses.
func failed(p connector.Profile, why error) connector.Result {
	out := connector.Rejected(why)
	out.Remote = p.Remote
	return out
}
