package customerio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"usersync/internal/connector"
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

func (c *customerio) item(p connector.Profile) item {
	attributes := c.attributes.Values(p)
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
// segment.
func (c *customerio) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	for _, b := range c.batches(people, results) {
		if err := c.push(ctx, b, people, results); err != nil {
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
func (c *customerio) push(ctx context.Context, b *batch, people []connector.Profile, results []connector.Result) error {
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
		if refused[at] == nil {
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
		results[place] = connector.Did.Outcome(connector.Synced, c.target(), "")
	}
	return nil
}

// Preview looks whether the person exists. Without a key to read with, nobody knows.
func (c *customerio) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
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
		r, err := c.app(ctx, http.MethodGet, "/v1/customers/"+connector.PathSegment(p.UserID)+"/attributes?id_type=id", nil, nil)
		if connector.NotFound(r) {
			return false, nil
		}
		return err == nil, err
	}
	var answer struct {
		Results []struct {
			ID string `json:"cio_id"`
		} `json:"results"`
	}
	_, err := c.app(ctx, http.MethodGet, "/v1/customers?email="+url.QueryEscape(p.Email.Display()), nil, &answer)
	return len(answer.Results) > 0, err
}

// Remove deletes the person. Unless the settings say otherwise, Customer.io also
// ignores them from then on. Both calls answer 200 if nobody is there.
func (c *customerio) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	method, path := http.MethodPost, "/api/v1/customers/"+connector.PathSegment(c.identifier(p))+"/suppress"
	if c.settings.Removal == remove {
		method, path = http.MethodDelete, "/api/v1/customers/"+connector.PathSegment(c.identifier(p))
	}
	if r, err := c.track(ctx, method, path, nil, nil); err != nil && !connector.NotFound(r) {
		return connector.Result{}, fmt.Errorf("remove the person: %w", err)
	}
	return connector.RemovedFrom("Customer.io"), nil
}
