package klaviyo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/connector/form"
)

var _ ability.Leaver = (*klaviyo)(nil)

// maxLeaving is how many profiles one call takes off a list.
const maxLeaving = 1000

// Belonging is the list, and the tags.
func (k *klaviyo) Belonging() connector.Target { return k.target() }

// tagged is a profile with the custom properties that tags are in.
type tagged struct {
	ID         string `json:"id"`
	Attributes struct {
		Email      string         `json:"email"`
		Properties map[string]any `json:"properties"`
	} `json:"attributes"`
}

// Leave takes profiles off the list, and tags out of the custom property that holds them.
// Being off a list changes nothing of what a person agreed to.
func (k *klaviyo) Leave(ctx context.Context, people []connector.Profile, from ability.Departure) ([]connector.Result, error) {
	there, err := k.tagged(ctx, people)
	if err != nil {
		return nil, err
	}
	if from.List {
		if err := k.takeOff(ctx, there); err != nil {
			return nil, fmt.Errorf("take profiles off the list: %w", err)
		}
	}
	return k.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		one, ok := there[p.Email.Key()]
		if !ok {
			return ability.NotOn(p.Remote), nil
		}
		return ability.Left(one.ID), k.untag(ctx, one, from.Tags)
	})
}

// tagged reads profiles, by their address in lower case.
func (k *klaviyo) tagged(ctx context.Context, people []connector.Profile) (map[string]tagged, error) {
	out := map[string]tagged{}
	for some := range slices.Chunk(people, page) {
		addresses := make([]string, len(some))
		for i, p := range some {
			addresses[i] = quoted(p.Email.Display())
		}
		query := url.Values{"filter": {"any(email,[" + strings.Join(addresses, ",") + "])"}, "fields[profile]": {"email,properties"}, "page[size]": {"100"}}
		var answer struct {
			Data []tagged `json:"data"`
		}
		if _, err := k.call(ctx, http.MethodGet, "/api/profiles?"+query.Encode(), nil, &answer); err != nil {
			return nil, fmt.Errorf("read the profiles: %w", err)
		}
		if answer.Data == nil {
			return nil, connector.Unexpected(platform)
		}
		for _, one := range answer.Data {
			out[strings.ToLower(one.Attributes.Email)] = one
		}
	}
	return out, nil
}

func (k *klaviyo) takeOff(ctx context.Context, there map[string]tagged) error {
	var members []resource
	for _, one := range there {
		members = append(members, resource{"profile", one.ID})
	}
	slices.SortFunc(members, func(a, b resource) int { return strings.Compare(a.ID, b.ID) })
	path := "/api/lists/" + url.PathEscape(k.settings.List) + "/relationships/profiles"
	for some := range slices.Chunk(members, maxLeaving) {
		response, err := k.call(ctx, http.MethodDelete, path, document{Data: some}, nil)
		if err == nil {
			err = connector.Expect(platform, response, http.StatusNoContent)
		}
		if err != nil {
			return k.noList(response, err)
		}
	}
	return nil
}

// untag writes the tags of a profile that are left.
func (k *klaviyo) untag(ctx context.Context, one tagged, tags []string) error {
	if len(tags) == 0 {
		return nil
	}
	held := form.List(one.Attributes.Properties[k.settings.TagsProperty])
	left := slices.DeleteFunc(slices.Clone(held), func(tag string) bool { return slices.Contains(tags, tag) })
	if len(left) == len(held) {
		return nil
	}
	body := profile{Type: "profile", ID: one.ID, Attributes: map[string]any{
		"email": one.Attributes.Email, "properties": map[string]any{k.settings.TagsProperty: left},
	}}
	if _, err := k.call(ctx, http.MethodPost, "/api/profile-import", document{Data: body}, nil); err != nil {
		return fmt.Errorf("write the tags that are left: %w", err)
	}
	return nil
}
