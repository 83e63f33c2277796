package activecampaign

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.Leaver = (*activeCampaign)(nil)

// Belonging is the list, and the tags.
func (a *activeCampaign) Belonging() connector.Target { return a.target() }

// Leave takes tags from contacts, and unsubscribes those who leave the list: it is the only
// way off a list that ActiveCampaign's API describes. Only the person can come back then.
func (a *activeCampaign) Leave(ctx context.Context, people []connector.Profile, from ability.Departure) ([]connector.Result, error) {
	tags, err := a.numbersOf(ctx, from.Tags)
	if err != nil {
		return nil, err
	}
	return a.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		one, err := a.lookUp(ctx, p)
		if err != nil {
			return connector.Result{}, fmt.Errorf("find the contact: %w", err)
		}
		if one.contact == "" || from.List && len(tags) == 0 && (!one.on || one.left) {
			return ability.NotOn(p.Remote), nil
		}
		if err := a.untag(ctx, one.contact, tags); err != nil {
			return connector.Result{}, fmt.Errorf("take tags from the contact: %w", err)
		}
		if from.List && one.on && !one.left {
			body := map[string]any{"contactList": contactList{id(a.settings.List), one.contact, unsubscribed}}
			if _, err := a.call(ctx, http.MethodPost, "/contactLists", body, nil); err != nil {
				return connector.Result{}, fmt.Errorf("unsubscribe the contact: %w", err)
			}
		}
		return ability.Left(string(one.contact)), nil
	})
}

// numbersOf are the numbers of tags. Those that do not exist are missing: nobody has them.
func (a *activeCampaign) numbersOf(ctx context.Context, names []string) (map[id]bool, error) {
	out := map[id]bool{}
	for _, name := range names {
		tag := id(a.label("tag:" + name))
		if tag == "" {
			var err error
			if tag, err = a.findTag(ctx, name); err != nil {
				return nil, fmt.Errorf("find the tag '%s': %w", name, err)
			}
		}
		if tag != "" {
			out[tag] = true
		}
	}
	return out, nil
}

// untag takes tags from a contact, each by the number that it has there.
func (a *activeCampaign) untag(ctx context.Context, contact id, tags map[id]bool) error {
	if len(tags) == 0 {
		return nil
	}
	var answer struct {
		Tags []struct {
			ID  id `json:"id"`
			Tag id `json:"tag"`
		} `json:"contactTags"`
	}
	if _, err := a.call(ctx, http.MethodGet, "/contacts/"+string(contact)+"/contactTags", nil, &answer); err != nil {
		return err
	}
	if answer.Tags == nil {
		return connector.Unexpected(platform)
	}
	for _, has := range answer.Tags {
		if !tags[has.Tag] {
			continue
		}
		response, err := a.call(ctx, http.MethodDelete, "/contactTags/"+string(has.ID), nil, nil)
		if err != nil && !connector.NotFound(response) {
			return err
		}
	}
	return nil
}
