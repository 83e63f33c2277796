package activecampaign

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// id is a number that ActiveCampaign writes now as text, now as a number.
type id string

// UnmarshalJSON takes digits, with or without quotes; anything else is none.
func (i *id) UnmarshalJSON(b []byte) error {
	if text := strings.Trim(string(b), `"`); number.MatchString(text) {
		*i = id(text)
	}
	return nil
}

// contact is a person as ActiveCampaign takes one.
type contact struct {
	Email     string       `json:"email"`
	FirstName string       `json:"firstName,omitempty"`
	LastName  string       `json:"lastName,omitempty"`
	Phone     string       `json:"phone,omitempty"`
	Fields    []fieldValue `json:"fieldValues,omitempty"`
}

// fieldValue is what a custom field holds.
type fieldValue struct {
	Field id     `json:"field"`
	Value string `json:"value"`
}

// content is what ActiveCampaign is told of a person: fields by the names of the
// settings, which are numbers only when it is told.
type content struct {
	Email  string            `json:"email"`
	Fields map[string]string `json:"fields"`
	List   string            `json:"list,omitempty"`
	Tags   []string          `json:"tags,omitempty"`
}

// Content is what would be sent.
func (a *activeCampaign) Content(p connector.Profile) any {
	return content{p.Email.Display(), a.values(p), a.settings.List, a.settings.Tags}
}

func (a *activeCampaign) values(p connector.Profile) map[string]string {
	out := map[string]string{}
	for name, value := range a.mapping.Values(p) {
		out[name] = text(value)
	}
	return out
}

func text(value any) string {
	if n, ok := value.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// standard are the fields that every account has.
var standard = []string{"firstName", "lastName", "phone"}

// contact makes the body of a person, with the numbers of their custom fields.
func (a *activeCampaign) contact(p connector.Profile, fields map[string]id) contact {
	values := a.values(p)
	out := contact{Email: p.Email.Display(), FirstName: values["firstName"], LastName: values["lastName"], Phone: values["phone"]}
	for name, value := range values {
		if field, ok := fields[name]; ok {
			out.Fields = append(out.Fields, fieldValue{field, value})
		}
	}
	slices.SortFunc(out.Fields, func(x, y fieldValue) int { return strings.Compare(string(x.Field), string(y.Field)) })
	return out
}

// fields returns the numbers of the custom fields that are mapped, by the names
// of the settings: those the check learnt, or looked up.
func (a *activeCampaign) fields(ctx context.Context) (map[string]id, error) {
	known := map[string]id{}
	complete := true
	for _, name := range a.custom() {
		known[name] = id(a.label("field:" + name))
		complete = complete && known[name] != ""
	}
	if complete {
		return known, nil
	}
	return a.findFields(ctx)
}

// custom are the names of the custom fields that are mapped.
func (a *activeCampaign) custom() []string {
	var out []string
	for name := range a.mapping {
		if !slices.Contains(standard, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// pageSize is how many fields or tags one read asks for, and pages how often it
// is asked: no account has so many.
const (
	pageSize = 100
	pages    = 50
)

type field struct {
	ID    id     `json:"id"`
	Title string `json:"title"`
	Tag   string `json:"perstag"`
}

// findFields looks the mapped custom fields up. One that is not there disconnects:
// nothing could be pushed as the settings say.
func (a *activeCampaign) findFields(ctx context.Context) (map[string]id, error) {
	names := a.custom()
	out := map[string]id{}
	if len(names) == 0 {
		return out, nil
	}
	all, err := a.allFields(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(f field) bool {
			return string(f.ID) == name || strings.EqualFold(f.Tag, strings.Trim(name, "%")) || strings.EqualFold(f.Title, name)
		})
		if i < 0 {
			return nil, usersync.Errorf(usersync.CodeDisconnected, "ActiveCampaign has no field '%s'.", name)
		}
		out[name] = all[i].ID
		a.learn("field:"+name, string(all[i].ID))
	}
	return out, nil
}

func (a *activeCampaign) allFields(ctx context.Context) ([]field, error) {
	var all []field
	for page := range pages {
		var answer struct {
			Fields []field `json:"fields"`
		}
		query := url.Values{"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(page * pageSize)}}
		if _, err := a.call(ctx, http.MethodGet, "/fields?"+query.Encode(), nil, &answer); err != nil {
			return nil, err
		}
		all = append(all, answer.Fields...)
		if len(answer.Fields) < pageSize {
			break
		}
	}
	return all, nil
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
				return nil, err
			}
			a.learn("tag:"+name, string(tag))
		}
		out = append(out, tag)
	}
	return out, nil
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
		return "", err
	}
	if answer.Tag.ID == "" {
		return "", usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign did not name the tag it made.")
	}
	return answer.Tag.ID, nil
}

