package mailchimp

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.Leaver = (*client)(nil)

// Belonging is the audience, and the tags.
func (c *client) Belonging() connector.Target { return c.target() }

// Leave takes tags from members, and archives those who leave the audience: Mailchimp has
// no other way out of it that is not the person's own. Their data stay, and a push adds
// them again.
func (c *client) Leave(ctx context.Context, people []connector.Profile, from ability.Departure) ([]connector.Result, error) {
	return c.http.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		id, there := memberID(p.Email), true
		var err error
		if len(from.Tags) > 0 {
			if there, err = c.retag(ctx, id, from.Tags, "inactive"); err != nil {
				return connector.Result{}, fmt.Errorf("take the tags away: %w", err)
			}
		}
		if there && from.List {
			if there, err = c.archive(ctx, id); err != nil {
				return connector.Result{}, fmt.Errorf("archive the member: %w", err)
			}
		}
		if !there {
			return ability.NotOn(p.Remote), nil
		}
		return ability.Left(p.Remote), nil
	})
}

// archive takes a member out of the audience. It reports false for nobody, and for those
// whom Mailchimp does not archive, as they are out already: they are archived, or mail to
// them came back.
func (c *client) archive(ctx context.Context, id string) (there bool, err error) {
	answer, err := c.one(ctx, http.MethodDelete, c.settings.ListID, "/members/"+id, nil, nil, nil)
	switch {
	case connector.NotFound(answer), answer != nil && answer.Status == http.StatusMethodNotAllowed:
		return false, nil
	case err != nil:
		return false, err
	}
	return true, connector.Expect(platform, answer, http.StatusNoContent)
}
