package hubspot

import (
	"context"
	"fmt"
	"net/http"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

var _ connector.AudienceMaker = (*hubspot)(nil)

// list is a list of HubSpot. HubSpot's pages call it a segment.
type list struct {
	ID         looseID `json:"listId"`
	Name       string  `json:"name"`
	Type       string  `json:"objectTypeId"`
	Processing string  `json:"processingType"`
}

// static reports whether contacts can be added to it.
func (l list) static() bool {
	return l.Processing != "DYNAMIC" && (l.Type == "" || l.Type == contactType)
}

// list reads a list. If there is none, its id is "".
func (h *hubspot) list(ctx context.Context, path string) (list, error) {
	var answer struct {
		List list `json:"list"`
	}
	r, err := h.call(ctx, http.MethodGet, h.path("lists", path), nil, &answer)
	if connector.NotFound(r) {
		return list{}, nil
	}
	if err == nil && answer.List.ID == "" {
		err = connector.Unexpected("HubSpot")
	}
	return answer.List, err
}

// CheckAudience refuses a name without letters, and that of a list that fills itself.
func (h *hubspot) CheckAudience(ctx context.Context, name string) error {
	if err := connector.CheckName(name); err != nil {
		return err
	}
	_, err := h.listNamed(ctx, name)
	return err
}

// listNamed returns the static list with a name; its ID is "" where there is none.
func (h *hubspot) listNamed(ctx context.Context, name string) (list, error) {
	found, err := h.list(ctx, "/object-type-id/"+contactType+"/name/"+connector.PathSegment(name))
	if err != nil {
		return found, fmt.Errorf("look for the list: %w", err)
	}
	if found.ID != "" && !found.static() {
		return found, usersync.Errorf(usersync.CodeRejected, "HubSpot has a list of this name that fills itself.")
	}
	return found, nil
}

// MakeAudience finds the static list with a name, or makes it. HubSpot's lists have no
// description.
func (h *hubspot) MakeAudience(ctx context.Context, name, _ string) (string, usersync.PlatformSync, error) {
	found, err := h.listNamed(ctx, name)
	if err != nil {
		return "", usersync.PlatformSync{}, err
	}
	if found.ID == "" {
		if found, err = h.makeList(ctx, name); err != nil {
			return "", usersync.PlatformSync{}, fmt.Errorf("make the list: %w", err)
		}
	}
	return string(found.ID), usersync.PlatformSync{List: string(found.ID)}, nil
}

func (h *hubspot) makeList(ctx context.Context, name string) (list, error) {
	body := map[string]string{"name": name, "objectTypeId": contactType, "processingType": "MANUAL"}
	var answer struct {
		List list `json:"list"`
	}
	if _, err := h.call(ctx, http.MethodPost, h.path("lists", ""), body, &answer); err != nil {
		return answer.List, err
	}
	if answer.List.ID == "" {
		return answer.List, usersync.Errorf(usersync.CodeUnavailable, "HubSpot's answer names no list.")
	}
	return answer.List, nil
}

// joined is the answer to an addition to a list. Ids are strings in some versions and
// numbers in others. HubSpot writes one of the names with an s more. Members whom the
// list has already stand nowhere.
type joined struct {
	Missing []looseID `json:"recordIdsMissing"`
	Removed []looseID `json:"recordIdsRemoved"`
	Added   []looseID `json:"recordsIdsAdded"`
}

// join adds everybody who was upserted to the list. Members stay members.
func (h *hubspot) join(ctx context.Context, results []connector.Result) error {
	ids := []string{}
	for _, r := range results {
		if r.Status == connector.Added || r.Status == connector.Updated {
			ids = append(ids, r.Remote)
		}
	}
	if h.settings.List == "" || len(ids) == 0 {
		return nil
	}
	var answer joined
	r, err := h.call(ctx, http.MethodPut, h.path("lists", "/"+h.settings.List+"/memberships/add"), ids, &answer)
	if err != nil {
		return h.listFault(r, err)
	}
	if answer.Missing == nil && answer.Removed == nil && answer.Added == nil {
		return connector.Unexpected("HubSpot")
	}
	if len(answer.Missing) > 0 {
		return usersync.Errorf(usersync.CodeUnavailable, "HubSpot does not find %d contacts it has just taken.", len(answer.Missing))
	}
	return nil
}
