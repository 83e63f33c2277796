package customerio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/connector/form"
)

var _ ability.Leaver = (*customerio)(nil)

// maxLeaving is how many people one call takes out of a segment.
const maxLeaving = 1000

// Belonging is the segment, and the tags.
func (c *customerio) Belonging() connector.Target { return c.target() }

// Leave takes people out of the segment, and tags out of the attribute that holds them.
// Customer.io does not say who was there.
func (c *customerio) Leave(ctx context.Context, people []connector.Profile, from ability.Departure) ([]connector.Result, error) {
	if from.List {
		if err := c.takeOff(ctx, people); err != nil {
			return nil, fmt.Errorf("take people out of the segment: %w", err)
		}
	}
	results := connector.Everybody(people, ability.Left(""))
	if len(from.Tags) == 0 {
		return results, nil
	}
	return results, c.untag(ctx, people, from.Tags, results)
}

func (c *customerio) takeOff(ctx context.Context, people []connector.Profile) error {
	for some := range slices.Chunk(people, maxLeaving) {
		ids := make([]string, len(some))
		for i, p := range some {
			ids[i] = c.identifier(p)
		}
		path := "/api/v1/segments/" + c.settings.Segment + "/remove_customers?id_type=" + c.settings.IdentifyBy
		r, err := c.track(ctx, http.MethodPost, path, map[string]any{"ids": ids}, nil)
		if r != nil && (r.Status == http.StatusNotFound || r.Status == http.StatusBadRequest) {
			return c.segmentFault()
		}
		if err == nil && !connector.IsEmpty(r) {
			err = connector.Unexpected(platform)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// untag writes the tags that are left. With a key to read with, those are the ones that
// a person has; else the ones that the connection gives.
func (c *customerio) untag(ctx context.Context, people []connector.Profile, tags []string, results []connector.Result) error {
	held, err := c.tagsOf(ctx, people)
	if err != nil {
		clear(results)
		return fmt.Errorf("read the tags: %w", err)
	}
	b := &batch{}
	for i, p := range people {
		switch {
		case held[p.Email.Key()] == nil:
			results[i] = ability.NotOn(p.Remote)
		default:
			left := slices.DeleteFunc(slices.Clone(held[p.Email.Key()]), func(tag string) bool { return slices.Contains(tags, tag) })
			b.add(i, item{Type: "person", Action: "identify", Identifiers: map[string]string{c.settings.IdentifyBy: c.identifier(p)},
				Attributes: map[string]any{c.settings.TagsAttribute: left, onlyUpdate: true}})
		}
	}
	if len(b.items) == 0 {
		return nil
	}
	// 500 people of a few tags each fit into one call.
	r, err := c.track(ctx, http.MethodPost, "/api/v2/batch", map[string]any{"batch": b.items}, nil)
	if err != nil {
		clear(results)
		return fmt.Errorf("write the tags that are left: %w", err)
	}
	refused, err := refusedOf(r, len(b.places))
	if err != nil {
		clear(results)
		return fmt.Errorf("read who was refused: %w", err)
	}
	for at, why := range refused {
		if why != nil {
			results[b.places[at]] = connector.Rejected(why)
		}
	}
	return nil
}

// add adds one operation, about the person of a place.
func (b *batch) add(place int, one item) {
	text, _ := json.Marshal(one) // of texts
	b.items, b.places = append(b.items, text), append(b.places, place)
}

// onlyUpdate is the attribute that keeps Customer.io from making people.
const onlyUpdate = "_update"

// tagsOf are the tags of people, by their key: what they have, where the connection may
// read it, and else what it gives everybody. Who is nobody there is missing.
func (c *customerio) tagsOf(ctx context.Context, people []connector.Profile) (map[string][]string, error) {
	held := map[string][]string{}
	if !c.hasApp() {
		for _, p := range people {
			held[p.Email.Key()] = append([]string{}, c.settings.Tags...)
		}
		return held, nil
	}
	var mu sync.Mutex
	_, err := c.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		var answer struct {
			Customer *struct {
				Attributes map[string]any `json:"attributes"`
			} `json:"customer"`
		}
		path := "/v1/customers/" + connector.PathSegment(c.identifier(p)) + "/attributes?id_type=" + c.settings.IdentifyBy
		r, err := c.app(ctx, http.MethodGet, path, nil, &answer)
		switch {
		case connector.NotFound(r):
			return connector.Result{}, nil
		case err != nil:
			return connector.Result{}, err
		case answer.Customer == nil:
			return connector.Result{}, connector.Unexpected(platform)
		}
		mu.Lock()
		defer mu.Unlock()
		held[p.Email.Key()] = listOf(answer.Customer.Attributes[c.settings.TagsAttribute])
		return connector.Result{}, nil
	})
	return held, err
}

// listOf reads a list. The App API shows attributes as texts, and lists as JSON in them.
func listOf(value any) []string {
	text, isText := value.(string)
	var list []string
	if isText && json.Unmarshal([]byte(text), &list) == nil && list != nil {
		return list
	}
	return form.List(value)
}
