package mailchimp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/mailchimp"
	"usersync/internal/connector/mailchimp/fake"
	"usersync/internal/outbound"
	"usersync/internal/person"
	"usersync/internal/usersync"
)

var spec = connectortest.Spec{Files: []string{"mailchimp-marketing-subset.json"}}

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, mailchimp.Kind, func() fakeplatform.Platform { return fake.New() }, connectortest.Options{Spec: spec})
}

// account is a fake with a connection to it.
type account struct {
	*testing.T
	*fake.Fake
	server   *fakeplatform.Server
	url      string
	settings map[string]any
	facts    connector.Facts
}

// newAccount holds every request against Mailchimp's description.
func newAccount(t *testing.T) *account {
	t.Helper()
	return served(t, func(next http.Handler) http.Handler {
		if !spec.Available() { // TestConnector says so
			return next
		}
		return connectortest.Validate(t, spec, "mailchimp", next)
	})
}

// newLargeAccount does not: it takes its time with 500 members a call.
func newLargeAccount(t *testing.T) *account {
	t.Helper()
	return served(t, func(next http.Handler) http.Handler { return next })
}

func served(t *testing.T, before func(http.Handler) http.Handler) *account {
	t.Helper()
	a := &account{T: t, Fake: fake.New()}
	a.server = fakeplatform.New(a.Fake)
	server := httptest.NewServer(before(a.server))
	t.Cleanup(server.Close)
	a.url = server.URL + "/mailchimp"
	a.settings = map[string]any{"listId": fake.List}
	facts, err := a.open().Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.facts = facts
	return a
}

