package mailchimp

import (
	"context"
	"net/http"
	"net/url"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// lenient has Mailchimp take people without what its form requires: a form's rule
// for visitors is no reason to lose somebody.
var lenient = url.Values{"skip_merge_validation": {"true"}}

// Push writes one person by themselves and several in slices.
func (c *client) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if len(people) == 1 {
		result, err := c.single(ctx, people[0])
		if err != nil {
			return nil, err
		}
		return []connector.Result{result}, nil
	}
	return c.batch(ctx, people)
}

// single writes one person: one call for whom we wrote before, one more at the
// first time, to tell added from updated, and one more when tags are missing.
func (c *client) single(ctx context.Context, p connector.Profile) (connector.Result, error) {
	kept := remoteOf(p.Remote)
	status, id := connector.Updated, kept.Member
	if !kept.in(c.settings.ListID) {
		id = memberID(p.Email)
		there, err := c.look(ctx, id)
		if err != nil {
			return connector.Result{}, err
		}
		status = added(there)
	}
	now, failed, err := c.put(ctx, id, p)
	if err != nil || failed != nil {
		return c.failed(p, failed), err
	}
	result := c.outcome(&now, status, did)
	result.Remote = kept.with(c.settings.ListID, memberID(p.Email)).String()
	if tags := now.missing(c.settings.Tags); len(tags) > 0 && result.Status != connector.Skipped {
		if err := c.tag(ctx, memberID(p.Email), tags); err != nil {
			return connector.Result{}, err
		}
	}
	return result, nil
}

func (c *client) failed(p connector.Profile, why *usersync.Error) connector.Result {
	if why == nil {
		return connector.Result{}
	}
	return connector.Result{Status: connector.Failed, Err: why, Remote: p.Remote,
		Details: "User was refused by the " + c.listName(c.settings.ListID) + " list: " + why.Message}
}

// look reads a member, nil when there is none.
func (c *client) look(ctx context.Context, id string) (*member, error) {
	answer, err := c.one(ctx, http.MethodGet, c.settings.ListID, "/members/"+id, url.Values{"fields": {"id,email_address,status,tags"}}, nil)
	if answer != nil && answer.Status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &member{}
	return m, connector.Decode(answer, m)
}

// put writes a person to the member with an id. Whose address has changed is
// there by the old one. failed says that this person is refused, err that the
// call is.
func (c *client) put(ctx context.Context, id string, p connector.Profile) (m member, failed *usersync.Error, err error) {
	body := struct {
		Email       string         `json:"email_address"`
		StatusIfNew string         `json:"status_if_new"` // never status, which would bring back who left
		MergeFields map[string]any `json:"merge_fields"`
	}{p.Email.Display(), c.settings.StatusIfNew, c.fields(p)}
	answer, err := c.one(ctx, http.MethodPut, c.settings.ListID, "/members/"+id, lenient, body)
	if err == nil {
		return m, nil, connector.Decode(answer, &m)
	}
	if exists(answer) && id != memberID(p.Email) {
		return c.put(ctx, memberID(p.Email), p) // the new address is a member of its own
	}
	if isMissing(answer) {
		err = c.listMissing()
	}
	if about := personal(answer, err); about != nil {
		return m, about, nil
	}
	return m, nil, err
}

// exists recognizes the refusal of an address that another member has.
func exists(answer *outbound.Response) bool {
	if answer == nil || answer.Status != http.StatusBadRequest {
		return false
	}
	p, _ := problemOf(answer)
	return p.Title == "Member Exists"
}

// personal returns err when it is about the person of a call, or what the call
// asks for, not about the account.
func personal(answer *outbound.Response, err error) *usersync.Error {
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

// tag gives a member tags.
func (c *client) tag(ctx context.Context, id string, names []string) error {
	type tag struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	}
	body := struct {
		Tags []tag `json:"tags"`
	}{}
	for _, name := range names {
		body.Tags = append(body.Tags, tag{name, "active"})
	}
	answer, err := c.one(ctx, http.MethodPost, c.settings.ListID, "/members/"+id+"/tags", nil, body)
	if answer != nil && answer.Status == http.StatusNotFound {
		return usersync.Errorf(usersync.CodeUnavailable, "The member was deleted while it was written.")
	}
	return err
}
