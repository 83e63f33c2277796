package sendgrid

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

var _ ability.Leaver = (*client)(nil)

// maxLeaving is how many contacts one call looks up and takes off a list. A search takes
// no more addresses.
const maxLeaving = 100

// Belonging is the lists, and the tags.
func (c *client) Belonging() connector.Target {
	to := connector.Target{Tags: c.settings.Tags}
	if len(c.settings.ListIDs) > 0 {
		to.Place = c.place()
	}
	return to
}

// Leave takes contacts off the lists, and tags out of the field that holds them. SendGrid
// works on both later and is not asked how that went.
func (c *client) Leave(ctx context.Context, people []connector.Profile, from ability.Departure) ([]connector.Result, error) {
	results := make([]connector.Result, 0, len(people))
	for some := range slices.Chunk(people, maxLeaving) {
		there, err := c.searchAll(ctx, some)
		if err == nil && len(there) > 0 && from.List {
			err = c.takeOff(ctx, there)
		}
		if err == nil && len(there) > 0 && len(from.Tags) > 0 {
			err = c.untag(ctx, there, from.Tags)
		}
		if err != nil {
			return results, err
		}
		for _, p := range some {
			if _, ok := there[p.Email.Key()]; ok {
				results = append(results, ability.Left(p.Remote))
			} else {
				results = append(results, ability.NotOn(p.Remote))
			}
		}
	}
	return results, nil
}

// searchAll looks contacts up, by address in lower case. Who has an address that cannot
// be looked for is none.
func (c *client) searchAll(ctx context.Context, people []connector.Profile) (map[string]found, error) {
	var addresses []string
	for _, p := range people {
		if address := p.Email.Display(); utf8.RuneCountInString(address) <= maxSearched {
			addresses = append(addresses, address)
		}
	}
	if len(addresses) == 0 {
		return nil, nil
	}
	there, err := c.search(ctx, addresses)
	if err != nil {
		return nil, fmt.Errorf("search the contacts: %w", err)
	}
	return there, nil
}

func (c *client) takeOff(ctx context.Context, there map[string]found) error {
	var ids []string
	for _, one := range there {
		ids = append(ids, one.ID)
	}
	slices.Sort(ids)
	query := url.Values{"contact_ids": {strings.Join(ids, ",")}}.Encode()
	for _, list := range c.settings.ListIDs {
		answer, err := c.call(ctx, http.MethodDelete, "/v3/marketing/lists/"+url.PathEscape(list)+"/contacts?"+query, nil, nil)
		if err == nil {
			err = connector.Expect(platform, answer, http.StatusAccepted)
		}
		if err != nil {
			return fmt.Errorf("take contacts off a list: %w", err)
		}
	}
	return nil
}

// untag writes the tags that are left. SendGrid wants all identifiers that a contact has.
func (c *client) untag(ctx context.Context, there map[string]found, tags []string) error {
	field := c.facts.Labels["field:"+c.settings.TagsField]
	if field == "" {
		return usersync.Errorf(usersync.CodeRejected, "The account has no custom text field for tags.")
	}
	var entries []connector.Entry
	for address, one := range there {
		held, _ := one.Custom[c.settings.TagsField].(string)
		left := slices.DeleteFunc(strings.Split(held, ","), func(tag string) bool {
			tag = strings.TrimSpace(tag)
			return tag == "" || slices.ContainsFunc(tags, func(gone string) bool { return strings.EqualFold(gone, tag) })
		})
		for i := range left {
			left[i] = strings.TrimSpace(left[i])
		}
		body := map[string]any{"email": address, "custom_fields": map[string]string{field: strings.Join(left, ", ")}}
		for name, value := range map[string]string{"external_id": one.External, "anonymous_id": one.Anonymous, "phone_number_id": one.Phone} {
			if value != "" {
				body[name] = value
			}
		}
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("write a contact: %w", err)
		}
		entries = append(entries, connector.Entry{Body: text})
	}
	_, err := c.call(ctx, http.MethodPut, "/v3/marketing/contacts", map[string]any{"list_ids": []string{}, "contacts": connector.Bodies(entries)}, nil)
	if err != nil {
		return fmt.Errorf("write the tags that are left: %w", err)
	}
	return nil
}
