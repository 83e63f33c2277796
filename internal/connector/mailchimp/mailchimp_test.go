package mailchimp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/mailchimp"
	"usersync/internal/connector/mailchimp/fake"
	"usersync/internal/connector/published"
	"usersync/internal/usersync"
)

var spec = published.Spec{Files: []string{"mailchimp-marketing-subset.json"}}

var platform = connectortest.Of(mailchimp.Platform, fake.New, connectortest.Options{Spec: spec})

func TestMain(m *testing.M) { connectortest.Main(m) }

func TestConnector(t *testing.T) { platform.Run(t) }

// Mailchimp's 403 without a problem, and 429, hold up the account. An address that
// has to wait does not hold up others.
func TestEveryAnswerHasItsMeaning(t *testing.T) {
	t.Parallel()
	platform.WantMeanings(t, []connectortest.Meaning{
		{Status: 403, Body: "<html>Forbidden</html>", Code: usersync.CodeRateLimited, Wait: time.Minute},
		{Status: 403, Code: usersync.CodeRateLimited, Wait: time.Minute},
		{Status: 403, Body: `{"title":"User Disabled","status":403,"detail":"This account has been disabled."}`, Code: usersync.CodeDisconnected},
		{Status: 429, Body: `{"title":"Too Many Requests","status":429}`, Code: usersync.CodeRateLimited, Wait: 5 * time.Second},
		{Status: 400, Code: usersync.CodeRejected,
			Body: `{"title":"Invalid Resource","status":400,"detail":"ada@example.com has signed up to a lot of lists very recently; we're not allowing more signups for now"}`},
		{Status: 401, Body: `{"title":"API Key Invalid","status":401}`, Code: usersync.CodeDisconnected},
		{Status: 503, Body: "<html></html>", Code: usersync.CodeUnavailable},
	})
}

// account is a fake with a connection to it.
type account struct {
	*connectortest.Account
	*fake.Fake
	settings map[string]any
	facts    connector.Facts
}

// newAccount compares every request with Mailchimp's description.
func newAccount(t *testing.T) *account {
	t.Helper()
	return serve(t, spec.Validate(t, "mailchimp"))
}

// newLargeAccount compares nothing, because that would be slow with 500 members a
// call.
func newLargeAccount(t *testing.T) *account {
	t.Helper()
	return serve(t)
}

func serve(t *testing.T, before ...func(http.Handler) http.Handler) *account {
	t.Helper()
	a := &account{Account: platform.Serve(t, before...), settings: map[string]any{"listId": fake.List}}
	a.Fake = a.Account.Fake.(*fake.Fake)
	a.facts = a.Check(connectortest.JSON(t, a.settings))
	return a
}

func (a *account) open() connector.Connector {
	a.Helper()
	return a.Dial(connectortest.JSON(a, a.settings), a.facts)
}

// push pushes people, who keep what they are given to keep.
func (a *account) push(people ...*connector.Profile) []connector.Result {
	a.Helper()
	return a.Bring(a.open(), people...)
}

// settings of a connection to the list alone.
const settings = `{"listId":"` + fake.List + `"}`

func people(t *testing.T, n int) []*connector.Profile {
	t.Helper()
	return connectortest.Pointers(connectortest.People(t, n))
}

func TestSentencesNameListAndTags(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ada := connectortest.Ada(t)
	for _, c := range []struct {
		tags             []string
		preview, details string
		status           connector.Status
	}{
		{nil, "User would be added to the 'active-clients' list", "User added to the 'active-clients' list", connector.Added},
		{nil, "User would be updated in the 'active-clients' list", "User updated in the 'active-clients' list", connector.Updated},
		{[]string{"y", "x"}, "User would be updated in the 'active-clients' list; tags 'x', 'y' would be applied",
			"User updated in the 'active-clients' list; tags 'x', 'y' have been applied", connector.Updated},
	} {
		a.settings["tags"] = c.tags
		preview, err := a.open().Preview(t.Context(), ada)
		if err != nil {
			t.Fatal(err)
		}
		a.Want(preview, c.status, c.preview)
		a.Want(a.push(&ada)[0], c.status, c.details)
	}
	if one := a.Held(ada); !slices.Equal(one.Tags, []string{"x", "y"}) {
		t.Errorf("has tags %v", one.Tags)
	}
}

