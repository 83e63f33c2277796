package activecampaign

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

const (
	// maxImport is the most bytes of contacts in one import. ActiveCampaign takes 399,999
	// bytes with the frame around them.
	maxImport = 390_000
)

// platform is what sentences call ActiveCampaign.
const platform = "ActiveCampaign"

// contact is a person in ActiveCampaign's shape.
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

// content is what ActiveCampaign is told of a person. Fields have the names of the
// settings; a push replaces the names by numbers.
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
		out[name] = connector.Text(value)
	}
	return out
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

// target is where people are put, and the tags they get.
func (a *activeCampaign) target() connector.Target {
	name := cmp.Or(a.label("list:"+a.settings.List), a.settings.List)
	return connector.Target{Place: connector.Named("list", name), Tags: a.settings.Tags}
}

// leftSentence tells of a person who has unsubscribed. ActiveCampaign learns who they
// are now, but they are not subscribed again.
func (a *activeCampaign) leftSentence(tense connector.Tense) string {
	return tense.UpdateOnly(a.target(), "has unsubscribed from "+a.target().Place, "subscribed again")
}

// Push sends a few people one by one, and more by an import.
func (a *activeCampaign) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if len(people) <= singly {
		return a.pushSingly(ctx, people)
	}
	return a.pushImport(ctx, people)
}

func (a *activeCampaign) pushSingly(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	fields, err := a.fields(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the custom fields: %w", err)
	}
	tags, err := a.tags(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the tags: %w", err)
	}
	return a.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		return a.pushOne(ctx, a.contact(p, fields), tags)
	})
}

// pushOne adds or updates a contact, subscribes it and tags it.
func (a *activeCampaign) pushOne(ctx context.Context, c contact, tags []id) (connector.Result, error) {
	var answer struct {
		Contact struct {
			ID id `json:"id"`
		} `json:"contact"`
	}
	response, err := a.call(ctx, http.MethodPost, "/contact/sync", map[string]any{"contact": c}, &answer)
	if err != nil {
		return connector.Result{}, noAccount(response, err)
	}
	contact := answer.Contact.ID
	if contact == "" {
		return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign's answer named no contact.")
	}
	done := connector.AddedOrUpdated(response.Status != http.StatusCreated)
	left, err := a.subscribe(ctx, contact, done == connector.Added)
	if err != nil {
		return connector.Result{}, fmt.Errorf("subscribe the contact: %w", err)
	}
	for i, tag := range tags {
		if err := a.tag(ctx, contact, a.settings.Tags[i], tag); err != nil {
			return connector.Result{}, fmt.Errorf("tag the contact: %w", err)
		}
	}
	if left {
		return connector.Unsubscribed(string(contact), a.leftSentence(connector.Did)), nil
	}
	return connector.Did.Outcome(done, a.target(), string(contact)), nil
}

// row is a person in an import.
type row struct {
	Email     string     `json:"email"`
	FirstName string     `json:"first_name,omitempty"`
	LastName  string     `json:"last_name,omitempty"`
	Phone     string     `json:"phone,omitempty"`
	Tags      []string   `json:"tags,omitempty"`
	Fields    []rowField `json:"fields,omitempty"`
	Subscribe []rowList  `json:"subscribe,omitempty"`
}

type rowField struct {
	ID    json.Number `json:"id"`
	Value string      `json:"value"`
}

type rowList struct {
	List json.Number `json:"listid"`
}

func (a *activeCampaign) row(c contact, subscribe bool) row {
	out := row{Email: c.Email, FirstName: c.FirstName, LastName: c.LastName, Phone: c.Phone, Tags: a.settings.Tags}
	for _, f := range c.Fields {
		out.Fields = append(out.Fields, rowField{json.Number(f.Field), f.Value})
	}
	if subscribe {
		out.Subscribe = []rowList{{json.Number(a.settings.List)}}
	}
	return out
}

