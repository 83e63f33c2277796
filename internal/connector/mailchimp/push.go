package mailchimp

import (
	"context"
	"crypto/md5" // names a member, by the rule of the platform; protects nothing
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/form"
	"usersync/internal/usersync"
)

// content is what Mailchimp is told of a person.
type content struct {
	List   string         `json:"list"`
	Email  string         `json:"email"`
	Fields map[string]any `json:"fields"`
	Tags   []string       `json:"tags,omitempty"`
}

// Content is the person's address, merge fields and tags.
func (c *client) Content(p connector.Profile) any {
	return content{List: c.settings.ListID, Email: p.Email.Display(), Fields: c.fields(p), Tags: c.settings.Tags}
}

// platform is what sentences call Mailchimp.
const platform = "Mailchimp"

// fields returns a person's merge fields.
func (c *client) fields(p connector.Profile) map[string]any {
	values, _ := c.values(p)
	return values
}

// LeavesOut returns the telephone numbers and dates that are none.
func (c *client) LeavesOut(p connector.Profile) []connector.LeftOut {
	_, left := c.values(p)
	return left
}

// values returns a person's merge fields and what is left out of them. Mailchimp takes
// texts, and numbers for fields of that type. The empty text clears a field of any type.
func (c *client) values(p connector.Profile) (map[string]any, []connector.LeftOut) {
	values := c.mapping.Values(p)
	left := connector.Phones(values, p, func(tag string) bool { return c.facts.Labels["field:"+tag] == "phone" })
	left = append(left, form.Dates(values, c.dateForm)...)
	for tag, value := range values {
		if _, isNumber := value.(json.Number); isNumber && c.facts.Labels["field:"+tag] == "number" {
			continue
		}
		values[tag] = connector.Text(value)
	}
	return values, left
}

// dateForm is how a merge field of a date is written, whatever the audience shows.
func (c *client) dateForm(tag string) func(form.Date) any {
	switch c.facts.Labels["field:"+tag] {
	case "date":
		return form.Date.Day
	case "birthday":
		return form.Date.Birthday
	}
	return nil
}

// target is where people are put, and the tags they get.
func (c *client) target() connector.Target {
	return connector.Target{Place: connector.Named("list", c.facts.NameOf("list", c.settings.ListID)), Tags: c.settings.Tags}
}

// memberID names a member of a list. It is the MD5 of the address in lower case.
func memberID(email usersync.Email) string {
	sum := md5.Sum([]byte(strings.ToLower(email.Display())))
	return hex.EncodeToString(sum[:])
}

// maxLists is how many lists are kept of a person. Their ids fit into the 500 bytes of
// Result.Remote.
const maxLists = 20

// remote is what is kept of a person between pushes.
type remote struct {
	// Member is the person's id. It is the same in all lists.
	Member string `json:"member"`
	// Lists are the lists that the person was pushed to, the latest last. A bulk call may
	// name another list than the connection does, and an erasure has to find them all.
	Lists []string `json:"lists"`
}

// remoteOf reads what was kept. What cannot be read counts as nothing.
func remoteOf(text string) remote {
	var r remote
	_ = json.Unmarshal([]byte(text), &r)
	return r
}

// with returns r for a member that is in list now.
func (r remote) with(list, member string) remote {
	lists := slices.DeleteFunc(slices.Clone(r.Lists), func(l string) bool { return l == list })
	lists = append(lists, list)
	if len(lists) > maxLists {
		lists = lists[len(lists)-maxLists:]
	}
	return remote{Member: member, Lists: lists}
}

// String returns the text to keep. It cannot fail, because ids are letters and digits.
func (r remote) String() string {
	text, _ := json.Marshal(r)
	return string(text)
}

// in reports whether the person was pushed to list.
func (r remote) in(list string) bool { return r.Member != "" && slices.Contains(r.Lists, list) }

// member is what is read of a member.
type member struct {
	ID     string `json:"id"`
	Email  string `json:"email_address"`
	Status string `json:"status"`
	Tags   []struct {
		Name string `json:"name"`
	} `json:"tags"`
}

