package copernica

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/form"
	"usersync/internal/usersync"
)

// body is a profile in Copernica's shape.
type body struct {
	Fields    map[string]string `json:"fields"`
	Interests map[string]int    `json:"interests,omitempty"`
}

// content is what Copernica is told of a person, and the database that they are in.
type content struct {
	Database string `json:"database"`
	body
}

// Content is what would be sent.
func (c *copernica) Content(p connector.Profile) any { return content{c.settings.Database, c.body(p)} }

// platform is what sentences call Copernica.
const platform = "Copernica"

// values are the mapped fields of a person, and what is left out of them.
func (c *copernica) values(p connector.Profile) (map[string]any, []connector.LeftOut) {
	values := c.mapping.Values(p)
	left := connector.Phones(values, p, func(name string) bool { return c.facts.Labels[phoneLabel+name] != "" })
	return values, append(left, form.Dates(values, c.dateForm)...)
}

// dateForm is how a field of a date is written.
func (c *copernica) dateForm(name string) func(form.Date) any {
	switch kind := c.facts.Labels[dateLabel+name]; {
	case kind == "":
		return nil
	case strings.HasSuffix(kind, "datetime"):
		return form.Date.Clock
	}
	return form.Date.Day
}

// LeavesOut returns the telephone numbers and dates that are none.
func (c *copernica) LeavesOut(p connector.Profile) []connector.LeftOut {
	_, left := c.values(p)
	return left
}

// body is a person in Copernica's shape. The empty text clears a field of any type.
func (c *copernica) body(p connector.Profile) body {
	out := body{Fields: map[string]string{}}
	values, _ := c.values(p)
	for name, value := range values {
		out.Fields[name] = connector.Text(value)
	}
	for _, name := range c.settings.Interests {
		if out.Interests == nil {
			out.Interests = map[string]int{}
		}
		out.Interests[name] = 1
	}
	return out
}

// target is where people are put, and the interests they get.
func (c *copernica) target() connector.Target {
	return connector.Target{Place: connector.Named("database", c.facts.NameOf("database", c.settings.Database)),
		Tags: c.settings.Interests, Noun: "interests"}
}

// unsubscribed is the result of a person who has left.
func (c *copernica) unsubscribed(p connector.Profile, tense connector.Tense) connector.Result {
	return connector.Unsubscribed(p.Remote, tense.LeaveAlone("has unsubscribed in "+c.target().Place))
}

// condition returns the query that selects the profiles of a person. The value becomes
// part of an expression that knows no quotes, so a value that could be read as another
// expression is refused.
func (c *copernica) condition(p connector.Profile) (url.Values, error) {
	value := c.matched(p)
	if value == "" {
		return nil, usersync.Errorf(usersync.CodeRejected, "The user has nothing for the field '%s' that tells profiles apart.", c.settings.Match)
	}
	if !plain(value) {
		return nil, usersync.Errorf(usersync.CodeRejected, "The user's '%s' holds characters that Copernica reads as a condition.", c.settings.Match)
	}
	return url.Values{"fields[]": {c.settings.Match + "==" + value}}, nil
}

// matched is what tells the profile of a person apart.
func (c *copernica) matched(p connector.Profile) string {
	return connector.Text(p.Value(c.mapping[c.settings.Match]))
}

// plain reports whether a value is free of control characters and of Copernica's
// operators, and does not begin with a character that would change the == before it.
func plain(value string) bool {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '<' || r == '>' }) {
		return false
	}
	for _, operator := range []string{"==", "!=", "=~", "!~"} {
		if strings.Contains(value, operator) {
			return false
		}
	}
	return value[0] != '=' && value[0] != '~'
}

// Push adds or updates people, each by a call of their own. Copernica looks a profile
// up and makes it in two steps, and other pushes can come between them. So nobody else
// may push the same person at the same time. The pipeline makes sure of that for a
// connection.
func (c *copernica) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	leavers, err := c.leaversAmong(ctx, people)
	if err != nil {
		return nil, fmt.Errorf("read who has left: %w", err)
	}
	return c.client.Each(ctx, people, func(ctx context.Context, p connector.Profile) (connector.Result, error) {
		return c.pushOne(ctx, p, leavers)
	})
}

func (c *copernica) pushOne(ctx context.Context, p connector.Profile, leavers *leavers) (connector.Result, error) {
	query, err := c.condition(p)
	if err != nil {
		return connector.Result{}, fmt.Errorf("select the profile: %w", err)
	}
	left, err := c.leftBefore(ctx, p, query, leavers)
	if err != nil {
		return connector.Result{}, fmt.Errorf("ask whether the person has left: %w", err)
	}
	if left {
		return c.unsubscribed(p, connector.Did), nil
	}
	query.Set("create", "1")
	response, err := c.call(ctx, http.MethodPut, "/database/"+c.settings.Database+"/profiles?"+query.Encode(), c.body(p), nil)
	if err != nil {
		return connector.Result{}, fmt.Errorf("write the profile: %w", err)
	}
	switch response.Status {
	case http.StatusCreated:
		result := connector.Did.Outcome(connector.Added, c.target(), "")
		if created := response.Header.Get("X-Created"); connector.IsNumber(created) {
			result.Remote = created
		}
		return result, nil
	case http.StatusNoContent:
		return connector.Did.Outcome(connector.Updated, c.target(), p.Remote), nil
	}
	return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "Copernica answered %d, which says nothing of the profile.", response.Status)
}

