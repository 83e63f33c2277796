package customerio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/form"
	"usersync/internal/usersync"
)

// What a call takes, in bytes, with room for what stands around the people:
// https://docs.customer.io/integrations/api/track/
const (
	maxBatch = 490_000 // of 500 kB
	maxItem  = 32_000
)

// item is one operation of a batch. It never mentions what a person wants to receive,
// so Customer.io leaves that as it is.
type item struct {
	Type        string            `json:"type"`
	Action      string            `json:"action"`
	Identifiers map[string]string `json:"identifiers"`
	Attributes  map[string]any    `json:"attributes"`
}

// values are the mapped attributes of a person, and what is left out of them. The empty
// text clears an attribute.
func (c *customerio) values(p connector.Profile) (map[string]any, []connector.LeftOut) {
	values := c.attributes.Values(p)
	left := connector.Phones(values, p, func(name string) bool { return name == "phone" })
	for name, v := range values {
		if v == nil {
			values[name] = ""
		}
		if date, ok := form.ParseDate(v); ok {
			values[name] = date.Unix() // it takes no other text for a date
		}
		if len(connector.Text(v)) > maxValue {
			left = append(left, connector.LeftOut{Field: name, Why: "is longer than the 1,000 bytes that Customer.io takes"})
			delete(values, name)
		}
	}
	slices.SortFunc(left, func(a, b connector.LeftOut) int { return strings.Compare(a.Field, b.Field) })
	return values, left
}

// LeavesOut returns what Customer.io would refuse: telephone numbers that are none, and
// values that are too long.
func (c *customerio) LeavesOut(p connector.Profile) []connector.LeftOut {
	_, left := c.values(p)
	return left
}

func (c *customerio) item(p connector.Profile) item {
	attributes, _ := c.values(p)
	if c.settings.IdentifyBy == byID {
		attributes[byEmail] = p.Email.Display()
	}
	if len(c.settings.Tags) > 0 {
		attributes[c.settings.TagsAttribute] = c.settings.Tags
	}
	return item{
		Type: "person", Action: "identify", Attributes: attributes,
		Identifiers: map[string]string{c.settings.IdentifyBy: c.identifier(p)},
	}
}

// target is where people are put, and the tags they get. Sentences call a segment
// a list, as they do on every platform.
func (c *customerio) target() connector.Target {
	return connector.Target{Place: connector.Named("list", c.facts.NameOf("list", c.settings.Segment)), Tags: c.settings.Tags}
}

// Content is the operation and the segment.
func (c *customerio) Content(p connector.Profile) any {
	return map[string]any{"item": c.item(p), "segment": c.settings.Segment}
}

// Push identifies people, as many in a call as fit into one, and adds them to the
// segment. With a key to read with, it asks before who has unsubscribed: they are not
// added. Without one nobody knows. Whether they get mail does not depend on the segment.
func (c *customerio) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	left, err := c.left(ctx, people)
	if err != nil {
		return nil, fmt.Errorf("ask who has unsubscribed: %w", err)
	}
	results := make([]connector.Result, len(people))
	for _, b := range c.batches(people, results) {
		if err := c.push(ctx, b, people, left, results); err != nil {
			return results, fmt.Errorf("push a batch of people: %w", err)
		}
	}
	return results, nil
}

// batch is one call. It has items, and the places of the people in the push.
type batch struct {
	items  []json.RawMessage
	places []int
	size   int
}

// batches divides people among calls. A person who is too big for any call has failed.
func (c *customerio) batches(people []connector.Profile, results []connector.Result) []*batch {
	var out []*batch
	for i, p := range people {
		if len(c.identifier(p)) > maxID {
			results[i] = connector.RejectedFor("The identifier is longer than the 150 bytes that Customer.io takes.")
			continue
		}
		text, err := json.Marshal(c.item(p))
		if err != nil || len(text) > maxItem {
			results[i] = connector.RejectedFor("The attributes are more than the 32 kB that Customer.io takes.")
			continue
		}
		if len(out) == 0 || out[len(out)-1].size+len(text)+1 > maxBatch {
			out = append(out, &batch{})
		}
		b := out[len(out)-1]
		b.items, b.places, b.size = append(b.items, text), append(b.places, i), b.size+len(text)+1
	}
	return out
}

// push makes one call, and one for the segment. It writes results only after both were
// successful.
func (c *customerio) push(ctx context.Context, b *batch, people []connector.Profile, left map[string]bool, results []connector.Result) error {
	r, err := c.track(ctx, http.MethodPost, "/api/v2/batch", map[string]any{"batch": b.items}, nil)
	if err != nil {
		return fmt.Errorf("identify the people: %w", err)
	}
	refused, err := refusedOf(r, len(b.places))
	if err != nil {
		return fmt.Errorf("read which people were refused: %w", err)
	}
	var ids []string
	for at, place := range b.places {
		if refused[at] == nil && !left[people[place].Email.Key()] {
			ids = append(ids, c.identifier(people[place]))
		}
	}
	if err := c.join(ctx, ids); err != nil {
		return fmt.Errorf("add the people to the segment: %w", err)
	}
	for at, place := range b.places {
		if refused[at] != nil {
			results[place] = connector.Rejected(refused[at])
			continue
		}
		if left[people[place].Email.Key()] {
			results[place] = c.unsubscribed(connector.Did)
			continue
		}
		results[place] = connector.Did.Outcome(connector.Synced, c.target(), "")
	}
	return nil
}