// findTag returns the number of the tag with a name, "" when there is none. The
// search finds parts of names too.
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
			return "", err
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

// standing is what ActiveCampaign knows of a person: the contact, and how they
// stand to the list.
type standing struct {
	contact id
	// on says that the list knows them in whatever way, left that they have
	// unsubscribed from it.
	on, left bool
}

// The statuses of a contact on a list; 0 is unconfirmed and 3 bounced. 91 is
// somebody who was taken off without unsubscribing.
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

// status is a status, which comes as text or as a number.
type status string

// UnmarshalJSON takes both.
func (s *status) UnmarshalJSON(b []byte) error {
	*s = status(strings.Trim(string(b), `"`))
	return nil
}

// stands returns how a contact stands to list, by its entries on lists.
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

// contacts is an answer with contacts and the lists they are on.
type contacts struct {
	Contacts []struct {
		ID    id     `json:"id"`
		Email string `json:"email"`
	} `json:"contacts"`
	Lists []contactList `json:"contactLists"`
}

// lookUp finds one person by their address.
func (a *activeCampaign) lookUp(ctx context.Context, p connector.Profile) (standing, error) {
	found, err := a.search(ctx, url.Values{"email": {p.Email.Display()}})
	return found[p.Email.Key()], err
}

// search reads contacts with the lists they are on, by their address in lower
// case.
func (a *activeCampaign) search(ctx context.Context, query url.Values) (map[string]standing, error) {
	query.Set("include", "contactLists")
	query.Set("limit", strconv.Itoa(pageSize))
	var answer contacts
	if _, err := a.call(ctx, http.MethodGet, "/contacts?"+query.Encode(), nil, &answer); err != nil {
		return nil, err
	}
	out := map[string]standing{}
	for _, c := range answer.Contacts {
		out[strings.ToLower(c.Email)] = stands(c.ID, answer.Lists, a.settings.List)
	}
	return out, nil
}

// lookUpAll finds many people: those whose number was kept by one call for all,
// the others by one call each.
func (a *activeCampaign) lookUpAll(ctx context.Context, people []connector.Profile) (map[string]standing, error) {
	var ids []string
	for _, p := range people {
		if number.MatchString(p.Remote) {
			ids = append(ids, p.Remote)
		}
	}
	out := map[string]standing{}
	for some := range slices.Chunk(ids, pageSize) {
		found, err := a.search(ctx, url.Values{"ids[]": some})
		if err != nil {
			return nil, err
		}
		for address, one := range found {
			out[address] = one
		}
	}
	var rest []connector.Profile
	for _, p := range people {
		if _, ok := out[p.Email.Key()]; !ok {
			rest = append(rest, p)
		}
	}
	found := make(chan map[string]standing, len(rest))
	_, err := a.client.Each(ctx, rest, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		one, err := a.search(ctx, url.Values{"email": {p.Email.Display()}})
		if usersync.CodeOf(err) != usersync.CodeRejected { // an address that is refused is on no list
			found <- one
			return connector.Result{}, err
		}
		return connector.Result{}, nil
	})
	close(found)
	for one := range found {
		for address, s := range one {
			out[address] = s
		}
	}
	return out, err
}
