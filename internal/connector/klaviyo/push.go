package klaviyo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"usersync/internal/connector"
	"usersync/internal/connector/form"
	"usersync/internal/usersync"
)

const (
	// maxJob and maxProfile are the most bytes of a job and of a profile in it. Klaviyo
	// takes 5 MB and 100 KB. The rest is for the frame around them.
	maxJob     = 4_900_000
	maxProfile = 100_000
	// page is how many profiles or errors one read asks for. It is the most that Klaviyo
	// gives.
	page = 100
)

// platform is what sentences call Klaviyo.
const platform = "Klaviyo"

// document is the frame of every JSON:API body.
type document struct {
	Data any `json:"data"`
}

// resource names one thing.
type resource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// profile is a person in Klaviyo's shape. The id is Klaviyo's own, where it is known
// which profile is meant.
type profile struct {
	Type       string         `json:"type"`
	ID         string         `json:"id,omitempty"`
	Attributes map[string]any `json:"attributes"`
	Meta       *meta          `json:"meta,omitempty"`
}

// meta takes custom properties away. null would only set them to null.
type meta struct {
	Patch struct {
		Unset []string `json:"unset"`
	} `json:"patch_properties"`
}

// wellKnown are the attributes of a profile that are text. Every other mapped name is
// a custom property, except for those in location.
var wellKnown = []string{"phone_number", "external_id", "first_name", "last_name", "organization", "locale", "title", "image"}

// content is what Klaviyo is told of a person.
type content struct {
	Attributes map[string]any `json:"attributes"`
	List       string         `json:"list,omitempty"`
}

// Content is what would be sent, and the list that it would be sent to.
func (k *klaviyo) Content(p connector.Profile) any {
	return content{k.attributes(p), k.settings.List}
}

func (k *klaviyo) profile(p connector.Profile) profile {
	out := profile{Type: "profile", Attributes: k.attributes(p)}
	properties, _ := out.Attributes["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if properties[name] != nil {
			continue
		}
		if out.Meta == nil {
			out.Meta = &meta{}
		}
		out.Meta.Patch.Unset = append(out.Meta.Patch.Unset, name)
		delete(properties, name)
	}
	return out
}

// phoneNumber is the attribute that holds a telephone number. Klaviyo refuses a person
// for one that is not of the form of E.164.
const phoneNumber = "phone_number"

// values are what is mapped of a person, and what is left out of it.
func (k *klaviyo) values(p connector.Profile) (map[string]any, []connector.LeftOut) {
	values := k.mapping.Values(p)
	return values, connector.Phones(values, p, func(name string) bool { return name == phoneNumber })
}

// LeavesOut returns the telephone number if it is none.
func (k *klaviyo) LeavesOut(p connector.Profile) []connector.LeftOut {
	_, left := k.values(p)
	return left
}

// clears reports whether a person has something that is to hold nothing.
func (k *klaviyo) clears(p connector.Profile) bool {
	for _, value := range k.mapping.Values(p) {
		if value == nil {
			return true
		}
	}
	return false
}

