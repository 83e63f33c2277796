package hubspot

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

var _ ability.Leaver = (*hubspot)(nil)

// Belonging is the static list, and the tags.
func (h *hubspot) Belonging() connector.Target { return h.target() }

// Leave takes contacts off the list, and tags out of the property that holds them.
func (h *hubspot) Leave(ctx context.Context, people []connector.Profile, from ability.Departure) ([]connector.Result, error) {
	results := make([]connector.Result, 0, len(people))
	for some := range slices.Chunk(people, maxBatch) {
		there, err := h.known(ctx, some)
		if err == nil && len(there) > 0 && from.List {
			err = h.takeOff(ctx, there)
		}
		if err == nil && len(there) > 0 && len(from.Tags) > 0 {
			err = h.untag(ctx, there, from.Tags)
		}
		if err != nil {
			return results, err
		}
		for _, p := range some {
			if one, ok := there[p.Email.Key()]; ok {
				results = append(results, ability.Left(string(one.ID)))
			} else {
				results = append(results, ability.NotOn(p.Remote))
			}
		}
	}
	return results, nil
}

// known reads the contacts that people are, by address in lower case, with their tags.
func (h *hubspot) known(ctx context.Context, people []connector.Profile) (map[string]record, error) {
	inputs := make([]map[string]string, len(people))
	for i, p := range people {
		inputs[i] = map[string]string{"id": p.Email.Display()}
	}
	properties := []string{byEmail}
	if h.settings.TagsProperty != "" {
		properties = append(properties, h.settings.TagsProperty)
	}
	body := map[string]any{"inputs": inputs, "idProperty": byEmail, "properties": properties, "propertiesWithHistory": []string{}}
	var answer struct {
		Results []record `json:"results"`
	}
	if _, err := h.call(ctx, http.MethodPost, h.path("objects", "/contacts/batch/read"), body, &answer); err != nil {
		return nil, fmt.Errorf("read the contacts: %w", err)
	}
	if answer.Results == nil {
		return nil, connector.Unexpected("HubSpot")
	}
	out := map[string]record{}
	for _, r := range answer.Results {
		out[strings.ToLower(connector.Text(r.Properties[byEmail]))] = r
	}
	return out, nil
}

func (h *hubspot) takeOff(ctx context.Context, there map[string]record) error {
	ids := []string{}
	for _, r := range there {
		ids = append(ids, string(r.ID))
	}
	slices.Sort(ids)
	var answer joined
	r, err := h.call(ctx, http.MethodPut, h.path("lists", "/"+h.settings.List+"/memberships/remove"), ids, &answer)
	if err != nil {
		return h.listFault(r, err)
	}
	if answer.Missing == nil && answer.Removed == nil && answer.Added == nil {
		return connector.Unexpected("HubSpot")
	}
	return nil
}

// untag writes the tags that are left. Without a semicolon before them they replace what
// the property holds.
func (h *hubspot) untag(ctx context.Context, there map[string]record, tags []string) error {
	if h.settings.TagsProperty == "" {
		return usersync.Errorf(usersync.CodeRejected, "The connection names no property that holds tags.")
	}
	var inputs []input
	for address, r := range there {
		held := strings.Split(connector.Text(r.Properties[h.settings.TagsProperty]), ";")
		left := slices.DeleteFunc(slices.Clone(held), func(tag string) bool { return tag == "" || slices.Contains(tags, tag) })
		inputs = append(inputs, input{ID: address, IDProperty: byEmail, Trace: strconv.Itoa(len(inputs)),
			Properties: map[string]string{h.settings.TagsProperty: strings.Join(left, ";")}})
	}
	var answer upserted
	if _, err := h.call(ctx, http.MethodPost, h.path("objects", "/contacts/batch/upsert"), map[string]any{"inputs": inputs}, &answer); err != nil {
		return fmt.Errorf("write the tags that are left: %w", err)
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0].classify()
	}
	return nil
}
