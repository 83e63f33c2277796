package mailchimp

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// The waits after refusals: Mailchimp sends no header that tells them. Too many
// calls at once are over in seconds; who is turned away before the API, with 403
// and a page, has made far too many; an address that joined too many lists was
// reported to be taken again after hours to days.
const (
	waitThrottled = 5 * time.Second
	waitBarred    = time.Minute
	waitAddress   = 6 * time.Hour
)

// problem is the body of a refusal. Not all have a type, though described so.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

// problemOf reads the body of a refusal and reports whether there is one.
func problemOf(r *outbound.Response) (problem, bool) {
	var p problem
	err := json.Unmarshal(r.Body, &p)
	return p, err == nil
}

// said is what the platform said, for people.
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
func classify(r *outbound.Response) *usersync.Error {
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
// of late. It passes, but it is about one person: classify must not make it a
// wait, which would hold up the whole account.
func joinedTooMany(text string) bool {
	return strings.Contains(text, "signed up to a lot of lists very recently")
}

func tooManyLists(said string) *usersync.Error {
	e := usersync.Errorf(usersync.CodeRateLimited, "%s", connector.Quote(said))
	e.RetryAfter = waitAddress
	return e
}

// member is what is read of a member.
type member struct {
	ID     string `json:"id"`
	Email  string `json:"email_address"`
	Status string `json:"status"`
	Tags   []struct {
		Name string `json:"name"`
	} `json:"tags"`
}

// missing returns those of tags that the member does not have. Mailchimp does
// not tell upper from lower case in them.
func (m *member) missing(tags []string) []string {
	return slices.DeleteFunc(slices.Clone(tags), func(tag string) bool {
		return slices.ContainsFunc(m.Tags, func(have struct {
			Name string `json:"name"`
		}) bool {
			return strings.EqualFold(have.Name, tag)
		})
	})
}

// tense says whether a sentence tells what was done or what would be.
type tense struct{ be string }

var (
	did   = tense{""}
	would = tense{"would be "}
)

// archived is the status of a member whom the owner of the list took out.
const archived = "archived"

// added is the outcome of a push to somebody who is there, or not.
func added(there *member) connector.Status {
	// An archived member counts as new, as Mailchimp adds them again.
	if there == nil || there.Status == archived {
		return connector.Added
	}
	return connector.Updated
}

// outcome is the result of a push that was taken: m is the member it made or
// found, nil when there is none yet.
func (c *client) outcome(m *member, status connector.Status, when tense) connector.Result {
	if m != nil {
		if why, left := leftBy[m.Status]; left {
			return connector.Result{Status: connector.Skipped, Reason: usersync.ReasonUnsubscribed,
				Details: "User " + why + " the " + c.listName(c.settings.ListID) + " list and " + when.notAgain()}
		}
	}
	if m != nil && m.Status == archived && when == did {
		// Only a status would bring them back, and none is sent to who is there.
		return connector.Result{Status: connector.Updated, Details: "User updated in the " + c.listName(c.settings.ListID) + " list, where they are archived"}
	}
	verb := "added to"
	if status == connector.Updated {
		verb = "updated in"
	}
	return connector.Result{Status: status, Details: "User " + when.be + verb + " the " + c.listName(c.settings.ListID) + " list" + c.tagsApplied()}
}

// leftBy are the statuses of members who get no mail any more, and the words for it.
var leftBy = map[string]string{
	"unsubscribed": "has unsubscribed from",
	"cleaned":      "was removed by Mailchimp, as mail to them came back, from",
}

func (t tense) notAgain() string {
	if t == would {
		return "would not be subscribed again"
	}
	return "was not subscribed again"
}

// listName is the list's name in quotes, its id where the name is not known.
func (c *client) listName(id string) string {
	if name := c.labels["list:"+id]; name != "" {
		return "'" + name + "'"
	}
	return "'" + id + "'"
}

func (c *client) tagsApplied() string {
	if len(c.settings.Tags) == 0 {
		return ""
	}
	return ", tags '" + strings.Join(c.settings.Tags, "', '") + "' applied"
}