func open(t *testing.T, url string, settings map[string]any, facts connector.Facts) connector.Connector {
	t.Helper()
	settings["baseUrl"] = url
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	client := &outbound.Client{MaxResponse: connector.MaxResponse, Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	t.Cleanup(client.Close)
	c, err := mailchimp.Kind.Open(connector.Config{Credentials: fake.New().Config().Credentials, Settings: text, Facts: facts}, &connector.Client{HTTP: client})
	if err != nil {
		t.Fatalf("%v %+v", err, usersync.AsError(err).Fields)
	}
	return c
}

func (a *account) open() connector.Connector {
	a.Helper()
	return open(a.T, a.url, a.settings, a.facts)
}

// push pushes people, who keep what they are given to keep.
func (a *account) push(people ...*connector.Profile) []connector.Result {
	a.Helper()
	var list []connector.Profile
	for _, p := range people {
		list = append(list, *p)
	}
	results, err := a.open().Push(a.Context(), list)
	if err != nil {
		a.Fatal(err)
	}
	for i, r := range results {
		people[i].Remote = r.Remote
	}
	return results
}

func (a *account) calls() int { return a.server.State("mailchimp").Calls }

// costs fails unless do makes that many calls.
func (a *account) costs(want int, what string, do func()) {
	a.Helper()
	before := a.calls()
	do()
	if got := a.calls() - before; got != want {
		a.Errorf("%s: %d calls, want %d: %v", what, got, want, a.server.State("mailchimp").ByRoute)
	}
}

func (a *account) want(r connector.Result, status connector.Status, details string) {
	a.Helper()
	if r.Status != status || r.Details != details {
		a.Errorf("got %s %q, %v, want %s %q", r.Status, r.Details, r.Err, status, details)
	}
}

func profile(t *testing.T, address string) *connector.Profile {
	t.Helper()
	email, err := person.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	return &connector.Profile{UserID: "user_1", Email: email, FirstName: "Ada", LastName: "Lovelace"}
}

func profiles(t *testing.T, n int) []*connector.Profile {
	t.Helper()
	out := make([]*connector.Profile, n)
	for i := range out {
		out[i] = profile(t, fmt.Sprintf("ada+%d@engine.example", i))
	}
	return out
}

func TestSentencesNameListAndTags(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ada := profile(t, "ada@engine.example")
	for _, c := range []struct {
		tags             []string
		preview, details string
		status           connector.Status
	}{
		{nil, "User would be added to the 'active-clients' list", "User added to the 'active-clients' list", connector.Added},
		{nil, "User would be updated in the 'active-clients' list", "User updated in the 'active-clients' list", connector.Updated},
		{[]string{"y", "x"}, "User would be updated in the 'active-clients' list, tags 'x', 'y' applied",
			"User updated in the 'active-clients' list, tags 'x', 'y' applied", connector.Updated},
	} {
		a.settings["tags"] = c.tags
		preview, err := a.open().Preview(t.Context(), *ada)
		if err != nil {
			t.Fatal(err)
		}
		a.want(preview, c.status, c.preview)
		a.want(a.push(ada)[0], c.status, c.details)
	}
	if one, _ := a.People().Get("ada@engine.example"); !slices.Equal(one.Tags, []string{"x", "y"}) {
		t.Errorf("has tags %v", one.Tags)
	}
}

func TestASecondPushOfTheSamePersonIsOneCall(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.settings["tags"] = []string{"x"}
	ada := profile(t, "ada@engine.example")
	a.costs(3, "first push, with tags", func() { a.push(ada) })
	a.costs(1, "second push", func() { a.push(ada) })
	a.settings["tags"] = []string{"x", "new"}
	a.costs(2, "with another tag", func() { a.push(ada) })
}

func TestAThousandPeopleAreTwoToFourCalls(t *testing.T) {
	t.Parallel()
	a := newLargeAccount(t)
	a.settings["tags"] = []string{"x"}
	people := profiles(t, 1000)
	a.costs(2, "all new", func() { a.push(people...) })
	a.costs(2, "all known", func() { a.push(people...) })
	for _, p := range people[:501] {
		p.Remote = ""
		a.People().Delete(p.Email.Display())
	}
	a.costs(3, "501 new, 499 known", func() { a.push(people...) })
	for _, p := range people {
		p.Remote = ""
	}
	a.costs(4, "all there, but not by us", func() {
		for _, r := range a.push(people...) {
			a.want(r, connector.Updated, "User updated in the 'active-clients' list, tags 'x' applied")
		}
	})
	for _, p := range people {
		if one, _ := a.People().Get(p.Email.Display()); !slices.Equal(one.Tags, []string{"x"}) {
			t.Fatalf("tags %v", one.Tags)
		}
	}
}

// However somebody left, and whether we know them or not, alone or in a batch:
// they are not subscribed again, and a push says so.
func TestNobodyWhoLeftIsSubscribedAgain(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		for _, batch := range []bool{true, false} {
			for _, how := range []string{"unsubscribed", "cleaned"} {
				t.Run(fmt.Sprintf("known %v, batch %v, %s", known, batch, how), func(t *testing.T) {
					t.Parallel()
					a := newAccount(t)
					ada, grace := profile(t, "ada@engine.example"), profile(t, "grace@engine.example")
					a.push(ada, grace)
					words := "User has unsubscribed from the 'active-clients' list and was not subscribed again"
					if how == "cleaned" {
						words = "User was removed by Mailchimp, as mail to them came back, from the 'active-clients' list and was not subscribed again"
						a.Clean("ada@engine.example")
					} else {
						a.People().Put("ada@engine.example", func(p *fakeplatform.Person, _ bool) { p.Unsubscribed = true })
					}
					if !known {
						ada.Remote, grace.Remote = "", ""
					}
					people := []*connector.Profile{ada}
					if batch {
						people = append(people, grace)
					}
					for range 2 {
						r := a.push(people...)[0]
						a.want(r, connector.Skipped, words)
						if r.Reason != usersync.ReasonUnsubscribed {
							t.Errorf("reason %q", r.Reason)
						}
					}
					preview, err := a.open().Preview(t.Context(), *ada)
					if err != nil {
						t.Fatal(err)
					}
					a.want(preview, connector.Skipped, strings.Replace(words, "was not", "would not be", 1))
				})
			}
		}
	}
}

func TestWhoWasTakenOutAtMailchimpComesBackAsNew(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	people := profiles(t, 3)
	a.push(people...)
	a.People().Delete(people[1].Email.Display())
	a.costs(2, "an update and an addition", func() {
		for i, r := range a.push(people...) {
			want := connector.Updated
			if i == 1 {
				want = connector.Added
			}
			if r.Status != want {
				t.Errorf("person %d: %+v", i, r)
			}
		}
	})
	if a.People().Len() != 3 {
		t.Errorf("there are %d", a.People().Len())
	}
}

