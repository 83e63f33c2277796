// Package gigya finds users in a site of SAP Customer Data Cloud, formerly Gigya, by
// accounts.search.
package gigya

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"usersync/internal/identity"
	"usersync/internal/outbound"
	"usersync/internal/provider"
	"usersync/internal/record"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// Gigya is a site.
type Gigya struct {
	settings tenant.Gigya
	base     string
	caller   *provider.Caller
}

// New returns the site that settings name. client makes the calls.
func New(settings tenant.Gigya, client *outbound.Client) *Gigya {
	return &Gigya{settings: settings, base: strings.TrimRight(settings.URL, "/"), caller: provider.NewCaller(client)}
}

// answer is what accounts.search says: the status of HTTP is 200 for errors too.
type answer struct {
	ErrorCode *int      `json:"errorCode"`
	Results   []account `json:"results"`
}

// account is a user as accounts.search shows one.
type account struct {
	UID        string         `json:"UID"`
	IsVerified *bool          `json:"isVerified"`
	IsActive   *bool          `json:"isActive"`
	Profile    map[string]any `json:"profile"`
	Data       map[string]any `json:"data"`
}

// quote writes a text as the query language takes it.
var quote = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// Find asks for the address in lower case, and then as it was given.
func (g *Gigya) Find(ctx context.Context, email usersync.Email) (p record.Profile, found bool, err error) {
	for _, spelling := range provider.Spellings(email) {
		list, err := g.search(ctx, spelling)
		if err != nil {
			return p, false, err
		}
		list = slices.DeleteFunc(list, func(a account) bool { return !strings.EqualFold(a.text("email"), email.Key()) })
		if len(list) > 0 {
			return slices.MaxFunc(list, better).profile(), true, nil
		}
	}
	return p, false, nil
}

func (g *Gigya) search(ctx context.Context, address string) ([]account, error) {
	form := url.Values{
		"apiKey": {g.settings.APIKey}, "userKey": {g.settings.UserKey}, "secret": {g.settings.Secret.Reveal()},
		"accountTypes": {"full,lite"}, "format": {"json"},
		"query": {`SELECT UID,profile,data,isActive,isVerified FROM accounts WHERE profile.email = "` + quote.Replace(address) + `" LIMIT 5`},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+"/accounts.search", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := g.caller.Do(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("search by address: %w", err)
	}
	var a answer
	if err := provider.Decode(response, &a); err != nil {
		return nil, err
	}
	return a.Results, g.judge(a.ErrorCode)
}

// throttledFor is how long Gigya is left alone that has had too many calls: it does not say.
const throttledFor = 5 * time.Second

// judge returns the error that a code stands for.
// https://help.sap.com/docs/SAP_CUSTOMER_DATA_CLOUD/8b8d6fffe113457094a17701f63e3d6a/416d41b170b21014bbc5a10ce4041860.html
func (g *Gigya) judge(code *int) error {
	switch {
	case code == nil:
		return usersync.Errorf(usersync.CodeUnavailable, "The provider's answer has no error code.")
	case *code == 0:
		return nil
	case *code == 403048:
		return g.caller.Hold(throttledFor)
	case *code == 403002, *code >= 500000: // the request was too old when it arrived
		return usersync.Errorf(usersync.CodeUnavailable, "The provider answered with error %d.", *code)
	case *code == 301001:
		return usersync.Errorf(usersync.CodeDisconnected, "The site is in another data centre (error 301001): set providers.gigya.url to that one's.")
	}
	return usersync.Errorf(usersync.CodeDisconnected, "The provider refuses our calls (error %d).", *code)
}

// better compares two accounts with one address: an active one counts more, then a verified
// one, then the first by id.
func better(a, b account) int {
	truth := func(yes *bool) int {
		if yes != nil && *yes {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(truth(a.IsActive), truth(b.IsActive)), cmp.Compare(truth(a.IsVerified), truth(b.IsVerified)), cmp.Compare(b.UID, a.UID))
}

func (a account) text(name string) string { return provider.Text(a.Profile[name]) }

func (a account) profile() record.Profile {
	p := record.Profile{ID: a.UID, FirstName: a.text("firstName"), LastName: a.text("lastName"), Verified: a.IsVerified, Metadata: record.Metadata{}}
	p.Email, _ = identity.ParseEmail(a.text("email")) // it is the address that was asked for
	for _, key := range record.Keys {
		p.Metadata[key] = provider.Text(a.Data[key])
	}
	for key, name := range map[string]string{
		"photo": "photoURL", "displayName": "nickname", "gender": "gender", "age": "age", "address": "address", "city": "city", "country": "country",
		"postalCode": "zip", "timeZone": "timezone", "dobYYYY": "birthYear",
	} {
		p.Metadata[key] = cmp.Or(a.text(name), p.Metadata[key])
	}
	p.Metadata["phoneNumber"] = cmp.Or(a.phone(), p.Metadata["phoneNumber"])
	if y, m, d := a.text("birthYear"), a.text("birthMonth"), a.text("birthDay"); y != "" && m != "" && d != "" {
		p.Metadata["dob"] = fmt.Sprintf("%s-%02s-%02s", y, m, d)
	}
	return p
}

// phone returns the first number: phones is one, or a list of them.
func (a account) phone() string {
	phones := a.Profile["phones"]
	if list, ok := phones.([]any); ok && len(list) > 0 {
		phones = list[0]
	}
	one, _ := phones.(map[string]any)
	return provider.Text(one["number"])
}