// attributes sorts what is mapped into attributes, location and properties. What is to
// hold nothing is nil.
func (k *klaviyo) attributes(p connector.Profile) map[string]any {
	attributes := map[string]any{}
	location, properties := map[string]any{}, map[string]any{}
	values, _ := k.values(p)
	for name, value := range values {
		part, isLocation := strings.CutPrefix(name, "location.")
		switch {
		case isLocation:
			location[part] = value
		case slices.Contains(wellKnown, name) && value == nil:
			attributes[name] = nil
		case slices.Contains(wellKnown, name):
			attributes[name] = connector.Text(value)
		default:
			properties[strings.TrimPrefix(name, "properties.")] = property(value)
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

// property is the value of a custom property. Klaviyo tells a date by the way it is
// written; lists are lists there.
func property(value any) any {
	if date, ok := form.ParseDate(value); ok {
		return date.DayOrClock()
	}
	return value
}

// target is where people are put, and the tags they get.
func (k *klaviyo) target() connector.Target {
	return connector.Target{Place: connector.Named("list", k.facts.NameOf("list", k.settings.List)), Tags: k.settings.Tags}
}

// leftSentence tells of a person who has unsubscribed. Klaviyo learns who they are
// now, but they are kept off the list.
func (k *klaviyo) leftSentence(tense connector.Tense) string {
	return tense.UpdateOnly(k.target(), "has unsubscribed at Klaviyo", "added to "+k.target().Place)
}

// Push sends a few people one by one, and more by a job. A job can clear nothing, so
// people who have something to clear are sent one by one too.
func (k *klaviyo) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	if len(people) <= singly {
		return k.pushSingly(ctx, people)
	}
	return connector.InParts(ctx, people, k.clears, k.pushSingly, func(ctx context.Context, some []connector.Profile) ([]connector.Result, error) {
		if len(some) <= singly {
			return k.pushSingly(ctx, some)
		}
		return k.pushJobs(ctx, some)
	})
}

func (k *klaviyo) pushSingly(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	results, err := k.client.Each(ctx, people, k.pushOne)
	if k.settings.List == "" {
		return results, err
	}
	if failed := k.addToList(ctx, results); failed != nil {
		return results, failed
	}
	return results, err
}

// pushOne adds or updates a profile. The answer tells whether the person has left.
func (k *klaviyo) pushOne(ctx context.Context, p connector.Profile) (connector.Result, error) {
	path := "/api/profile-import"
	if k.settings.List != "" {
		path += "?" + url.Values{"additional-fields[profile]": {"subscriptions"}}.Encode()
	}
	var answer struct {
		Data person `json:"data"`
	}
	body := k.profile(p)
	response, err := k.call(ctx, http.MethodPost, path, document{Data: body}, &answer)
	if body.ID = duplicateOf(response); body.ID != "" { // another identifier is that of a profile with another address
		response, err = k.call(ctx, http.MethodPost, path, document{Data: body}, &answer)
	}
	if err != nil {
		return connector.Result{}, fmt.Errorf("write the profile: %w", err)
	}
	if answer.Data.ID == "" {
		return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "Klaviyo's answer named no profile.")
	}
	if answer.Data.left(k.settings.List) {
		return connector.Unsubscribed(answer.Data.ID, k.leftSentence(connector.Did)), nil
	}
	status := connector.AddedOrUpdated(response.Status != http.StatusCreated)
	return connector.Did.Outcome(status, k.target(), answer.Data.ID), nil
}

// addToList puts the people who were added or updated on the list, in one call. If the
// call fails, none of them has arrived.
func (k *klaviyo) addToList(ctx context.Context, results []connector.Result) error {
	var members []resource
	for _, r := range results {
		if r.Status == connector.Added || r.Status == connector.Updated {
			members = append(members, resource{"profile", r.Remote})
		}
	}
	if len(members) == 0 {
		return nil
	}
	path := "/api/lists/" + url.PathEscape(k.settings.List) + "/relationships/profiles"
	response, err := k.call(ctx, http.MethodPost, path, document{Data: members}, nil)
	if err == nil {
		err = connector.Expect(platform, response, http.StatusNoContent)
	}
	if err == nil {
		return nil
	}
	for i, r := range results {
		if r.Status == connector.Added || r.Status == connector.Updated {
			results[i] = connector.Result{Remote: r.Remote}
		}
	}
	return k.noList(response, err)
}

// person is what Klaviyo says of somebody.
type person struct {
	ID         string `json:"id"`
	Attributes struct {
		Email         string `json:"email"`
		Subscriptions struct {
			Email struct {
				Marketing struct {
					Consent     string `json:"consent"`
					Suppression []struct {
						Reason string `json:"reason"`
					} `json:"suppression"`
					ListSuppressions []struct {
						List string `json:"list_id"`
					} `json:"list_suppressions"`
				} `json:"marketing"`
			} `json:"email"`
		} `json:"subscriptions"`
	} `json:"attributes"`
}

// left reports whether the person has unsubscribed from everything or from list, or gets
// no mail because it came back or they complained.
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
	return marketing.Consent == "UNSUBSCRIBED" || len(marketing.Suppression) > 0
}

