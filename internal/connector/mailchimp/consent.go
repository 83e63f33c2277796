package mailchimp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

var (
	_ ability.Unsubscriber = (*client)(nil)
	_ ability.Subscriber   = (*client)(nil)
)

// wish is what Mailchimp is told of what a member wants.
type wish struct {
	Email       string       `json:"email_address"`
	StatusIfNew string       `json:"status_if_new"`
	Status      string       `json:"status,omitempty"`
	Permissions []permission `json:"marketing_permissions,omitempty"`
}

// permission is one of the permissions that an audience with GDPR fields asks for.
type permission struct {
	ID      string `json:"marketing_permission_id"`
	Enabled bool   `json:"enabled"`
}

// standing is how a member stands to the audience, and since when.
type standing struct {
	member
	Changed time.Time `json:"last_changed"`
}

// stands reads how a person stands. It returns nil for nobody.
func (c *client) stands(ctx context.Context, p connector.Profile) (*standing, error) {
	s := &standing{}
	fields := url.Values{"fields": {"id,email_address,status,last_changed"}}
	answer, err := c.one(ctx, http.MethodGet, c.settings.ListID, "/members/"+memberID(p.Email), fields, nil, s)
	if connector.NotFound(answer) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look the member up: %w", err)
	}
	return s, nil
}

// wants tells what a member wants.
func (c *client) wants(ctx context.Context, p connector.Profile, w wish) error {
	w.Email = p.Email.Display()
	_, err := c.one(ctx, http.MethodPut, c.settings.ListID, "/members/"+memberID(p.Email), lenient, w, nil)
	return err
}

// Unsubscribe unsubscribes members. Who is not in the audience stays out of it.
func (c *client) Unsubscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	return c.http.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		there, err := c.stands(ctx, p)
		if err != nil {
			return connector.Result{}, err
		}
		if there == nil || there.Status == archived {
			return connector.Unsubscribed(p.Remote, "User does not want e-mail and was not added to "+c.target().Place), nil
		}
		if _, left := leftBy[there.Status]; left {
			return connector.Result{Status: connector.Updated}, nil
		}
		if err := c.wants(ctx, p, wish{Status: "unsubscribed", StatusIfNew: "unsubscribed"}); err != nil {
			return connector.Result{}, fmt.Errorf("unsubscribe the member: %w", err)
		}
		return connector.Result{Status: connector.Updated}, nil
	})
}

// Subscribe tells that members agreed, with the marketing permissions of the settings.
// Who unsubscribed before they agreed is asked by Mailchimp to confirm, as it lets nobody
// else bring them back. Who did so later stays unsubscribed.
func (c *client) Subscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	return c.http.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		there, err := c.stands(ctx, p)
		if err != nil {
			return connector.Result{}, err
		}
		w := wish{StatusIfNew: c.settings.StatusIfNew, Permissions: c.permissions()}
		said := "they are known to have agreed"
		switch {
		case there == nil:
			return connector.Unsubscribed(p.Remote, "they are not in "+c.target().Place), nil
		case there.Status == "unsubscribed" && !there.Changed.IsZero() && there.Changed.Before(p.Consents[usersync.ChannelEmail].At.Time):
			w.Status, said = "pending", "Mailchimp asks them to confirm that they come back"
		case leftBy[there.Status] != "":
			return connector.Unsubscribed(p.Remote, "they left later than they had agreed and stay unsubscribed"), nil
		case there.Status == "transactional":
			w.Status = "subscribed"
			if c.settings.StatusIfNew == "pending" {
				w.Status, said = "pending", "Mailchimp asks them to confirm"
			}
		}
		if w.Status == "" && len(w.Permissions) == 0 {
			return connector.Result{Status: connector.Updated}, nil
		}
		if err := c.wants(ctx, p, w); err != nil {
			return connector.Result{}, fmt.Errorf("subscribe the member: %w", err)
		}
		return connector.Result{Status: connector.Updated, Details: said}, nil
	})
}

func (c *client) permissions() (out []permission) {
	for _, id := range c.settings.MarketingPermissions {
		out = append(out, permission{id, true})
	}
	return out
}
