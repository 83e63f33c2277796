package customerio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.AudienceMaker = (*customerio)(nil)

// segmentInfo is a segment. Its state and progress are not read: members can be added to a
// manual one at any time.
type segmentInfo struct {
	ID   json.Number `json:"id"`
	Name string      `json:"name"`
	Type string      `json:"type"`
}

func (s segmentInfo) manual() bool { return s.Type == "" || s.Type == "manual" }

// CheckAudience refuses a name without letters, and any name without an App API key.
func (c *customerio) CheckAudience(_ context.Context, name string) error {
	if !c.hasApp() {
		return errNoApp
	}
	return connector.CheckName(name)
}

// errNoApp is the refusal of a segment that only the App API could make.
var errNoApp = usersync.Errorf(usersync.CodeInvalid, "The connection needs an App API key to make segments.")

// MakeAudience finds the manual segment with a name, or makes it. Without an App API
// key it returns an error of code invalid.
func (c *customerio) MakeAudience(ctx context.Context, name, description string) (string, usersync.PlatformSync, error) {
	if !c.hasApp() {
		return "", usersync.PlatformSync{}, errNoApp
	}
	id, err := c.segmentNamed(ctx, name)
	if err == nil && id == "" {
		id, err = c.makeSegment(ctx, name, description)
	}
	return id, usersync.PlatformSync{List: id}, err
}

// segmentNamed returns the id of a manual segment, or "" if there is none.
func (c *customerio) segmentNamed(ctx context.Context, name string) (string, error) {
	var answer struct {
		Segments []segmentInfo `json:"segments"`
	}
	if _, err := c.app(ctx, http.MethodGet, "/v1/segments", nil, &answer); err != nil {
		return "", fmt.Errorf("read the segments: %w", err)
	}
	if answer.Segments == nil {
		return "", connector.Unexpected(platform)
	}
	i := slices.IndexFunc(answer.Segments, func(s segmentInfo) bool { return s.Name == name && s.manual() })
	if i < 0 {
		return "", nil
	}
	return answer.Segments[i].ID.String(), nil
}

func (c *customerio) makeSegment(ctx context.Context, name, description string) (string, error) {
	var answer struct {
		Segment segmentInfo `json:"segment"`
	}
	body := map[string]any{"segment": map[string]string{"name": name, "description": description}}
	if _, err := c.app(ctx, http.MethodPost, "/v1/segments", body, &answer); err != nil {
		return "", fmt.Errorf("make a segment: %w", err)
	}
	if answer.Segment.ID == "" {
		return "", usersync.Errorf(usersync.CodeUnavailable, "Customer.io's answer names no segment.")
	}
	return answer.Segment.ID.String(), nil
}

// join adds people to the segment. People who are in it stay.
func (c *customerio) join(ctx context.Context, ids []string) error {
	if c.settings.Segment == "" || len(ids) == 0 {
		return nil
	}
	path := "/api/v1/segments/" + c.settings.Segment + "/add_customers?id_type=" + c.settings.IdentifyBy
	r, err := c.track(ctx, http.MethodPost, path, map[string]any{"ids": ids}, nil)
	if r != nil && (r.Status == http.StatusNotFound || r.Status == http.StatusBadRequest) {
		return c.segmentFault()
	}
	if err == nil && !connector.IsEmpty(r) {
		err = connector.Unexpected(platform)
	}
	return err
}