func TestASecondPushOfTheSamePersonIsOneCall(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.settings["tags"] = []string{"x"}
	ada := connectortest.Ada(t)
	a.Costs(3, "first push, with tags", func() { a.push(&ada) })
	a.Costs(1, "second push", func() { a.push(&ada) })
	a.settings["tags"] = []string{"x", "new"}
	a.Costs(2, "with another tag", func() { a.push(&ada) })
}

func TestAThousandPeopleAreTwoToFourCalls(t *testing.T) {
	t.Parallel()
	a := newLargeAccount(t)
	a.settings["tags"] = []string{"x"}
	people := people(t, 1000)
	a.Costs(2, "all new", func() { a.push(people...) })
	a.Costs(2, "all known", func() { a.push(people...) })
	for _, p := range people[:501] {
		p.Remote = ""
		a.People().Delete(p.Email.Display())
	}
	a.Costs(3, "501 new, 499 known", func() { a.push(people...) })
	for _, p := range people {
		p.Remote = ""
	}
	a.Costs(4, "all there, but not by us", func() {
		for _, r := range a.push(people...) {
			a.Want(r, connector.Updated, "User updated in the 'active-clients' list; tags 'x' have been applied")
		}
	})
	for _, p := range people {
		if one := a.Held(*p); !slices.Equal(one.Tags, []string{"x"}) {
			t.Fatalf("tags %v", one.Tags)
		}
	}
}

// People who have left are not subscribed again, and a push says so. It does not
// matter how they left, whether they are known, or whether they are pushed alone or
// in a batch.
func TestNobodyWhoLeftIsSubscribedAgain(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		for _, batch := range []bool{true, false} {
			for _, how := range []string{"unsubscribed", "cleaned"} {
				t.Run(fmt.Sprintf("known %v, batch %v, %s", known, batch, how), func(t *testing.T) {
					t.Parallel()
					a := newAccount(t)
					ada, grace := connectortest.Ada(t), connectortest.Grace(t)
					a.push(&ada, &grace)
					words := "User has unsubscribed from the 'active-clients' list and was updated, but not subscribed again"
					if how == "cleaned" {
						words = "User was removed by Mailchimp, as mail to them came back, from the 'active-clients' list and was updated, but not subscribed again"
						a.Clean("ada@analytical-engine.example")
					} else {
						a.Unsubscribe(ada)
					}
					if !known {
						ada.Remote, grace.Remote = "", ""
					}
					people := []*connector.Profile{&ada}
					if batch {
						people = append(people, &grace)
					}
					for range 2 {
						r := a.push(people...)[0]
						a.Want(r, connector.Skipped, words)
						if r.Reason != usersync.ReasonUnsubscribed {
							t.Errorf("reason %q", r.Reason)
						}
					}
					preview, err := a.open().Preview(t.Context(), ada)
					if err != nil {
						t.Fatal(err)
					}
					a.Want(preview, connector.Skipped, strings.Replace(words, "was updated", "would be updated", 1))
				})
			}
		}
	}
}