// lookUp reads whom Klaviyo knows of these people, by their key. asked is how many of them
// it has asked about before an error.
func (k *klaviyo) lookUp(ctx context.Context, people []connector.Profile) (known map[string]person, asked int, err error) {
	known = map[string]person{}
	for some := range slices.Chunk(people, page) {
		addresses := make([]string, len(some))
		for i, p := range some {
			addresses[i] = quoted(p.Email.Display())
		}
		query := url.Values{
			"filter":                     {"any(email,[" + strings.Join(addresses, ",") + "])"},
			"additional-fields[profile]": {"subscriptions"},
			"fields[profile]":            {"email,subscriptions"},
			"page[size]":                 {"100"},
		}
		var answer struct {
			Data []person `json:"data"`
		}
		if _, err := k.call(ctx, http.MethodGet, "/api/profiles?"+query.Encode(), nil, &answer); err != nil {
			return known, asked, fmt.Errorf("read the profiles: %w", err)
		}
		if answer.Data == nil {
			return known, asked, connector.Unexpected(platform)
		}
		for _, one := range answer.Data {
			known[strings.ToLower(one.Attributes.Email)] = one
		}
		asked += len(some)
	}
	return known, asked, nil
}

// pushJobs hands people in with the list, and people who have left without it. It
// makes as few jobs as their size allows. If not everybody could be looked up, it hands
// in those who were.
func (k *klaviyo) pushJobs(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	known, asked := map[string]person{}, len(people)
	var lookedUp error
	if k.settings.List != "" {
		known, asked, lookedUp = k.lookUp(ctx, people)
	}
	results := make([]connector.Result, len(people))
	var entries []connector.Entry
	for i, p := range people[:asked] {
		one := known[p.Email.Key()]
		text, err := json.Marshal(k.profile(p))
		if err != nil || len(text) > maxProfile {
			results[i] = connector.RejectedFor("The profile is longer than the 100 KB that Klaviyo takes.")
			continue
		}
		entries = append(entries, connector.Entry{Place: i, Remote: one.ID, Left: one.left(k.settings.List), Body: text})
	}
	if err := (connector.Jobs{Platform: platform, MaxBytes: maxJob, Make: k.makeJob}).HandIn(ctx, entries, results); err != nil {
		return results, err
	}
	return results, lookedUp
}

// makeJob makes one job. People who have left are not put on the list.
func (k *klaviyo) makeJob(ctx context.Context, people []connector.Entry) (string, map[int]string, error) {
	job := map[string]any{
		"type":       "profile-bulk-import-job",
		"attributes": map[string]any{"profiles": document{Data: connector.Bodies(people)}},
	}
	if k.settings.List != "" && !people[0].Left {
		job["relationships"] = map[string]any{"lists": document{Data: []resource{{"list", k.settings.List}}}}
	}
	var answer struct {
		Data resource `json:"data"`
	}
	response, err := k.call(ctx, http.MethodPost, "/api/profile-bulk-import-jobs", document{Data: job}, &answer)
	if err == nil && answer.Data.ID == "" {
		err = usersync.Errorf(usersync.CodeUnavailable, "Klaviyo's answer named no job.")
	}
	if err != nil {
		return "", guilty(response, len(people)), k.noList(response, err)
	}
	return answer.Data.ID, nil, nil
}

// Preview looks the person up.
func (k *klaviyo) Preview(ctx context.Context, p connector.Profile) (connector.Result, error) {
	known, _, err := k.lookUp(ctx, []connector.Profile{p})
	if err != nil {
		return connector.Result{}, fmt.Errorf("look the person up: %w", err)
	}
	one, ok := known[p.Email.Key()]
	if one.left(k.settings.List) {
		return connector.Unsubscribed(one.ID, k.leftSentence(connector.Would)), nil
	}
	return connector.Would.Outcome(connector.AddedOrUpdated(ok), k.target(), one.ID), nil
}

// Remove asks for the deletion of all profiles with the address. Klaviyo deletes them
// later and does not tell when.
func (k *klaviyo) Remove(ctx context.Context, p connector.Profile) (connector.Result, error) {
	profile := map[string]any{"type": "profile", "attributes": map[string]any{"email": p.Email.Display()}}
	body := document{Data: map[string]any{
		"type": "data-privacy-deletion-job", "attributes": map[string]any{"profile": document{Data: profile}},
	}}
	response, err := k.call(ctx, http.MethodPost, "/api/data-privacy-deletion-jobs", body, nil)
	if err == nil {
		err = connector.Expect(platform, response, http.StatusAccepted)
	}
	if err != nil && !connector.NotFound(response) {
		return connector.Result{}, fmt.Errorf("ask for the deletion of the profile: %w", err)
	}
	return connector.RemovalRequested(platform), nil
}
