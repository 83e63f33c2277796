package klaviyo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/usersync"
)

var (
	_ ability.Unsubscriber = (*klaviyo)(nil)
	_ ability.Subscriber   = (*klaviyo)(nil)
)

// These are the most profiles of a job on subscriptions.
const (
	maxUnsubscribed = 100
	maxSubscribed   = 1000
)

// agreement is what Klaviyo says of what a person agreed to.
type agreement struct {
	ID         string `json:"id"`
	Attributes struct {
		Email         string `json:"email"`
		Subscriptions struct {
			Email struct {
				Marketing struct {
					Consent string    `json:"consent"`
					At      time.Time `json:"consent_timestamp"`
					Lists   []struct {
						List string    `json:"list_id"`
						At   time.Time `json:"timestamp"`
					} `json:"list_suppressions"`
				} `json:"marketing"`
			} `json:"email"`
		} `json:"subscriptions"`
	} `json:"attributes"`
}

// leftAll reports whether the person unsubscribed from everything.
func (a agreement) leftAll() bool {
	return a.Attributes.Subscriptions.Email.Marketing.Consent == "UNSUBSCRIBED"
}

// leftAfter reports whether the person left everything, or the list, after a time, or at
// a time that Klaviyo does not tell.
func (a agreement) leftAfter(at time.Time, list string) bool {
	marketing := a.Attributes.Subscriptions.Email.Marketing
	later := func(left time.Time) bool { return left.IsZero() || !left.Before(at) }
	if a.leftAll() && later(marketing.At) {
		return true
	}
	for _, s := range marketing.Lists {
		if s.List == list && later(s.At) {
			return true
		}
	}
	return false
}

// agreements reads what people agreed to, by their key.
func (k *klaviyo) agreements(ctx context.Context, people []connector.Profile) (map[string]agreement, error) {
	known := map[string]agreement{}
	for some := range slices.Chunk(people, page) {
		addresses := make([]string, len(some))
		for i, p := range some {
			addresses[i] = quoted(p.Email.Display())
		}
		query := url.Values{
			"filter": {"any(email,[" + strings.Join(addresses, ",") + "])"}, "additional-fields[profile]": {"subscriptions"},
			"fields[profile]": {"email,subscriptions"}, "page[size]": {"100"},
		}
		var answer struct {
			Data []agreement `json:"data"`
		}
		if _, err := k.call(ctx, http.MethodGet, "/api/profiles?"+query.Encode(), nil, &answer); err != nil {
			return nil, fmt.Errorf("read what people agreed to: %w", err)
		}
		for _, one := range answer.Data {
			known[strings.ToLower(one.Attributes.Email)] = one
		}
	}
	return known, nil
}

// subscriptions is a job that changes what people agreed to.
func subscriptions(kind, consent string, people []connector.Profile) map[string]any {
	profiles := make([]any, len(people))
	for i, p := range people {
		profiles[i] = map[string]any{"type": "profile", "attributes": map[string]any{"email": p.Email.Display(),
			"subscriptions": map[string]any{"email": map[string]any{"marketing": map[string]any{"consent": consent}}}}}
	}
	return map[string]any{"type": kind, "attributes": map[string]any{"profiles": document{Data: profiles}}}
}

// Unsubscribe has a job unsubscribe people from all marketing e-mail. Klaviyo works on it
// later: until it has, nothing else is pushed of them. Who is no profile is not made one.
func (k *klaviyo) Unsubscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	known, err := k.agreements(ctx, people)
	if err != nil {
		return nil, err
	}
	results := make([]connector.Result, len(people))
	var leaving []connector.Profile
	for i, p := range people {
		one, there := known[p.Email.Key()]
		switch {
		case !there:
			results[i] = connector.Unsubscribed(p.Remote, "User does not want e-mail and was not made a profile")
		case one.leftAll():
			results[i] = connector.Result{Status: connector.Updated, Remote: one.ID}
		default:
			leaving = append(leaving, p)
			results[i] = connector.Unsubscribed(one.ID, "User does not want e-mail and is unsubscribed by Klaviyo")
		}
	}
	for some := range slices.Chunk(leaving, maxUnsubscribed) {
		job := subscriptions("profile-subscription-bulk-delete-job", "UNSUBSCRIBED", some)
		if _, err := k.call(ctx, http.MethodPost, "/api/profile-subscription-bulk-delete-jobs", document{Data: job}, nil); err != nil {
			return nil, fmt.Errorf("unsubscribe profiles: %w", err)
		}
	}
	return results, nil
}

// Subscribe has a job subscribe people to marketing e-mail. A list that asks for
// confirmation does so. The job would bring back people who left, so those who did after
// they agreed are left out.
func (k *klaviyo) Subscribe(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	known, err := k.agreements(ctx, people)
	if err != nil {
		return nil, err
	}
	results := make([]connector.Result, len(people))
	var joining []connector.Profile
	for i, p := range people {
		one, there := known[p.Email.Key()]
		switch {
		case !there:
			results[i] = connector.Unsubscribed(p.Remote, "Klaviyo does not know them yet")
		case one.leftAfter(p.Consents[usersync.ChannelEmail].At.Time, k.settings.List):
			results[i] = connector.Unsubscribed(one.ID, "they left later than they had agreed and stay unsubscribed")
		case one.Attributes.Subscriptions.Email.Marketing.Consent == "SUBSCRIBED":
			results[i] = connector.Result{Status: connector.Updated, Remote: one.ID}
		default:
			joining = append(joining, p)
			results[i] = connector.Result{Status: connector.Updated, Remote: one.ID, Details: "Klaviyo was told that they agreed"}
		}
	}
	for some := range slices.Chunk(joining, maxSubscribed) {
		job := subscriptions("profile-subscription-bulk-create-job", "SUBSCRIBED", some)
		if k.settings.List != "" {
			job["relationships"] = map[string]any{"list": document{Data: resource{"list", k.settings.List}}}
		}
		if _, err := k.call(ctx, http.MethodPost, "/api/profile-subscription-bulk-create-jobs", document{Data: job}, nil); err != nil {
			return nil, fmt.Errorf("subscribe profiles: %w", err)
		}
	}
	return results, nil
}
