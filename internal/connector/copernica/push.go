package copernica

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// body is a profile as Copernica takes one.
type body struct {
	Fields    map[string]string `json:"fields"`
	Interests map[string]int    `json:"interests,omitempty"`
}

// content is what Copernica is told of a person, and in which database.
type content struct {
	Database string `json:"database"`
	body
}

// Content is what would be sent.
func (c *copernica) Content(p connector.Profile) any { return content{c.settings.Database, c.body(p)} }

func (c *copernica) body(p connector.Profile) body {
	out := body{Fields: map[string]string{}}
	for name, value := range c.mapping.Values(p) {
		out.Fields[name] = text(value)
	}
	for _, name := range c.settings.Interests {
		if out.Interests == nil {
			out.Interests = map[string]int{}
		}
		out.Interests[name] = 1
	}
	return out
}

// Push adds or updates people, each by a call of their own. Copernica looks a
// profile up and makes it in two steps that others can come between, so nobody
// else may push the same person at the same time: the pipeline sees to that for a
// connection.
func (c *copernica) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	return c.client.Each(ctx, people, c.pushOne)
}

func (c *copernica) pushOne(ctx context.Context, p connector.Profile) (connector.Result, error) {
	query, err := c.condition(p)
	if err != nil {
		return connector.Result{}, err
	}
	if skipped, err := c.leftBefore(ctx, p, query); err != nil || skipped != nil {
		return deref(skipped), err
	}
	query.Set("create", "1")
	response, err := c.call(ctx, http.MethodPut, "/database/"+c.settings.Database+"/profiles?"+query.Encode(), c.body(p), nil)
	if err != nil {
		return connector.Result{}, err
	}
	switch response.Status {
	case http.StatusCreated:
		result := connector.Result{Status: connector.Added, Details: c.did("added to")}
		if created := response.Header.Get("X-Created"); number.MatchString(created) {
			result.Remote = created
		}
		return result, nil
	case http.StatusNoContent:
		return connector.Result{Status: connector.Updated, Details: c.did("updated in"), Remote: p.Remote}, nil
	}
	return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "Copernica answered %d, which says nothing of the profile.", response.Status)
}

func deref(r *connector.Result) connector.Result {
	if r == nil {
		return connector.Result{}
	}
	return *r
}

// leftBefore returns the result of a person who has unsubscribed, nil for all
// others. It reads only where the database does something with those who leave.
func (c *copernica) leftBefore(ctx context.Context, p connector.Profile, query url.Values) (*connector.Result, error) {
	behavior := c.labels[behaviorLabel]
	if behavior != behaviorUpdate && (behavior != behaviorRemove || p.Remote == "") {
		return nil, nil
	}
	found, err := c.find(ctx, query)
	if err != nil {
		return nil, err
	}
	return c.left(ctx, p, found)
}

// left looks at the profiles of a person: one that is marked has unsubscribed, and
// so has one that we made and that the database has removed.
func (c *copernica) left(ctx context.Context, p connector.Profile, found []profile) (*connector.Result, error) {
	gone, err := c.removed(ctx, p, found)
	if err != nil {
		return nil, err
	}
	if !gone && !slices.ContainsFunc(found, c.marked) {
		return nil, nil
	}
	return &connector.Result{Status: connector.Skipped, Reason: usersync.ReasonUnsubscribed, Remote: p.Remote,
		Details: "User has unsubscribed in " + c.database() + ": nothing is sent"}, nil
}

// removed reports whether the database, which removes those who unsubscribe, has
// removed the profile that we made. One that only matches no more is still there
// by its number.
func (c *copernica) removed(ctx context.Context, p connector.Profile, found []profile) (bool, error) {
	if c.labels[behaviorLabel] != behaviorRemove || len(found) > 0 || !number.MatchString(p.Remote) {
		return false, nil
	}
	byNumber, err := c.find(ctx, url.Values{"fields[]": {"id==" + p.Remote}})
	return err == nil && len(byNumber) == 0, err
}

// marked reports whether a profile holds all that the database marks those with
// who unsubscribe.
func (c *copernica) marked(one profile) bool {
	marks := 0
	for label, value := range c.labels {
		name, ok := strings.CutPrefix(label, leftLabel)
		if !ok {
			continue
		}
		marks++
		if !one.holds(name, value) {
			return false
		}
	}
	return marks > 0
}

// profile is what Copernica says of somebody.
type profile struct {
	ID     id             `json:"id"`
	Fields map[string]any `json:"fields"`
}

func (p profile) holds(name, value string) bool {
	for field, v := range p.Fields {
		if strings.EqualFold(field, name) && text(v) == value {
			return true
		}
	}
	return false
}

// find reads the profiles that a condition selects.
func (c *copernica) find(ctx context.Context, query url.Values) ([]profile, error) {
	asked := url.Values{"fields[]": query["fields[]"], "dataonly": {"1"}, "total": {"0"}, "limit": {"100"}}
	var answer struct {
		Data *[]profile `json:"data"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/database/"+c.settings.Database+"/profiles?"+asked.Encode(), nil, &answer); err != nil {
		return nil, err
	}
	if answer.Data == nil {
		return nil, usersync.Errorf(usersync.CodeUnavailable, "Copernica's answer held no profiles.")
	}
	return *answer.Data, nil
}

// Preview looks the person up.
func (c *copernica) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	query, err := c.condition(p)
	if err != nil {
		return connector.Rejected(err), nil
	}
	found, err := c.find(ctx, query)
	if err != nil {
		return connector.Result{}, err
	}
	if skipped, err := c.left(ctx, p, found); err != nil || skipped != nil {
		return deref(skipped), err
	}
	if len(found) == 0 {
		return connector.Result{Status: connector.Added, Details: c.would("added to")}, nil
	}
	return connector.Result{Status: connector.Updated, Details: c.would("updated in"), Remote: string(found[0].ID)}, nil
}

// Remove deletes every profile of the person, and the one that was made for them
// should it no longer match.
func (c *copernica) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	query, err := c.condition(p)
	if err != nil && p.Remote == "" {
		return connector.Rejected(err), nil // was never pushed either
	}
	var ids []string
	if err == nil {
		found, err := c.find(ctx, query)
		if err != nil {
			return connector.Result{}, err
		}
		for _, one := range found {
			ids = append(ids, string(one.ID))
		}
	}
	if number.MatchString(p.Remote) && !slices.Contains(ids, p.Remote) {
		ids = append(ids, p.Remote)
	}
	for _, profile := range ids {
		if err := c.remove(ctx, profile); err != nil {
			return connector.Result{}, err
		}
	}
	return connector.Result{Status: connector.Removed, Details: "User removed from " + c.database()}, nil
}

func (c *copernica) remove(ctx context.Context, profile string) error {
	if !number.MatchString(profile) {
		return usersync.Errorf(usersync.CodeUnavailable, "Copernica named a profile without a number.")
	}
	var asked any
	if !c.settings.Keep {
		asked = map[string]string{"completely": "Yes"}
	}
	response, err := c.call(ctx, http.MethodDelete, "/profile/"+profile, asked, nil)
	if err != nil && !isGone(response) {
		return err
	}
	return nil
}