// leftBefore reports whether a person has unsubscribed. It only reads if the database
// does something with people who leave, and it is not known who has.
func (c *copernica) leftBefore(ctx context.Context, p connector.Profile, query url.Values, known *leavers) (bool, error) {
	if known != nil {
		return known.have(c.matched(p)), nil
	}
	behavior := c.facts.Labels[behaviorLabel]
	if behavior != behaviorUpdate && (behavior != behaviorRemove || p.Remote == "") {
		return false, nil
	}
	found, err := c.find(ctx, query)
	if err != nil {
		return false, fmt.Errorf("find the profiles: %w", err)
	}
	return c.left(ctx, p, found)
}

// left looks at the profiles of a person. One that is marked has unsubscribed, and
// so has one that we made and that the database has removed.
func (c *copernica) left(ctx context.Context, p connector.Profile, found []profile) (bool, error) {
	gone, err := c.removed(ctx, p, found)
	return err == nil && (gone || slices.ContainsFunc(found, c.marked)), err
}

// removed reports whether the database, which removes people who unsubscribe, has
// removed the profile that we made. A profile that only does not match any more is
// still there under its number.
func (c *copernica) removed(ctx context.Context, p connector.Profile, found []profile) (bool, error) {
	if c.facts.Labels[behaviorLabel] != behaviorRemove || len(found) > 0 || !connector.IsNumber(p.Remote) {
		return false, nil
	}
	byNumber, err := c.find(ctx, url.Values{"fields[]": {"id==" + p.Remote}})
	return err == nil && len(byNumber) == 0, err
}

// marked reports whether a profile holds all the marks of people who have
// unsubscribed.
func (c *copernica) marked(one profile) bool {
	marks := 0
	for label, value := range c.facts.Labels {
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
	held, ok := p.value(name)
	return ok && held == value
}

// value is what a field holds, as a text, if the profile has the field.
func (p profile) value(name string) (text string, ok bool) {
	for field, v := range p.Fields {
		if strings.EqualFold(field, name) {
			return connector.Text(v), true
		}
	}
	return "", false
}

// find reads the profiles that a condition selects.
func (c *copernica) find(ctx context.Context, query url.Values) ([]profile, error) {
	found, err := c.read(ctx, url.Values{"fields[]": query["fields[]"], "total": {"0"}, "limit": {"100"}})
	return found.profiles(), err
}

// page is an answer with profiles.
type page struct {
	Data  *[]profile `json:"data"`
	Total int        `json:"total"`
}

func (p page) profiles() []profile {
	if p.Data == nil {
		return nil
	}
	return *p.Data
}

// read reads one page of profiles.
func (c *copernica) read(ctx context.Context, query url.Values) (page, error) {
	query.Set("dataonly", "1")
	var answer page
	if _, err := c.call(ctx, http.MethodGet, "/database/"+c.settings.Database+"/profiles?"+query.Encode(), nil, &answer); err != nil {
		return page{}, fmt.Errorf("read the profiles: %w", err)
	}
	if answer.Data == nil {
		return page{}, usersync.Errorf(usersync.CodeUnavailable, "Copernica's answer held no profiles.")
	}
	return answer, nil
}

// Preview looks the person up.
func (c *copernica) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	query, err := c.condition(p)
	if err != nil {
		return connector.Rejected(err), nil
	}
	found, err := c.find(ctx, query)
	if err != nil {
		return connector.Result{}, fmt.Errorf("find the profiles: %w", err)
	}
	left, err := c.left(ctx, p, found)
	if err != nil {
		return connector.Result{}, fmt.Errorf("ask whether the person has left: %w", err)
	}
	if left {
		return c.unsubscribed(p, connector.Would), nil
	}
	if len(found) == 0 {
		return connector.Would.Outcome(connector.Added, c.target(), ""), nil
	}
	return connector.Would.Outcome(connector.Updated, c.target(), string(found[0].ID)), nil
}

// Remove deletes every profile of the person. It also deletes the profile that was
// made for them, if that does not match any more.
func (c *copernica) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	query, err := c.condition(p)
	if err != nil && p.Remote == "" {
		return connector.Rejected(err), nil // was never pushed either
	}
	var ids []string
	if err == nil {
		found, err := c.find(ctx, query)
		if err != nil {
			return connector.Result{}, fmt.Errorf("find the profiles: %w", err)
		}
		for _, one := range found {
			ids = append(ids, string(one.ID))
		}
	}
	if connector.IsNumber(p.Remote) && !slices.Contains(ids, p.Remote) {
		ids = append(ids, p.Remote)
	}
	for _, profile := range ids {
		if err := c.remove(ctx, profile); err != nil {
			return connector.Result{}, fmt.Errorf("remove a profile: %w", err)
		}
	}
	return connector.RemovedFrom(c.target().Place), nil
}

func (c *copernica) remove(ctx context.Context, profile string) error {
	if !connector.IsNumber(profile) {
		return usersync.Errorf(usersync.CodeUnavailable, "Copernica named a profile without a number.")
	}
	var asked any
	if !c.settings.Keep {
		asked = map[string]string{"completely": "Yes"}
	}
	response, err := c.call(ctx, http.MethodDelete, "/profile/"+profile, asked, nil)
	if err == nil {
		err = connector.Expect(platform, response, http.StatusNoContent)
	}
	if err != nil && !isGone(response) {
		return fmt.Errorf("delete the profile: %w", err)
	}
	return nil
}
