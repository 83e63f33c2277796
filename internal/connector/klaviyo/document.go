package klaviyo

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"usersync/internal/connector"
)

// document is the frame of every JSON:API body.
type document struct {
	Data any `json:"data"`
}

// resource names one thing.
type resource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// profile is a person as Klaviyo takes one.
type profile struct {
	Type       string         `json:"type"`
	Attributes map[string]any `json:"attributes"`
}

// wellKnown are the attributes of a profile that are text; all else that is
// mapped is a custom property, but for what is in location.
var wellKnown = []string{"phone_number", "external_id", "first_name", "last_name", "organization", "locale", "title", "image"}

// content is what Klaviyo is told of a person.
type content struct {
	Attributes map[string]any `json:"attributes"`
	List       string         `json:"list,omitempty"`
}

// Content is what would be sent, and to which list.
func (k *klaviyo) Content(p connector.Profile) any {
	return content{k.attributes(p), k.settings.List}
}

func (k *klaviyo) profile(p connector.Profile) profile { return profile{"profile", k.attributes(p)} }

// attributes sorts what is mapped into attributes, location and properties.
func (k *klaviyo) attributes(p connector.Profile) map[string]any {
	attributes := map[string]any{}
	location, properties := map[string]any{}, map[string]any{}
	for name, value := range k.mapping.Values(p) {
		part, isLocation := strings.CutPrefix(name, "location.")
		switch {
		case isLocation:
			location[part] = value
		case slices.Contains(wellKnown, name):
			attributes[name] = text(value)
		default:
			properties[strings.TrimPrefix(name, "properties.")] = value
		}
	}
	if len(k.settings.Tags) > 0 {
		properties[k.settings.TagsProperty] = k.settings.Tags
	}
	attributes["email"] = p.Email.Display()
	if len(location) > 0 {
		attributes["location"] = location
	}
	if len(properties) > 0 {
		attributes["properties"] = properties
	}
	return attributes
}

func text(value any) string {
	if number, ok := value.(float64); ok {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// person is what Klaviyo says of somebody.
type person struct {
	ID         string `json:"id"`
	Attributes struct {
		Email         string `json:"email"`
		Subscriptions struct {
			Email struct {
				Marketing struct {
					Consent          string `json:"consent"`
					ListSuppressions []struct {
						List string `json:"list_id"`
					} `json:"list_suppressions"`
				} `json:"marketing"`
			} `json:"email"`
		} `json:"subscriptions"`
	} `json:"attributes"`
}

// left reports whether the person has unsubscribed from everything or from list.
// Without a list nobody is put anywhere, so nobody can be brought back.
func (p person) left(list string) bool {
	if list == "" {
		return false
	}
	marketing := p.Attributes.Subscriptions.Email.Marketing
	for _, s := range marketing.ListSuppressions {
		if s.List == list {
			return true
		}
	}
	return marketing.Consent == "UNSUBSCRIBED"
}