// unsubscribed is the result of a person who has left.
func (c *customerio) unsubscribed(tense connector.Tense) connector.Result {
	but := "subscribed again"
	if place := c.target().Place; place != "" {
		but = "added to " + place
	}
	return connector.Unsubscribed("", tense.UpdateOnly(c.target(), "has unsubscribed at Customer.io", but))
}

// searched is how many people one search is about.
const searched = 100

// left returns who of the people has unsubscribed, by address in lower case. A search
// that Customer.io refuses finds nobody.
func (c *customerio) left(ctx context.Context, people []connector.Profile) (map[string]bool, error) {
	out := map[string]bool{}
	if !c.hasApp() {
		return out, nil
	}
	for some := range slices.Chunk(people, searched) {
		var answer struct {
			People []struct {
				Email string `json:"email"`
			} `json:"identifiers"`
		}
		_, err := c.app(ctx, http.MethodPost, "/v1/customers?limit="+strconv.Itoa(searched), map[string]any{"filter": unsubscribedAmong(some)}, &answer)
		if usersync.CodeOf(err) == usersync.CodeRejected {
			continue
		}
		if err != nil {
			return nil, err
		}
		if answer.People == nil {
			return nil, connector.Unexpected(platform)
		}
		for _, one := range answer.People {
			out[strings.ToLower(one.Email)] = true
		}
	}
	return out, nil
}

// unsubscribedAmong is the filter that finds those of people who have unsubscribed.
func unsubscribedAmong(people []connector.Profile) map[string]any {
	is := func(field, value string) map[string]any {
		return map[string]any{"attribute": map[string]string{"field": field, "operator": "eq", "value": value}}
	}
	anyOf := make([]any, len(people))
	for i, p := range people {
		anyOf[i] = is("email", p.Email.Display())
	}
	return map[string]any{"and": []any{map[string]any{"or": anyOf}, is("unsubscribed", "true")}}
}

// Preview looks whether the person exists. Without a key to read with, nobody knows.
func (c *customerio) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	left, err := c.left(ctx, []connector.Profile{p})
	if err != nil {
		return connector.Result{}, fmt.Errorf("ask whether the person has unsubscribed: %w", err)
	}
	if left[p.Email.Key()] {
		return c.unsubscribed(connector.Would), nil
	}
	status := connector.Synced
	if c.hasApp() {
		known, err := c.known(ctx, p)
		if err != nil {
			return connector.Result{}, fmt.Errorf("look the person up: %w", err)
		}
		status = connector.AddedOrUpdated(known)
	}
	return connector.Would.Outcome(status, c.target(), ""), nil
}

func (c *customerio) known(ctx context.Context, p connector.Profile) (bool, error) {
	if c.settings.IdentifyBy == byID {
		var answer struct {
			Customer *struct{} `json:"customer"`
		}
		r, err := c.app(ctx, http.MethodGet, "/v1/customers/"+connector.PathSegment(p.UserID)+"/attributes?id_type=id", nil, &answer)
		if connector.NotFound(r) {
			return false, nil
		}
		if err == nil && answer.Customer == nil {
			err = connector.Unexpected(platform)
		}
		return err == nil, err
	}
	var answer struct {
		Results []struct {
			ID string `json:"cio_id"`
		} `json:"results"`
	}
	_, err := c.app(ctx, http.MethodGet, "/v1/customers?email="+url.QueryEscape(p.Email.Display()), nil, &answer)
	if err == nil && answer.Results == nil {
		err = connector.Unexpected(platform)
	}
	return len(answer.Results) > 0, err
}

// Remove deletes the person. Unless the settings say otherwise, Customer.io also
// ignores them from then on. Both calls answer 200 if nobody is there.
func (c *customerio) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	method, path := http.MethodPost, "/api/v1/customers/"+connector.PathSegment(c.identifier(p))+"/suppress"
	if c.settings.Removal == remove {
		method, path = http.MethodDelete, "/api/v1/customers/"+connector.PathSegment(c.identifier(p))
	}
	r, err := c.track(ctx, method, path, nil, nil)
	if err == nil && !connector.IsEmpty(r) {
		err = connector.Unexpected(platform)
	}
	if err != nil && !connector.NotFound(r) {
		return connector.Result{}, fmt.Errorf("remove the person: %w", err)
	}
	return connector.RemovedFrom("Customer.io"), nil
}
