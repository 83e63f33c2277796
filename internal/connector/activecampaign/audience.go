package activecampaign

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// listName returns the name of the list. A list that is gone is the connection's fault if
// a check has seen it, and else that of the call that names it.
func (a *activeCampaign) listName(ctx context.Context) (string, error) {
	var answer struct {
		List struct {
			ID   id     `json:"id"`
			Name string `json:"name"`
		} `json:"list"`
	}
	response, err := a.call(ctx, http.MethodGet, "/lists/"+a.settings.List, nil, &answer)
	if err == nil && answer.List.ID == "" && answer.List.Name == "" {
		return "", connector.Unexpected(platform)
	}
	if err == nil {
		return cmp.Or(answer.List.Name, a.settings.List), nil
	}
	if connector.NotFound(response) {
		return "", a.facts.Gone("list", a.settings.List, "ActiveCampaign has no list '"+a.facts.NameOf("list", a.settings.List)+"'.")
	}
	return "", err
}

// These are statuses of a contact on a list. 0 is unconfirmed and 3 is bounced. 91 is
// somebody who was taken off the list without unsubscribing.
const (
	subscribed   = "1"
	unsubscribed = "2"
	takenOff     = "91"
)

// contactList is a contact on a list.
type contactList struct {
	List    id     `json:"list"`
	Contact id     `json:"contact"`
	Status  status `json:"status"`
}

// status is a status. It comes as a text or as a number.
type status string

// UnmarshalJSON takes both.
func (s *status) UnmarshalJSON(b []byte) error {
	*s = status(strings.Trim(string(b), `"`))
	return nil
}

// standing is what ActiveCampaign knows of a person: the contact, and their relation
// to the list.
type standing struct {
	contact id
	// on says that the list knows the person in some way. left says that they have
	// unsubscribed from it.
	on, left bool
}

// stands returns the relation of a contact to list, from its entries on lists.
func stands(contact id, entries []contactList, list string) standing {
	out := standing{contact: contact}
	for _, e := range entries {
		if e.Contact != contact || list == "" || string(e.List) != list || e.Status == takenOff {
			continue
		}
		out.on = true
		out.left = out.left || e.Status == unsubscribed
	}
	return out
}

// subscribe puts a contact on the list unless the list knows it in some way
// already. It reports whether the person has left. It looks at every contact, whatever
// the answer to its push was: a 201 was seen for contacts that were there.
func (a *activeCampaign) subscribe(ctx context.Context, contact id) (left bool, err error) {
	if a.settings.List == "" {
		return false, nil
	}
	var answer struct {
		Lists []contactList `json:"contactLists"`
	}
	if _, err := a.call(ctx, http.MethodGet, "/contacts/"+string(contact)+"/contactLists", nil, &answer); err != nil {
		return false, fmt.Errorf("read the lists of the contact: %w", err)
	}
	if answer.Lists == nil {
		return false, connector.Unexpected(platform)
	}
	if s := stands(contact, answer.Lists, a.settings.List); s.on {
		return s.left, nil
	}
	body := map[string]any{"contactList": contactList{id(a.settings.List), contact, subscribed}}
	var done struct {
		Entry *contactList `json:"contactList"`
	}
	_, err = a.call(ctx, http.MethodPost, "/contactLists", body, &done)
	if err == nil && done.Entry == nil {
		err = connector.Unexpected(platform)
	}
	if usersync.CodeOf(err) != usersync.CodeRejected {
		return false, err
	}
	// Nothing about the person can be wrong here. It may be the list.
	if _, gone := a.listName(ctx); gone != nil {
		return false, gone
	}
	return false, err
}

// tags returns the numbers of the tags, and makes those that do not exist.
func (a *activeCampaign) tags(ctx context.Context) ([]id, error) {
	a.making.Lock() // or two pushes at once make a tag twice
	defer a.making.Unlock()
	var out []id
	for _, name := range a.settings.Tags {
		tag := id(a.label("tag:" + name))
		if tag == "" {
			var err error
			if tag, err = a.findOrMakeTag(ctx, name); err != nil {
				return nil, fmt.Errorf("find the tag '%s': %w", name, err)
			}
			a.learn("tag:"+name, string(tag))
		}
		out = append(out, tag)
	}
	return out, nil
}

// tag gives a contact a tag. If that is refused, the tag may have been deleted and
// made again, so it is looked up again.
func (a *activeCampaign) tag(ctx context.Context, contact id, name string, tag id) error {
	err := a.putTag(ctx, contact, tag)
	if usersync.CodeOf(err) != usersync.CodeRejected {
		return err
	}
	a.making.Lock()
	defer a.making.Unlock()
	fresh, failed := a.findOrMakeTag(ctx, name)
	if failed != nil || fresh == tag {
		return cmp.Or(failed, err)
	}
	a.learn("tag:"+name, string(fresh))
	return a.putTag(ctx, contact, fresh)
}

func (a *activeCampaign) putTag(ctx context.Context, contact, tag id) error {
	body := map[string]any{"contactTag": map[string]id{"contact": contact, "tag": tag}}
	var done struct {
		Entry *struct{} `json:"contactTag"`
	}
	_, err := a.call(ctx, http.MethodPost, "/contactTags", body, &done)
	if err == nil && done.Entry == nil {
		err = connector.Unexpected(platform)
	}
	return err
}

func (a *activeCampaign) findOrMakeTag(ctx context.Context, name string) (id, error) {
	tag, err := a.findTag(ctx, name)
	if err != nil || tag != "" {
		return tag, err
	}
	var answer struct {
		Tag struct {
			ID id `json:"id"`
		} `json:"tag"`
	}
	body := map[string]any{"tag": map[string]string{"tag": name, "tagType": "contact", "description": ""}}
	if _, err := a.call(ctx, http.MethodPost, "/tags", body, &answer); err != nil {
		return "", fmt.Errorf("make a tag: %w", err)
	}
	if answer.Tag.ID == "" {
		return "", usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign did not name the tag it made.")
	}
	return answer.Tag.ID, nil
}

// findTag returns the number of the tag with a name, or "" if there is none.
// ActiveCampaign's search finds parts of names too.
func (a *activeCampaign) findTag(ctx context.Context, name string) (id, error) {
	for page := range pages {
		var answer struct {
			Tags []struct {
				ID   id     `json:"id"`
				Name string `json:"tag"`
			} `json:"tags"`
		}
		query := url.Values{"search": {name}, "limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(page * pageSize)}}
		if _, err := a.call(ctx, http.MethodGet, "/tags?"+query.Encode(), nil, &answer); err != nil {
			return "", fmt.Errorf("look for a tag: %w", err)
		}
		if answer.Tags == nil {
			return "", connector.Unexpected(platform)
		}
		for _, t := range answer.Tags {
			if strings.EqualFold(t.Name, name) {
				return t.ID, nil
			}
		}
		if len(answer.Tags) < pageSize {
			break
		}
	}
	return "", nil
}
