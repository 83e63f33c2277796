package customerio

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

// What a call takes, in bytes, with room for what stands around the people:
// https://docs.customer.io/integrations/api/track/
const (
	maxBatch = 490_000 // of 500 kB
	maxItem  = 32_000
)

// item is one operation of a batch. A person's wishes about mail are never
// mentioned: Customer.io then leaves them as they are.
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

// Content is the operation and the segment.
func (c *customerio) Content(p connector.Profile) any {
	return map[string]any{"item": c.item(p), "segment": c.settings.Segment}
}

// Push identifies people, as many in a call as fit, and adds them to the
// segment.
func (c *customerio) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	for _, b := range c.batches(people, results) {
		if err := c.push(ctx, b, people, results); err != nil {
			return results, err
		}
	}
	return results, nil
}

// batch is one call: items and whose they are, by place.
type batch struct {
	items  []json.RawMessage
	places []int
	size   int
}

// batches divides people among calls. Who is too big for any has failed.
func (c *customerio) batches(people []connector.Profile, results []connector.Result) []*batch {
	var out []*batch
	for i, p := range people {
		text, err := json.Marshal(c.item(p))
		if err != nil || len(text) > maxItem {
			results[i] = connector.Rejected(usersync.Errorf(usersync.CodeRejected, "The attributes are more than the 32 kB that Customer.io takes.").Because(err))
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

// refusals is the answer to a batch of which some items were wrong.
type refusals struct {
	Errors []refusal `json:"errors"`
}

type refusal struct {
	Index   *int   `json:"batch_index"`
	Reason  string `json:"reason"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// push makes one call, and one for the segment. It writes results only when all
// is done.
func (c *customerio) push(ctx context.Context, b *batch, people []connector.Profile, results []connector.Result) error {
	r, err := c.track(ctx, http.MethodPost, "/api/v2/batch", map[string]any{"batch": b.items})
	if err != nil {
		return err
	}
	refused, err := refusedOf(r, len(b.places))
	if err != nil {
		return err
	}
	var ids []string
	for at, place := range b.places {
		if refused[at] == nil {
			ids = append(ids, c.identifier(people[place]))
		}
	}
	if err := c.join(ctx, ids); err != nil {
		return err
	}
	for at, place := range b.places {
		if refused[at] != nil {
			results[place] = connector.Rejected(refused[at])
			continue
		}
		results[place] = connector.Result{Status: connector.Synced, Details: connector.Did(connector.Synced, c.segmentName(), c.settings.Tags)}
	}
	return nil
}

// refusedOf returns why which of n items were refused.
func refusedOf(r *outbound.Response, n int) (map[int]*usersync.Error, error) {
	if len(r.Body) == 0 && !r.Truncated {
		return nil, nil
	}
	var answer refusals
	if err := connector.Decode(r, &answer); err != nil {
		return nil, err
	}
	out := map[int]*usersync.Error{}
	for _, e := range answer.Errors {
		if e.Index == nil || *e.Index < 0 || *e.Index >= n {
			return nil, usersync.Errorf(usersync.CodeUnavailable, "Customer.io's answer does not say which person it refuses.")
		}
		out[*e.Index] = usersync.Errorf(usersync.CodeRejected, "%s", connector.Quote(e.said()))
	}
	if r.Status == http.StatusMultiStatus && len(out) == 0 {
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Customer.io's answer does not say what went wrong.")
	}
	return out, nil
}

// said is what an error says, with the field it is about.
func (e refusal) said() string {
	text := e.Message
	if text == "" {
		text = e.Reason
	}
	if text == "" {
		text = "Customer.io refuses this person."
	}
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	return text
}

// join adds people to the segment; who is in it stays.
func (c *customerio) join(ctx context.Context, ids []string) error {
	if c.settings.Segment == "" || len(ids) == 0 {
		return nil
	}
	path := "/api/v1/segments/" + c.settings.Segment + "/add_customers?id_type=" + c.settings.IdentifyBy
	r, err := c.track(ctx, http.MethodPost, path, map[string]any{"ids": ids})
	if r != nil && (r.Status == http.StatusNotFound || r.Status == http.StatusBadRequest) {
		return c.segmentFault()
	}
	return err
}

// segmentFault says whose fault it is when a segment takes nobody: the
// connection's, when a check has seen its segment, else that of the one push that
// named another.
func (c *customerio) segmentFault() error {
	code := usersync.CodeRejected
	if _, checked := c.labels["list:"+c.settings.Segment]; checked {
		code = usersync.CodeDisconnected
	}
	return usersync.Errorf(code, "Customer.io has no manual segment '%s' that people can be added to.", c.segmentName())
}

// Preview looks whether the person is there. Without a key to read with, nobody
// knows.
func (c *customerio) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	status := connector.Synced
	if c.hasApp() {
		known, err := c.known(ctx, p)
		if err != nil {
			return connector.Result{}, err
		}
		if status = connector.Added; known {
			status = connector.Updated
		}
	}
	return connector.Result{Status: status, Details: connector.Would(status, c.segmentName(), c.settings.Tags)}, nil
}

func (c *customerio) known(ctx context.Context, p connector.Profile) (bool, error) {
	if c.settings.IdentifyBy == byID {
		r, err := c.app(ctx, http.MethodGet, "/v1/customers/"+segment(p.UserID)+"/attributes?id_type=id", nil)
		if isMissing(r) {
			return false, nil
		}
		return err == nil, err
	}
	r, err := c.app(ctx, http.MethodGet, "/v1/customers?email="+url.QueryEscape(p.Email.Display()), nil)
	if err != nil {
		return false, err
	}
	var answer struct {
		Results []struct {
			ID string `json:"cio_id"`
		} `json:"results"`
	}
	err = connector.Decode(r, &answer)
	return len(answer.Results) > 0, err
}

// Remove deletes the person, and unless the settings say otherwise has
// Customer.io ignore them from then on. Both answer 200 for nobody, too.
func (c *customerio) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	method, path := http.MethodPost, "/api/v1/customers/"+segment(c.identifier(p))+"/suppress"
	if c.settings.Removal == remove {
		method, path = http.MethodDelete, "/api/v1/customers/"+segment(c.identifier(p))
	}
	if r, err := c.track(ctx, method, path, nil); err != nil && !isMissing(r) {
		return connector.Result{}, err
	}
	return connector.Result{Status: connector.Removed, Details: "User erased"}, nil
}
