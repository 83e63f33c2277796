package copernica

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
)

var _ ability.Leaver = (*copernica)(nil)

// Belonging is the interests. A profile is in its database for as long as it exists, so
// there is no list that it could leave.
func (c *copernica) Belonging() connector.Target {
	to := c.target()
	to.Place = ""
	return to
}

// Leave takes interests from profiles, each by a call of their own.
func (c *copernica) Leave(ctx context.Context, people []connector.Profile, from ability.Departure) ([]connector.Result, error) {
	interests := map[string]int{}
	for _, name := range from.Tags {
		interests[name] = 0
	}
	return c.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		query, err := c.condition(p)
		if err != nil {
			return connector.Result{}, fmt.Errorf("select the profile: %w", err)
		}
		found, err := c.find(ctx, query)
		if err != nil {
			return connector.Result{}, fmt.Errorf("find the profiles: %w", err)
		}
		if len(found) == 0 {
			return ability.NotOn(p.Remote), nil
		}
		body := map[string]any{"fields": map[string]string{}, "interests": interests}
		response, err := c.call(ctx, http.MethodPut, "/database/"+c.settings.Database+"/profiles?"+query.Encode(), body, nil)
		if err == nil {
			err = connector.Expect(platform, response, http.StatusNoContent)
		}
		if err != nil {
			return connector.Result{}, fmt.Errorf("take interests from the profile: %w", err)
		}
		return ability.Left(p.Remote), nil
	})
}