func TestWhoWasTakenOutAtMailchimpComesBackAsNew(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	people := people(t, 3)
	a.push(people...)
	a.People().Delete(people[1].Email.Display())
	a.Costs(2, "an update and an addition", func() {
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
	answer := connectortest.Says(http.StatusOK, `{"email_address":"ada@analytical-engine.example","status":"archived","tags":[]}`)
	a := platform.ServeHandler(t, answer)
	r := a.Push(a.Dial(settings, connector.Facts{}), connectortest.Ada(t))[0]
	a.Want(r, connector.Updated, "User updated in the 'a36b032126' list, where they are archived")
}

func TestWhatIsKeptOfAPersonHasRoom(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	lists := make([]string, 0, 20)
	for i := range 20 {
		lists = append(lists, fmt.Sprintf("%015d", i))
	}
	ada := connectortest.Ada(t)
	ada.Remote = `{"member":"3aa6ce9d5bd47d37bf2d8bd0eaeb7c5d","lists":["` + strings.Join(lists, `","`) + `"]}`
	if got := a.push(&ada)[0].Remote; len(got) > 500 || !strings.Contains(got, fake.List) || strings.Contains(got, lists[0]) || !strings.Contains(got, lists[1]) {
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
		"compliance": {"ada@analytical-engine.example", func(a *account) {
			a.Account.Refuse(connectortest.Ada(a))
		}, usersync.CodeRejected, "compliance state"},
		"erased before": {"ada@analytical-engine.example", func(a *account) {
			ada := connectortest.Ada(a)
			a.push(&ada)
			if _, err := a.open().Remove(a.Context(), ada); err != nil {
				a.Fatal(err)
			}
		}, usersync.CodeRejected, "permanently deleted"},
		"bad number": {"ada@analytical-engine.example", func(a *account) { a.settings["mergeFields"] = map[string]string{"LTV": "lastName"} },
			usersync.CodeRejected, "LTV: Please enter a number"},
		"too many lists": {"ada@analytical-engine.example", func(a *account) { a.Busy("ada@analytical-engine.example") }, usersync.CodeRateLimited, "very recently"},
	} {
		for _, batch := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, batch %v", name, batch), func(t *testing.T) {
				t.Parallel()
				a := newAccount(t)
				c.change(a)
				ada := connectortest.Person(t, c.address, "Ada", "Lovelace")
				people := []*connector.Profile{&ada}
				if batch {
					grace := connectortest.Grace(t)
					grace.LastName = "12"
					people = append(people, &grace)
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

func TestAChangedAddressMovesTheMember(t *testing.T) {
	t.Parallel()
	for _, batch := range []bool{true, false} {
		a := newAccount(t)
		ada, grace := connectortest.Ada(t), connectortest.Grace(t)
		a.push(&ada, &grace)
		ada.Email = connectortest.Person(t, "countess@analytical-engine.example", "", "").Email
		people := []*connector.Profile{&ada}
		if batch {
			people = append(people, &grace)
		}
		a.push(people...)
		if got := a.People().Emails(); !slices.Equal(got, []string{"countess@analytical-engine.example", "grace@analytical-engine.example"}) {
			t.Errorf("batch %v: %v", batch, got)
		}
		a.Costs(1, "the next push", func() { a.push(&ada) })
		ada.Email = grace.Email // taken there: that member is written
		a.Want(a.push(&ada)[0], connector.Updated, "User updated in the 'active-clients' list")
	}
}

func TestErasureFindsEveryListOfThePerson(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ada := connectortest.Ada(t)
	a.push(&ada)
	a.settings["listId"] = fake.OtherList // as a bulk call may
	a.Want(a.push(&ada)[0], connector.Added, "User added to the '1b724bb934' list")
	a.settings["listId"] = fake.List
	a.Costs(2, "a call for each list", func() {
		r, err := a.open().Remove(t.Context(), ada)
		if err != nil {
			t.Fatal(err)
		}
		a.Want(r, connector.Removed, "User removed from the 'active-clients' list")
	})
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	if a.facts.Account != "us21:5f6e3ecf127508cdb5e31e90b" || a.facts.Labels["list:"+fake.List] != "active-clients" {
		t.Errorf("learnt %+v", a.facts)
	}
	a.WantDisconnected(map[string]string{
		`{"listId":"ffffffffff"}`: "settings.listId",
		`{"listId":"a36b032126","mergeFields":{"FNAME":"name","PLAN":"attributes.plan"}}`: "settings.mergeFields.PLAN",
	})
}

// If a list that a check has seen is gone, the connection is disconnected. If only a
// push names a missing list, only that push fails.
func TestAListThatIsNotThere(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.settings["listId"] = "ffffffffff"
	ada := connectortest.Ada(t)
	two := connectortest.People(t, 2)
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
		_, err := mailchimp.Platform.Open(connector.Config{Credentials: json.RawMessage(c.credentials), Settings: json.RawMessage(c.settings)}, &connector.Client{})
		connectortest.WantNamed(t, c.credentials+c.settings, err, usersync.CodeInvalid, c.field)
		if e := usersync.AsError(err); e != nil && strings.Contains(fmt.Sprint(e.Fields), "0123456789") {
			t.Errorf("%s is shown: %v", c.credentials, e.Fields)
		}
	}
}

func TestSettingsOfNewMembersAreUsed(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.Require("COMPANY") // by the form of the list, which does not bind us
	a.settings["statusIfNew"] = "pending"
	a.settings["mergeFields"] = map[string]string{"LTV": "attributes.ltv", "JOBTITLE": "attributes.vip", "LNAME": ""}
	ada := connectortest.Ada(t)
	ada.Attributes = map[string]any{"ltv": 12.5, "vip": true}
	a.push(&ada)
	one := a.Held(ada)
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

// The results of people who arrived before a call failed come beside the error.
func TestResultsOfCallsThatWorkedComeBesideAnError(t *testing.T) {
	t.Parallel()
	a := newLargeAccount(t)
	a.Break(fakeplatform.Fault{Path: "/lists/", Skip: 1, Status: http.StatusServiceUnavailable})
	results, err := a.open().Push(t.Context(), connectortest.People(t, 600))
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
		return `{"members":[` + strings.TrimSuffix(strings.Repeat(`{"email_address":"a@analytical-engine.example","status":"subscribed"},`, n), ",") + `]}`
	}
	const one, batch = "/3.0/lists/" + fake.List + "/members/b@analytical-engine.example", "/3.0/lists/" + fake.List + "?skip_merge_validation=true"
	const lenient = one + "?skip_merge_validation=true"
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", batch, members(501), 400, "500 elements or less"},
		{"POST", batch, members(500), 200, `"total_created":1`},
		{"PUT", one, `{"email_address":"b@analytical-engine.example","status_if_new":"subscribed"}`, 400, `"field":"COMPANY"`},
		{"PUT", lenient, `{"email_address":"b@analytical-engine.example"}`, 400, `"field":"status_if_new"`},
		{"PUT", lenient, `{"email_address":"b","status_if_new":"subscribed"}`, 400, "Please provide a valid email address."},
		{"PUT", lenient, `{"email_address":"b@analytical-engine.example","status_if_new":"subscribed","merge_fields":{"NOSUCH":"x"}}`, 200, `"status":"subscribed"`},
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
	if one, _ := a.People().Get("b@analytical-engine.example"); len(one.Fields) != 0 {
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
	for _, e := range published.Recorded(t, "mailchimp.json") {
		var problem struct{ Title string }
		_ = json.Unmarshal(e.Answer.Body, &problem)
		key := fmt.Sprintf("%d %s", e.Answer.Status, problem.Title)
		want, known := meanings[key]
		if !known {
			t.Errorf("%s %s: %q is in no table", e.Method, e.Path, key)
		}
		got := mailchimp.Platform.Classify(&e.Answer)
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
	var e published.Exchange
	a := platform.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.Replay(w, r) }))
	seen := map[string]int{}
	for _, e = range published.Recorded(t, "mailchimp.json") {
		parts := strings.Split(e.Path, "/")
		if len(parts) != 6 || parts[4] != "members" || e.Method != http.MethodGet && e.Method != http.MethodPut {
			continue
		}
		c := a.Dial(settings, connector.Facts{Labels: map[string]string{"list:" + fake.List: "active-clients"}})
		ada := connectortest.Ada(t)
		var r connector.Result
		var err error
		if e.Method == http.MethodGet {
			r, err = c.Preview(t.Context(), ada)
		} else {
			ada.Remote = `{"member":"x","lists":["` + fake.List + `"]}`
			var results []connector.Result
			if results, err = c.Push(t.Context(), []connector.Profile{ada}); err == nil {
				r = results[0]
			}
		}
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