// missing returns the tags that the member does not have. Mailchimp does not tell
// upper from lower case in them.
func (m *member) missing(tags []string) []string {
	return slices.DeleteFunc(slices.Clone(tags), func(tag string) bool {
		return slices.ContainsFunc(m.Tags, func(have struct {
			Name string `json:"name"`
		}) bool {
			return strings.EqualFold(have.Name, tag)
		})
	})
}

// archived is the status of a member whom the owner of the list took out.
const archived = "archived"

// added returns the status of a push to a member who is there, or nil for nobody.
func added(there *member) connector.Status {
	// An archived member counts as new, because Mailchimp adds them again.
	return connector.AddedOrUpdated(there != nil && there.Status != archived)
}

// leftBy are the statuses of members who get no mail any more, with words for each.
var leftBy = map[string]string{
	"unsubscribed": "has unsubscribed from",
	"cleaned":      "was removed by Mailchimp, as mail to them came back, from",
}

// outcome returns the result of a push that was taken. m is the member that the push
// made or found, or nil if there is none yet.
func (c *client) outcome(m *member, status connector.Status, tense connector.Tense) connector.Result {
	if m != nil {
		if why, left := leftBy[m.Status]; left {
			return connector.Unsubscribed("", tense.UpdateOnly(connector.Target{}, why+" "+c.target().Place, "subscribed again"))
		}
	}
	if m != nil && m.Status == archived && tense == connector.Did {
		// Only a status would bring them back, and members who are there are sent none.
		place := connector.Target{Place: c.target().Place + ", where they are archived"}
		return connector.Result{Status: connector.Updated, Details: tense.Sync(connector.Updated, place)}
	}
	return tense.Outcome(status, c.target(), "")
}

// lenient makes Mailchimp take people without what its form requires. A form's rule
// for visitors is no reason to lose somebody.
var lenient = url.Values{"skip_merge_validation": {"true"}}

// Push writes one person by a call of their own, and several people in slices.
func (c *client) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if len(people) == 1 {
		result, err := c.single(ctx, people[0])
		if err != nil {
			return nil, fmt.Errorf("push the person: %w", err)
		}
		return []connector.Result{result}, nil
	}
	return c.batch(ctx, people)
}

// single writes one person. It makes one call for a person whom we wrote before. The
// first push makes one more, to tell added from updated. Missing tags take one more.
func (c *client) single(ctx context.Context, p connector.Profile) (connector.Result, error) {
	kept := remoteOf(p.Remote)
	status, id := connector.Updated, kept.Member
	if !kept.in(c.settings.ListID) {
		id = memberID(p.Email)
		there, err := c.look(ctx, id)
		if err != nil {
			return connector.Result{}, fmt.Errorf("look the member up: %w", err)
		}
		status = added(there)
	}
	now, why, err := c.put(ctx, id, p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("write the member: %w", err)
	}
	if why != nil {
		return failed(p, why), nil
	}
	result := c.outcome(&now, status, connector.Did)
	result.Remote = kept.with(c.settings.ListID, memberID(p.Email)).String()
	if tags := now.missing(c.settings.Tags); len(tags) > 0 && result.Status != connector.Skipped {
		if err := c.tag(ctx, memberID(p.Email), tags); err != nil {
			return connector.Result{}, fmt.Errorf("tag the member: %w", err)
		}
	}
	return result, nil
}

// look reads a member. It returns nil if there is none.
func (c *client) look(ctx context.Context, id string) (*member, error) {
	m := &member{}
	answer, err := c.one(ctx, http.MethodGet, c.settings.ListID, "/members/"+id, url.Values{"fields": {"id,email_address,status,tags"}}, nil, m)
	if connector.NotFound(answer) {
		return nil, nil
	}
	if err == nil && m.Status == "" {
		err = connector.Unexpected(platform)
	}
	return m, err
}

