package customerio

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// Check asks which workspace it is and looks for the segment. Attributes need not
// be there.
func (c *customerio) Check(ctx context.Context) (connector.Facts, error) {
	facts := connector.Facts{Labels: map[string]string{}, Account: connector.Fingerprint(usersync.NewSecret(c.credentials.SiteID))}
	r, err := c.track(ctx, http.MethodGet, "/api/v1/accounts/region", nil)
	if err != nil {
		return facts, err
	}
	var region struct {
		DataCenter  string      `json:"data_center"`
		Environment json.Number `json:"environment_id"`
	}
	if err := connector.Decode(r, &region); err != nil {
		return facts, err
	}
	if region.DataCenter != "" && region.DataCenter != c.settings.Region {
		return facts, wrong("region", "The account's data is in the region '"+connector.Quote(region.DataCenter)+"'.")
	}
	if region.Environment != "" {
		facts.Account = region.Environment.String()
	}
	return facts, c.checkSegment(ctx, facts.Labels)
}

// checkSegment tries the App API key, with the segment when there is one.
func (c *customerio) checkSegment(ctx context.Context, labels map[string]string) error {
	if !c.hasApp() {
		return nil
	}
	if c.settings.Segment == "" {
		_, err := c.app(ctx, http.MethodGet, "/v1/workspaces", nil)
		return err
	}
	r, err := c.app(ctx, http.MethodGet, "/v1/segments/"+c.settings.Segment, nil)
	if isMissing(r) {
		return wrong("segment", "Customer.io has no segment "+c.settings.Segment+".")
	}
	if err != nil {
		return err
	}
	var answer struct {
		Segment segmentInfo `json:"segment"`
	}
	if err := connector.Decode(r, &answer); err != nil {
		return err
	}
	if !answer.Segment.manual() {
		return wrong("segment", "People cannot be added to the segment '"+answer.Segment.Name+"': it fills itself.")
	}
	labels["list:"+c.settings.Segment] = answer.Segment.Name
	return nil
}

// segmentInfo is a segment.
type segmentInfo struct {
	ID   json.Number `json:"id"`
	Name string      `json:"name"`
	Type string      `json:"type"`
}

func (s segmentInfo) manual() bool { return s.Type == "" || s.Type == "manual" }

// MakeAudience finds the manual segment with a name or makes it. Without an App
// API key that is invalid.
func (c *customerio) MakeAudience(ctx context.Context, name, description string) (string, usersync.PlatformSync, error) {
	if !c.hasApp() {
		return "", usersync.PlatformSync{}, usersync.Errorf(usersync.CodeInvalid, "The connection needs an App API key to make segments.")
	}
	id, err := c.segmentNamed(ctx, name)
	if err == nil && id == "" {
		id, err = c.makeSegment(ctx, name, description)
	}
	return id, usersync.PlatformSync{List: id}, err
}

// segmentNamed returns the id of a manual segment, "" when there is none.
func (c *customerio) segmentNamed(ctx context.Context, name string) (string, error) {
	r, err := c.app(ctx, http.MethodGet, "/v1/segments", nil)
	if err != nil {
		return "", err
	}
	var answer struct {
		Segments []segmentInfo `json:"segments"`
	}
	if err := connector.Decode(r, &answer); err != nil {
		return "", err
	}
	i := slices.IndexFunc(answer.Segments, func(s segmentInfo) bool { return s.Name == name && s.manual() })
	if i < 0 {
		return "", nil
	}
	return answer.Segments[i].ID.String(), nil
}

func (c *customerio) makeSegment(ctx context.Context, name, description string) (string, error) {
	r, err := c.app(ctx, http.MethodPost, "/v1/segments", map[string]any{"segment": map[string]string{"name": name, "description": description}})
	if err != nil {
		return "", err
	}
	var answer struct {
		Segment segmentInfo `json:"segment"`
	}
	if err := connector.Decode(r, &answer); err != nil {
		return "", err
	}
	if answer.Segment.ID == "" {
		return "", usersync.Errorf(usersync.CodeUnavailable, "Customer.io's answer names no segment.")
	}
	return answer.Segment.ID.String(), nil
}

// wrong is the error for a setting that names what Customer.io does not have.
func wrong(field, message string) *usersync.Error {
	e := usersync.Errorf(usersync.CodeDisconnected, "%s", message)
	e.Fields = []usersync.FieldError{{Field: "settings." + field, Message: message}}
	return e
}