func TestAMemberWhoStaysArchivedIsNotCalledAdded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"email_address":"ada@engine.example","status":"archived","tags":[]}`))
	}))
	t.Cleanup(server.Close)
	results, err := open(t, server.URL, map[string]any{"listId": fake.List}, connector.Facts{}).Push(t.Context(), []connector.Profile{*profile(t, "ada@engine.example")})
	if err != nil || results[0].Status != connector.Updated || results[0].Details != "User updated in the 'a36b032126' list, where they are archived" {
		t.Errorf("got %+v, %v", results, err)
	}
}

func TestWhatIsKeptOfAPersonHasRoom(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	lists := make([]string, 0, 20)
	for i := range 20 {
		lists = append(lists, fmt.Sprintf("%015d", i))
	}
	ada := profile(t, "ada@engine.example")
	ada.Remote = `{"member":"3aa6ce9d5bd47d37bf2d8bd0eaeb7c5d","lists":["` + strings.Join(lists, `","`) + `"]}`
	if got := a.push(ada)[0].Remote; len(got) > 500 || !strings.Contains(got, fake.List) || strings.Contains(got, lists[0]) || !strings.Contains(got, lists[1]) {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestRefusalsOfOnePersonFailThatPerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		address string
		change  func(*account)
		code    usersync.Code
		says    string
	}{
		"fake address": {"ada@example.com", func(*account) {}, usersync.CodeRejected, "looks fake or invalid"},
		"compliance": {"ada@engine.example", func(a *account) {
			a.People().Put("ada@engine.example", func(p *fakeplatform.Person, _ bool) { p.Refused = true })
		}, usersync.CodeRejected, "compliance state"},
		"erased before": {"ada@engine.example", func(a *account) {
			ada := profile(a.T, "ada@engine.example")
			a.push(ada)
			if _, err := a.open().Remove(a.Context(), *ada); err != nil {
				a.Fatal(err)
			}
		}, usersync.CodeRejected, "permanently deleted"},
		"bad number": {"ada@engine.example", func(a *account) { a.settings["mergeFields"] = map[string]string{"LTV": "lastName"} },
			usersync.CodeRejected, "LTV: Please enter a number"},
		"too many lists": {"ada@engine.example", func(a *account) { a.Busy("ada@engine.example") }, usersync.CodeRateLimited, "very recently"},
	} {
		for _, batch := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, batch %v", name, batch), func(t *testing.T) {
				t.Parallel()
				a := newAccount(t)
				c.change(a)
				people := []*connector.Profile{profile(t, c.address)}
				if batch {
					grace := profile(t, "grace@engine.example")
					grace.LastName = "12"
					people = append(people, grace)
				}
				results := a.push(people...)
				r := results[0]
				if r.Status != connector.Failed || r.Err.Code != c.code || !strings.Contains(r.Err.Message, c.says) {
					t.Errorf("got %+v, %v", r, r.Err)
				}
				if c.code == usersync.CodeRateLimited && r.Err.RetryAfter < time.Hour {
					t.Errorf("waits %v", r.Err.RetryAfter)
				}
				if batch && results[1].Status != connector.Added {
					t.Errorf("the other: %+v", results[1])
				}
			})
		}
	}
}

// Mailchimp's 403 without a problem, and 429, hold up the account; an address that
// has to wait holds up nobody else.
func TestWhatHoldsUpTheAccount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		code   usersync.Code
		wait   time.Duration
	}{
		{403, "<html>Forbidden</html>", usersync.CodeRateLimited, time.Minute},
		{403, "", usersync.CodeRateLimited, time.Minute},
		{403, `{"title":"User Disabled","status":403,"detail":"This account has been disabled."}`, usersync.CodeDisconnected, 0},
		{429, `{"title":"Too Many Requests","status":429}`, usersync.CodeRateLimited, 5 * time.Second},
		{400, `{"title":"Invalid Resource","status":400,"detail":"ada@engine.example has signed up to a lot of lists very recently; we're not allowing more signups for now"}`,
			usersync.CodeRejected, 0},
		{401, `{"title":"API Key Invalid","status":401}`, usersync.CodeDisconnected, 0},
		{503, "<html></html>", usersync.CodeUnavailable, 0},
	} {
		got := mailchimp.Kind.Classify(&outbound.Response{Status: c.status, Header: http.Header{}, Body: []byte(c.body)})
		if got.Code != c.code || got.RetryAfter != c.wait || strings.Contains(got.Message, "@") {
			t.Errorf("%d %s: %v, waits %v", c.status, c.body, got, got.RetryAfter)
		}
	}
}

func TestAChangedAddressMovesTheMember(t *testing.T) {
	t.Parallel()
	for _, batch := range []bool{true, false} {
		a := newAccount(t)
		ada, grace := profile(t, "ada@engine.example"), profile(t, "grace@engine.example")
		a.push(ada, grace)
		ada.Email = profile(t, "countess@engine.example").Email
		people := []*connector.Profile{ada}
		if batch {
			people = append(people, grace)
		}
		a.push(people...)
		if got := a.People().Emails(); !slices.Equal(got, []string{"countess@engine.example", "grace@engine.example"}) {
			t.Errorf("batch %v: %v", batch, got)
		}
		a.costs(1, "the next push", func() { a.push(ada) })
		ada.Email = grace.Email // taken there: that member is written
		a.want(a.push(ada)[0], connector.Updated, "User updated in the 'active-clients' list")
	}
}

func TestErasureFindsEveryListOfThePerson(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ada := profile(t, "ada@engine.example")
	a.push(ada)
	a.settings["listId"] = fake.OtherList // as a bulk call may
	a.want(a.push(ada)[0], connector.Added, "User added to the '1b724bb934' list")
	a.settings["listId"] = fake.List
	a.costs(2, "a call for each list", func() {
		r, err := a.open().Remove(t.Context(), *ada)
		if err != nil {
			t.Fatal(err)
		}
		a.want(r, connector.Removed, "User erased from the 'active-clients' list")
	})
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	if a.facts.Account != "us21:5f6e3ecf127508cdb5e31e90b" || a.facts.Labels["list:"+fake.List] != "active-clients" {
		t.Errorf("learnt %+v", a.facts)
	}
	for _, c := range []struct {
		settings map[string]any
		field    string
	}{
		{map[string]any{"listId": "ffffffffff"}, "settings.listId"},
		{map[string]any{"listId": fake.List, "mergeFields": map[string]string{"FNAME": "name", "PLAN": "attributes.plan"}}, "settings.mergeFields.PLAN"},
	} {
		_, err := open(t, a.url, c.settings, connector.Facts{}).Check(t.Context())
		e := usersync.AsError(err)
		if e == nil || e.Code != usersync.CodeDisconnected || len(e.Fields) != 1 || e.Fields[0].Field != c.field {
			t.Errorf("%v: %+v", c.settings, e)
		}
	}
}

// A list that was there at the check is gone, and so is the connection; one that
// only a push names is that push's fault.
func TestAListThatIsNotThere(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.settings["listId"] = "ffffffffff"
	ada := *profile(t, "ada@engine.example")
	var two []connector.Profile
	for _, p := range profiles(t, 2) {
		two = append(two, *p)
	}
	for _, people := range [][]connector.Profile{{ada}, two} {
		results, err := a.open().Push(t.Context(), people)
		if err != nil || len(results) != len(people) {
			t.Fatalf("%d people: %+v, %v", len(people), results, err)
		}
		for _, r := range results {
			if r.Status != connector.Failed || r.Err.Code != usersync.CodeRejected {
				t.Errorf("%d people: %+v, %v", len(people), r, r.Err)
			}
		}
	}
	if r, err := a.open().Preview(t.Context(), ada); err != nil || r.Status != connector.Failed {
		t.Errorf("preview: %+v, %v", r, err)
	}
	a.facts.Labels["list:ffffffffff"] = "was here"
	for _, people := range [][]connector.Profile{{ada}, two} {
		if _, err := a.open().Push(t.Context(), people); usersync.CodeOf(err) != usersync.CodeDisconnected {
			t.Errorf("%d people: %v", len(people), err)
		}
	}
}

func TestFaultsOfSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ credentials, settings, field string }{
		{`{"apiKey":"0123456789-us21.evil.example/"}`, `{"listId":"a1"}`, "credentials.apiKey"},
		{`{"apiKey":"0123456789"}`, `{"listId":"a1"}`, "credentials.apiKey"},
		{`{"apiKey":"0-us21"}`, `{"listId":"../x"}`, "settings.listId"},
		{`{"apiKey":"0-us21"}`, `{"listId":"a1","tags":[" "]}`, "settings.tags"},
		{`{"apiKey":"0-us21"}`, `{"listId":"a1","statusIfNew":"unsubscribed"}`, "settings.statusIfNew"},
		{`{"apiKey":"0-us21"}`, `{"listId":"a1","mergeFields":{"FNAME":"first"}}`, "settings.mergeFields.FNAME"},
	} {
		_, err := mailchimp.Kind.Open(connector.Config{Credentials: json.RawMessage(c.credentials), Settings: json.RawMessage(c.settings)}, &connector.Client{})
		e := usersync.AsError(err)
		if e == nil || len(e.Fields) != 1 || e.Fields[0].Field != c.field || strings.Contains(fmt.Sprint(e.Fields), "0123456789") {
			t.Errorf("%s %s: %+v", c.credentials, c.settings, e)
		}
	}
}

func TestSettingsOfNewMembersAreUsed(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Require("COMPANY") // by the form of the list, which does not bind us
	a.settings["statusIfNew"] = "pending"
	a.settings["mergeFields"] = map[string]string{"LTV": "attributes.ltv", "JOBTITLE": "attributes.vip", "LNAME": ""}
	ada := profile(t, "ada@engine.example")
	ada.Attributes = map[string]any{"ltv": 12.5, "vip": true}
	a.push(ada)
	one, _ := a.People().Get("ada@engine.example")
	if fmt.Sprint(one.Fields) != "map[FNAME:Ada JOBTITLE:true LTV:12.5]" {
		t.Errorf("has %v", one.Fields)
	}
}

func TestAudiencesAreTags(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	maker := a.open().(connector.AudienceMaker)
	id, patch, err := maker.MakeAudience(t.Context(), " Spring ", "")
	if err != nil || id != "Spring" || !slices.Equal(patch.Tags, []string{"Spring"}) {
		t.Errorf("got %q %+v %v", id, patch, err)
	}
	if _, _, err := maker.MakeAudience(t.Context(), " ", ""); usersync.CodeOf(err) != usersync.CodeInvalid {
		t.Errorf("no name: %v", err)
	}
}

// What arrived before a call failed is told beside the error.
func TestResultsOfCallsThatWorkedComeBesideAnError(t *testing.T) {
	t.Parallel()
	a := newLargeAccount(t)
	a.server.Break("mailchimp", fakeplatform.Fault{Path: "/lists/", Skip: 1, Status: http.StatusServiceUnavailable})
	var people []connector.Profile
	for _, p := range profiles(t, 600) {
		people = append(people, *p)
	}
	results, err := a.open().Push(t.Context(), people)
	if usersync.CodeOf(err) != usersync.CodeUnavailable || len(results) != 600 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for i, r := range results {
		if (r.Status == connector.Added) != (i < 500) {
			t.Fatalf("person %d: %+v", i, r)
		}
	}
}

func TestTheFakeRefusesWhatThePlatformRefuses(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Require("COMPANY")
	members := func(n int) string {
		return `{"members":[` + strings.TrimSuffix(strings.Repeat(`{"email_address":"a@engine.example","status":"subscribed"},`, n), ",") + `]}`
	}
	const one, batch = "/3.0/lists/" + fake.List + "/members/b@engine.example", "/3.0/lists/" + fake.List + "?skip_merge_validation=true"
	const lenient = one + "?skip_merge_validation=true"
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", batch, members(501), 400, "500 elements or less"},
		{"POST", batch, members(500), 200, `"total_created":1`},
		{"PUT", one, `{"email_address":"b@engine.example","status_if_new":"subscribed"}`, 400, `"field":"COMPANY"`},
		{"PUT", lenient, `{"email_address":"b@engine.example"}`, 400, `"field":"status_if_new"`},
		{"PUT", lenient, `{"email_address":"b","status_if_new":"subscribed"}`, 400, "Please provide a valid email address."},
		{"PUT", lenient, `{"email_address":"b@engine.example","status_if_new":"subscribed","merge_fields":{"NOSUCH":"x"}}`, 200, `"status":"subscribed"`},
		{"DELETE", one, ``, 204, ""},
		{"DELETE", one, ``, 405, "Can not archive a contact that is bounced, pending or archived"},
		{"GET", "/3.0/lists/ffffffffff", ``, 404, "Resource Not Found"},
		{"GET", "/3.0/unknown", ``, 404, "Resource Not Found"},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.SetBasicAuth("anybody", fake.Key)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s %.80s: %d %.200s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
	if one, _ := a.People().Get("b@engine.example"); len(one.Fields) != 0 {
		t.Errorf("kept %v", one.Fields)
	}
}

// meanings are what the refusals of Mailchimp mean, by status and title.
var meanings = map[string]usersync.Code{
	"200 ": "", "204 ": "",
	"400 Invalid Resource":   usersync.CodeRejected,
	"400 Member Exists":      usersync.CodeRejected,
	"404 Resource Not Found": usersync.CodeRejected,
	"405 Method Not Allowed": usersync.CodeRejected,
}

func TestRecordedAnswersMeanWhatTheySay(t *testing.T) {
	t.Parallel()
	refusals := 0
	for _, e := range connectortest.Recorded(t, "mailchimp.json") {
		var problem struct{ Title string }
		_ = json.Unmarshal(e.Answer.Body, &problem)
		key := fmt.Sprintf("%d %s", e.Answer.Status, problem.Title)
		want, known := meanings[key]
		if !known {
			t.Errorf("%s %s: %q is in no table", e.Method, e.Path, key)
		}
		got := mailchimp.Kind.Classify(&e.Answer)
		if want == "" {
			if got != nil {
				t.Errorf("%s: %v", key, got)
			}
			continue
		}
		refusals++
		if got == nil || got.Code != want || strings.Contains(got.Message, "@") || got.Message == "" {
			t.Errorf("%s: %v", key, got)
		}
	}
	if refusals < 40 {
		t.Errorf("only %d refusals were replayed", refusals)
	}
}

// Previews and pushes read every recorded answer about a member.
func TestRecordedMembersAreRead(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, e := range connectortest.Recorded(t, "mailchimp.json") {
		parts := strings.Split(e.Path, "/")
		if len(parts) != 6 || parts[4] != "members" || e.Method != http.MethodGet && e.Method != http.MethodPut {
			continue
		}
		server := httptest.NewServer(http.HandlerFunc(e.Replay))
		c := open(t, server.URL, map[string]any{"listId": fake.List}, connector.Facts{Labels: map[string]string{"list:" + fake.List: "active-clients"}})
		ada := profile(t, "ada@engine.example")
		var r connector.Result
		var err error
		if e.Method == http.MethodGet {
			r, err = c.Preview(t.Context(), *ada)
		} else {
			ada.Remote = `{"member":"x","lists":["` + fake.List + `"]}`
			var results []connector.Result
			if results, err = c.Push(t.Context(), []connector.Profile{*ada}); err == nil {
				r = results[0]
			}
		}
		server.Close()
		var body struct{ Status any }
		_ = json.Unmarshal(e.Answer.Body, &body)
		key := fmt.Sprintf("%s %v %s %v", e.Method, body.Status, r.Status, err)
		seen[key]++
	}
	for key := range seen {
		switch key {
		case "GET subscribed updated <nil>", "GET unsubscribed skipped <nil>", "GET cleaned skipped <nil>", "GET pending updated <nil>",
			"GET archived added <nil>", "GET 404 added <nil>", "GET transactional updated <nil>",
			"PUT subscribed updated <nil>", "PUT unsubscribed skipped <nil>", "PUT pending updated <nil>", "PUT 400 failed <nil>":
		default:
			t.Errorf("%d times %s", seen[key], key)
		}
	}
	t.Log(seen)
}