// pushImport imports people with the list, and people who have left without it. It is
// not known whether an import subscribes people again who have left, so an import
// never names them together with the list.
func (a *activeCampaign) pushImport(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	fields, err := a.fields(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the custom fields: %w", err)
	}
	known := map[string]standing{}
	if a.settings.List != "" {
		if known, err = a.lookUpAll(ctx, people); err != nil {
			return nil, fmt.Errorf("look the people up: %w", err)
		}
	}
	results := make([]connector.Result, len(people))
	var entries []connector.Entry
	for i, p := range people {
		one := known[p.Email.Key()]
		text, err := json.Marshal(a.row(a.contact(p, fields), a.settings.List != "" && !one.on))
		if err != nil || len(text) > maxImport {
			results[i] = connector.RejectedFor("The contact is longer than the 400 KB that ActiveCampaign takes.")
			continue
		}
		entries = append(entries, connector.Entry{Place: i, Remote: string(one.contact), Left: one.left, Body: text})
	}
	return results, connector.Jobs{Platform: platform, MaxBytes: maxImport, Make: a.makeImport}.HandIn(ctx, entries, results)
}

// makeImport makes one import. If one contact is wrong, ActiveCampaign refuses all of
// them.
func (a *activeCampaign) makeImport(ctx context.Context, people []connector.Entry) (string, map[int]string, error) {
	body := map[string]any{"contacts": connector.Bodies(people)}
	if a.settings.Quiet {
		body["exclude_automations"] = true
	}
	var answer struct {
		Job string `json:"batchId"`
	}
	response, err := a.call(ctx, http.MethodPost, "/import/bulk_import", body, &answer)
	if err == nil && answer.Job == "" {
		err = usersync.Errorf(usersync.CodeUnavailable, "ActiveCampaign's answer named no import.")
	}
	if err != nil {
		return "", refusalOf(response).guilty(len(people)), fmt.Errorf("make an import: %w", err)
	}
	return answer.Job, nil, nil
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

// search reads contacts with the lists they are on. Its result is by address in lower
// case.
func (a *activeCampaign) search(ctx context.Context, query url.Values) (map[string]standing, error) {
	query.Set("include", "contactLists")
	query.Set("limit", strconv.Itoa(pageSize))
	var answer contacts
	if _, err := a.call(ctx, http.MethodGet, "/contacts?"+query.Encode(), nil, &answer); err != nil {
		return nil, fmt.Errorf("search contacts: %w", err)
	}
	out := map[string]standing{}
	for _, c := range answer.Contacts {
		out[strings.ToLower(c.Email)] = stands(c.ID, answer.Lists, a.settings.List)
	}
	return out, nil
}

// lookUpAll finds many people. One call finds all people whose number was kept, and
// each other person takes a call of their own.
func (a *activeCampaign) lookUpAll(ctx context.Context, people []connector.Profile) (map[string]standing, error) {
	var ids []string
	for _, p := range people {
		if connector.IsNumber(p.Remote) {
			ids = append(ids, p.Remote)
		}
	}
	out := map[string]standing{}
	for some := range slices.Chunk(ids, pageSize) {
		found, err := a.search(ctx, url.Values{"ids[]": some})
		if err != nil {
			return nil, fmt.Errorf("look up the known contacts: %w", err)
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

// Preview looks the person up.
func (a *activeCampaign) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	one, err := a.lookUp(ctx, p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("look the person up: %w", err)
	}
	if one.left {
		return connector.Unsubscribed(string(one.contact), a.leftSentence(connector.Would)), nil
	}
	status := connector.AddedOrUpdated(one.contact != "")
	return connector.Would.Outcome(status, a.target(), string(one.contact)), nil
}

// Remove deletes the contact with the address.
func (a *activeCampaign) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	one, err := a.lookUp(ctx, p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("look the person up: %w", err)
	}
	if one.contact != "" {
		response, err := a.call(ctx, http.MethodDelete, "/contacts/"+string(one.contact), nil, nil)
		if err != nil && !connector.NotFound(response) {
			return connector.Result{}, fmt.Errorf("delete the contact: %w", err)
		}
	}
	return connector.RemovedFrom("ActiveCampaign"), nil
}
