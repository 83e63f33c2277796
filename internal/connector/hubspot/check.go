package hubspot

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"usersync/internal/connector"
	"usersync/internal/usersync"
)

// checkboxes is the field type of a property that takes several values.
const checkboxes = "checkbox"

// Check asks whose account it is and looks for every property and the list.
func (h *hubspot) Check(ctx context.Context) (connector.Facts, error) {
	facts := connector.Facts{Labels: map[string]string{}}
	r, err := h.call(ctx, http.MethodGet, "/account-info/v3/details", nil)
	if err != nil {
		return facts, err
	}
	var account struct {
		Portal looseID `json:"portalId"`
	}
	if err := connector.Decode(r, &account); err != nil {
		return facts, err
	}
	if facts.Account = string(account.Portal); facts.Account == "" {
		facts.Account = connector.Fingerprint(h.token)
	}
	if err := h.checkProperties(ctx, facts.Labels); err != nil {
		return facts, err
	}
	return facts, h.checkList(ctx, facts.Labels)
}

// property is one in HubSpot's schema of contacts.
type property struct {
	FieldType string `json:"fieldType"`
	Unique    bool   `json:"hasUniqueValue"`
	Options   []struct {
		Value string `json:"value"`
	} `json:"options"`
	Modification struct {
		ReadOnly bool `json:"readOnlyValue"`
	} `json:"modificationMetadata"`
}

func (h *hubspot) checkProperties(ctx context.Context, labels map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(h.properties)) {
		found, err := h.property(ctx, name, "properties."+name)
		if err != nil {
			return err
		}
		if found.Modification.ReadOnly {
			return wrong("properties."+name, "HubSpot lets nobody write the property '"+name+"'.")
		}
	}
	if h.settings.IDProperty != byEmail {
		found, err := h.property(ctx, h.settings.IDProperty, "idProperty")
		if err != nil {
			return err
		}
		if !found.Unique {
			return wrong("idProperty", "The property '"+h.settings.IDProperty+"' does not have unique values.")
		}
	}
	return h.checkTags(ctx, labels)
}

func (h *hubspot) checkTags(ctx context.Context, labels map[string]string) error {
	if h.settings.TagsProperty == "" {
		return nil
	}
	found, err := h.property(ctx, h.settings.TagsProperty, "tagsProperty")
	if err != nil {
		return err
	}
	labels["property:"+h.settings.TagsProperty] = found.FieldType
	if len(found.Options) == 0 {
		return nil
	}
	options := map[string]bool{}
	for _, o := range found.Options {
		options[o.Value] = true
	}
	for _, tag := range h.settings.Tags {
		if !options[tag] {
			return wrong("tags", "The property '"+h.settings.TagsProperty+"' has no option '"+tag+"'.")
		}
	}
	return nil
}

// property reads one definition; field is the setting that names it.
func (h *hubspot) property(ctx context.Context, name, field string) (property, error) {
	var found property
	r, err := h.call(ctx, http.MethodGet, h.path("properties", "/contacts/"+url.PathEscape(name)), nil)
	if r != nil && r.Status == http.StatusNotFound {
		return found, wrong(field, "HubSpot has no contact property '"+name+"'.")
	}
	if err != nil {
		return found, err
	}
	return found, connector.Decode(r, &found)
}

// list is a list of HubSpot, which its pages call a segment.
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

func (h *hubspot) checkList(ctx context.Context, labels map[string]string) error {
	if h.settings.List == "" {
		return nil
	}
	found, err := h.list(ctx, "/"+h.settings.List)
	if err != nil {
		return err
	}
	if found.ID == "" {
		return wrong("list", "HubSpot has no list "+h.settings.List+".")
	}
	if !found.static() {
		return wrong("list", "People cannot be added to the list '"+found.Name+"': it is no static list of contacts.")
	}
	labels["list:"+h.settings.List] = found.Name
	return nil
}

// list reads a list; its id is "" when there is none.
func (h *hubspot) list(ctx context.Context, path string) (list, error) {
	r, err := h.call(ctx, http.MethodGet, h.path("lists", path), nil)
	if r != nil && r.Status == http.StatusNotFound {
		return list{}, nil
	}
	if err != nil {
		return list{}, err
	}
	var answer struct {
		List list `json:"list"`
	}
	err = connector.Decode(r, &answer)
	return answer.List, err
}

// MakeAudience finds the static list with a name or makes it. HubSpot's lists
// have no description.
func (h *hubspot) MakeAudience(ctx context.Context, name, _ string) (string, usersync.PlatformSync, error) {
	found, err := h.list(ctx, "/object-type-id/"+contactType+"/name/"+segment(name))
	if err != nil {
		return "", usersync.PlatformSync{}, err
	}
	if found.ID != "" && !found.static() {
		return "", usersync.PlatformSync{}, usersync.Errorf(usersync.CodeRejected, "HubSpot has a list of this name that fills itself.")
	}
	if found.ID == "" {
		if found, err = h.makeList(ctx, name); err != nil {
			return "", usersync.PlatformSync{}, err
		}
	}
	return string(found.ID), usersync.PlatformSync{List: string(found.ID)}, nil
}

func (h *hubspot) makeList(ctx context.Context, name string) (list, error) {
	body := map[string]string{"name": name, "objectTypeId": contactType, "processingType": "MANUAL"}
	var answer struct {
		List list `json:"list"`
	}
	r, err := h.call(ctx, http.MethodPost, h.path("lists", ""), body)
	if err != nil {
		return answer.List, err
	}
	if err := connector.Decode(r, &answer); err != nil {
		return answer.List, err
	}
	if answer.List.ID == "" {
		return answer.List, usersync.Errorf(usersync.CodeUnavailable, "HubSpot's answer names no list.")
	}
	return answer.List, nil
}

// wrong is the error for a setting that names what HubSpot does not have.
func wrong(field, message string) *usersync.Error {
	e := usersync.Errorf(usersync.CodeDisconnected, "%s", message)
	e.Fields = []usersync.FieldError{{Field: "settings." + field, Message: message}}
	return e
}