// put writes a person to the member with an id. Somebody whose address has changed
// is there by the old one. why says that this person is refused, err that the call is.
func (c *client) put(ctx context.Context, id string, p connector.Profile) (m member, why *usersync.Error, err error) {
	body := struct {
		Email       string         `json:"email_address"`
		StatusIfNew string         `json:"status_if_new"` // never status, which would bring back who left
		MergeFields map[string]any `json:"merge_fields"`
	}{p.Email.Display(), c.settings.StatusIfNew, c.fields(p)}
	answer, err := c.one(ctx, http.MethodPut, c.settings.ListID, "/members/"+id, lenient, body, &m)
	if err == nil && m.Status == "" {
		return m, nil, connector.Unexpected(platform)
	}
	if err == nil {
		return m, nil, nil
	}
	if exists(answer) && id != memberID(p.Email) {
		return c.put(ctx, memberID(p.Email), p) // the new address is a member of its own
	}
	if connector.NotFound(answer) {
		err = c.listMissing()
	}
	if about := personal(answer, err); about != nil {
		return m, about, nil
	}
	return m, nil, err
}

// tag gives a member tags.
func (c *client) tag(ctx context.Context, id string, names []string) error {
	there, err := c.retag(ctx, id, names, "active")
	if err == nil && !there {
		err = usersync.Errorf(usersync.CodeUnavailable, "The member was deleted while it was written.")
	}
	return err
}

// retag makes tags of a member active or inactive. It reports false for nobody.
func (c *client) retag(ctx context.Context, id string, names []string, status string) (there bool, err error) {
	type tag struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	}
	body := struct {
		Tags []tag `json:"tags"`
	}{}
	for _, name := range names {
		body.Tags = append(body.Tags, tag{name, status})
	}
	answer, err := c.one(ctx, http.MethodPost, c.settings.ListID, "/members/"+id+"/tags", nil, body, nil)
	if connector.NotFound(answer) {
		return false, nil
	}
	if err == nil {
		err = connector.Expect(platform, answer, http.StatusNoContent)
	}
	return true, err
}

// Preview reads the member and says what a push would do. It also reads an audience
// that no check has seen, such as one that a bulk call names, because in an audience
// that does not exist nobody is a member.
func (c *client) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	var err error
	var there *member
	if c.facts.Labels["list:"+c.settings.ListID] == "" {
		_, err = c.list(ctx)
	}
	if err == nil {
		there, err = c.look(ctx, memberID(p.Email))
	}
	if usersync.CodeOf(err) == usersync.CodeRejected {
		return failed(p, err), nil
	}
	if err != nil {
		return connector.Result{}, fmt.Errorf("look the member up: %w", err)
	}
	result := c.outcome(there, added(there), connector.Would)
	result.Remote = p.Remote
	return result, nil
}

// Remove erases a person from every list they were pushed to. After that Mailchimp
// takes them into that list only if they sign up themselves, unless they are archived
// only.
func (c *client) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	kept := remoteOf(p.Remote)
	lists := kept.with(c.settings.ListID, "").Lists
	members := []string{memberID(p.Email)}
	if kept.Member != "" && kept.Member != members[0] {
		members = append(members, kept.Member) // as they were called at the last push
	}
	erased := false
	for _, list := range lists {
		for _, member := range members {
			done, err := c.removeFrom(ctx, list, member)
			if err != nil {
				return connector.Result{}, err
			}
			erased = erased || done
		}
	}
	if !erased {
		return connector.NotThere(c.target().Place), nil
	}
	if c.settings.Archive {
		return connector.Result{Status: connector.Removed, Details: "User archived in " + c.target().Place}, nil
	}
	return connector.RemovedFrom(c.target().Place), nil
}

// removeFrom deletes or archives a member of a list, and reports false for nobody.
// Mailchimp archives nobody who is archived, or whom mail came back from.
func (c *client) removeFrom(ctx context.Context, list, member string) (done bool, err error) {
	method, path := http.MethodPost, "/members/"+member+"/actions/delete-permanent"
	if c.settings.Archive {
		method, path = http.MethodDelete, "/members/"+member
	}
	answer, err := c.one(ctx, method, list, path, nil, nil, nil)
	switch {
	case connector.NotFound(answer):
		return false, nil
	case c.settings.Archive && answer != nil && answer.Status == http.StatusMethodNotAllowed:
		return true, nil
	case err != nil:
		return false, fmt.Errorf("remove the member: %w", err)
	}
	return true, connector.Expect(platform, answer, http.StatusNoContent)
}
