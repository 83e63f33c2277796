package brevo

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/connector/form"
	"usersync/internal/usersync"
)

var _ ability.Leaver = (*brevo)(nil)

// maxLeaving is how many contacts one call takes off a list.
const maxLeaving = 150

// Belonging is the list, and the tags.
func (b *brevo) Belonging() connector.Target { return b.target() }

// Leave takes contacts off the list, and tags out of the attribute that holds them. Brevo
// refuses the whole of a call about people of whom none is on the list.
func (b *brevo) Leave(ctx context.Context, people []connector.Profile, from ability.Departure) ([]connector.Result, error) {
	left, err := b.takeOff(ctx, people, from.List)
	if err != nil {
		return nil, err
	}
	if len(from.Tags) == 0 {
		return left, nil
	}
	untagged, err := b.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		return b.untag(ctx, p, from.Tags)
	})
	for i := range untagged {
		if untagged[i].Status == connector.Skipped && left[i].Status == connector.Removed {
			untagged[i] = left[i]
		}
	}
	return untagged, err
}

// takeOff takes contacts off the list, if that is asked. Who was not on it has left nothing.
func (b *brevo) takeOff(ctx context.Context, people []connector.Profile, list bool) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	for i, p := range people {
		results[i] = ability.NotOn(p.Remote)
	}
	if !list {
		return results, nil
	}
	for from := 0; from < len(people); from += maxLeaving {
		some := people[from:min(from+maxLeaving, len(people))]
		off, err := b.removeFromList(ctx, some)
		if err != nil {
			return nil, fmt.Errorf("take contacts off the list: %w", err)
		}
		for i, p := range some {
			if off[p.Email.Key()] {
				results[from+i] = ability.Left(p.Remote)
			}
		}
	}
	return results, nil
}

// removeFromList makes one call and returns who was taken off, by address in lower case.
func (b *brevo) removeFromList(ctx context.Context, people []connector.Profile) (map[string]bool, error) {
	addresses := make([]string, len(people))
	for i, p := range people {
		addresses[i] = p.Email.Display()
	}
	var answer struct {
		Contacts *struct {
			Success []string `json:"success"`
		} `json:"contacts"`
	}
	r, err := b.call(ctx, http.MethodPost, "/contacts/lists/"+b.settings.List+"/contacts/remove", map[string]any{"emails": addresses}, &answer)
	off := map[string]bool{}
	switch {
	case r != nil && r.Status == http.StatusBadRequest:
		return off, nil // nobody of them is on the list
	case err != nil:
		return nil, b.listFault(r, err)
	case answer.Contacts == nil:
		return nil, connector.Unexpected(platform)
	}
	for _, address := range answer.Contacts.Success {
		off[strings.ToLower(address)] = true
	}
	return off, nil
}

// untag writes the tags of a contact that are left.
func (b *brevo) untag(ctx context.Context, p connector.Profile, tags []string) (connector.Result, error) {
	attribute := b.settings.TagsAttribute
	if attribute == "" {
		return connector.Result{}, usersync.Errorf(usersync.CodeRejected, "The connection names no attribute that holds tags.")
	}
	var held struct {
		ID         int64          `json:"id"`
		Attributes map[string]any `json:"attributes"`
	}
	r, err := b.call(ctx, http.MethodGet, contactPath(p.Email.Display(), byEmail), nil, &held)
	if connector.NotFound(r) {
		return ability.NotOn(p.Remote), nil
	}
	if err != nil {
		return connector.Result{}, fmt.Errorf("look the contact up: %w", err)
	}
	if held.ID == 0 {
		return connector.Result{}, connector.Unexpected(platform)
	}
	isList := b.facts.Labels["attribute:"+attribute] == multipleChoice
	values := form.List(held.Attributes[attribute])
	if !isList {
		values = strings.Split(connector.Text(held.Attributes[attribute]), ",")
	}
	left := slices.DeleteFunc(slices.Clone(values), func(tag string) bool {
		return strings.TrimSpace(tag) == "" || slices.Contains(tags, strings.TrimSpace(tag))
	})
	var value any = append([]string{}, left...)
	if !isList {
		value = strings.Join(left, ",")
	}
	r, err = b.call(ctx, http.MethodPut, contactPath(known{ID: held.ID}.remote(), byID), map[string]any{"attributes": map[string]any{attribute: value}}, nil)
	if err == nil {
		err = connector.Expect(platform, r, http.StatusNoContent)
	}
	if err != nil {
		return connector.Result{}, fmt.Errorf("write the tags that are left: %w", err)
	}
	return ability.Left(p.Remote), nil
}
