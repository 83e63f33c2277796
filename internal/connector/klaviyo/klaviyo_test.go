package klaviyo_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/klaviyo"
	"usersync/internal/connector/klaviyo/fake"
	"usersync/internal/connector/published"
	"usersync/internal/usersync"
)

var spec = published.Spec{Files: []string{
	"klaviyo/add_profiles_to_list.json", "klaviyo/bulk_import_profiles.json", "klaviyo/create_list.json", "klaviyo/create_or_update_profile.json",
	"klaviyo/get_accounts.json", "klaviyo/get_bulk_import_profiles_job.json", "klaviyo/get_errors_for_bulk_import_profiles_job.json",
	"klaviyo/get_list.json", "klaviyo/get_lists.json", "klaviyo/get_profiles.json", "klaviyo/request_profile_deletion.json",
}, Except: []string{"PATCH /api/profiles/{id}", "DELETE /api/lists/{id}/relationships/profiles", "POST /api/profile-subscription-bulk-create-jobs", "POST /api/profile-subscription-bulk-delete-jobs"}}

var platform = connectortest.Of(klaviyo.Platform, fake.New, connectortest.Options{Spec: spec, JobOf: 6})

func TestMain(m *testing.M) { connectortest.Main(m) }

func TestConnector(t *testing.T) { platform.Run(t) }

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	t.Parallel()
	const said = `{"errors":[{"id":"1","code":"invalid","title":"Invalid input.","detail":"No such thing for ada@example.com.","source":{"pointer":"/data"}}]}`
	platform.WantMeanings(t, []connectortest.Meaning{
		{Status: 400, Body: said, Code: usersync.CodeRejected, Says: "No such thing for (address)"},
		{Status: 401, Body: said, Code: usersync.CodeDisconnected},
		{Status: 403, Body: said, Code: usersync.CodeDisconnected},
		{Status: 404, Body: said, Code: usersync.CodeRejected},
		{Status: 409, Body: said, Code: usersync.CodeRejected},
		{Status: 410, Body: said, Code: usersync.CodeDisconnected}, // a retired revision
		{Status: 413, Body: "<html>", Code: usersync.CodeRejected},
		{Status: 415, Body: said, Code: usersync.CodeRejected},
		{Status: 429, Header: http.Header{"Retry-After": {"42"}}, Body: said, Code: usersync.CodeRateLimited, Wait: 42 * time.Second},
		{Status: 500, Body: said, Code: usersync.CodeUnavailable},
		{Status: 503, Header: http.Header{"Retry-After": {"3"}}, Code: usersync.CodeUnavailable, Wait: 3 * time.Second},
		{Status: 400, Body: `{"errors":[null]}`, Code: usersync.CodeRejected},
		{Status: 400, Body: `{"errors":[{"title":"Only a title"}]}`, Code: usersync.CodeRejected, Says: "Only a title"},
	})
}

func TestManyPeopleAreOneJobAfterOneReadOfAHundred(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	a.Push(a.Open(""), connectortest.People(t, 250)...)
	calls := a.Routes()
	if calls["GET /api/profiles"] != 3 || calls["POST /api/profile-bulk-import-jobs"] != 1 || calls["POST /api/profile-import"] != 0 {
		t.Errorf("calls: %v", calls)
	}
}

func TestAFewPeopleShareOneCallForTheList(t *testing.T) {
	t.Parallel()
	a, people := platform.Serve(t), connectortest.People(t, 4)
	results := a.Push(a.Open(""), people...)
	calls := a.Routes()
	if calls["POST /api/profile-import"] != 4 || calls["POST /api/lists/…/relationships/profiles"] != 1 {
		t.Errorf("calls: %v", calls)
	}
	a.Want(results[0], connector.Added, "User added to the 'active-clients' list; tags 'onlyautomator-user' have been applied")
	one := a.Held(people[3])
	if len(one.Lists) != 1 || one.Lists[0] != fake.List || len(one.Tags) != 1 {
		t.Errorf("the fourth: %+v", one)
	}
}

func TestWithoutAListNothingIsReadAndNobodyPutAnywhere(t *testing.T) {
	t.Parallel()
	a, people := platform.Serve(t), connectortest.People(t, 6)
	c := a.Open(`{"tags":["onlyautomator-user"]}`)
	a.Want(a.Push(c, people[0])[0], connector.Added, "User added; tags 'onlyautomator-user' have been applied")
	a.Push(c, people...)
	calls := a.Routes()
	if calls["GET /api/profiles"] != 0 || calls["POST /api/lists/…/relationships/profiles"] != 0 {
		t.Errorf("calls: %v", calls)
	}
	if one := a.Held(people[0]); len(one.Lists) != 0 {
		t.Errorf("is on %v", one.Lists)
	}
}

func TestAJobKeepsThoseOffTheListWhoHaveLeft(t *testing.T) {
	t.Parallel()
	a, people := platform.Serve(t), connectortest.People(t, 20)
	c := a.Open("")
	a.Unsubscribe(people[7])
	for i, r := range a.Confirm(c, people, a.Push(c, people...)) {
		one := a.Held(people[i])
		if i != 7 {
			if r.Status != connector.Synced || len(one.Lists) != 1 {
				t.Errorf("person %d: %+v, on %v", i, r, one.Lists)
			}
			continue
		}
		if r.Status != connector.Skipped || r.Reason != usersync.ReasonUnsubscribed || len(one.Lists) != 0 || one.Fields["first_name"] != "Grace" {
			t.Errorf("who left: %+v, %+v", r, one)
		}
	}
}

func TestAJobSaysWhomItFailedForOverAllPages(t *testing.T) {
	t.Parallel()
	a, people := platform.Serve(t), connectortest.People(t, 300)
	c := a.Open("")
	for i := range 120 {
		a.Refuse(people[i])
	}
	for i, r := range a.Confirm(c, people, a.Push(c, people...)) {
		if want := i < 120; (r.Status == connector.Failed) != want {
			t.Errorf("person %d: %+v", i, r)
		}
	}
	if n := a.Routes()["GET /api/profile-bulk-import-jobs/…/import-errors"]; n != 2 {
		t.Errorf("%d pages were read", n)
	}
}

func TestAJobIsSplitAtFiveMegabytesAndAProfileBoundedAtAHundredKilobytes(t *testing.T) {
	t.Parallel()
	a, people := platform.Serve(t), connectortest.People(t, 60)
	for i := range people {
		people[i].Attributes = map[string]any{"essay": strings.Repeat("x", 95_000)}
	}
	people[9].Attributes["essay"] = strings.Repeat("x", 100_000)
	results := a.Push(a.Open(`{"listId":"Y6nRLr","attributes":{"essay":"attributes.essay"}}`), people...)
	if n := a.Routes()["POST /api/profile-bulk-import-jobs"]; n != 2 {
		t.Errorf("%d jobs", n)
	}
	for i, r := range results {
		if want := i == 9; (r.Status == connector.Failed) != want {
			t.Errorf("person %d: %+v", i, r)
		}
	}
}

func TestAJobIsSentAgainWithoutThoseItWasRefusedFor(t *testing.T) {
	t.Parallel()
	calls := 0
	script := connectortest.Script{"POST /api/profile-bulk-import-jobs": func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			connectortest.Says(400, `{"errors":[{"detail":"Bad phone number","source":{"pointer":"/data/attributes/profiles/data/2/attributes/phone_number"}}]}`)(w, r)
			return
		}
		connectortest.Says(202, `{"data":{"type":"profile-bulk-import-job","id":"job1"}}`)(w, r)
	}}
	results, err := platform.Dial(t, script, `{}`).Push(t.Context(), connectortest.People(t, 6))
	if err != nil || calls != 2 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	connectortest.WantResent(t, results, 2, "Bad phone number", "job1")
}

func TestWhatAJobSaysOfItself(t *testing.T) {
	t.Parallel()
	const errors = "/api/profile-bulk-import-jobs/job1/import-errors"
	job := func(status string, failed int) string {
		return fmt.Sprintf(`{"data":{"attributes":{"status":%q,"failed_count":%d}}}`, status, failed)
	}
	for _, c := range []struct {
		name, job, errors string
		want              [2]connector.Status
		code              usersync.Code
	}{
		{"queued", job("queued", 0), "", [2]connector.Status{connector.Pending, connector.Pending}, ""},
		{"processing", job("processing", 1), "", [2]connector.Status{connector.Pending, connector.Pending}, ""},
		{"complete", job("complete", 0), "", [2]connector.Status{connector.Synced, connector.Synced}, ""},
		{"cancelled", job("cancelled", 0), "", [2]connector.Status{connector.Failed, connector.Failed}, ""},
		{"unheard of", job("sleeping", 0), "", [2]connector.Status{}, usersync.CodeUnavailable},
		{"failed by payload", job("complete", 1),
			`{"data":[{"attributes":{"detail":"no","source":{"pointer":"/data"},"original_payload":{"email":"PERSON-1@analytical-engine.example"}}}]}`,
			[2]connector.Status{connector.Synced, connector.Failed}, ""},
		{"failed by resource", job("complete", 1),
			`{"data":[{"attributes":{"detail":"no","source":{},"original_payload":{"type":"profile","attributes":{"email":"person-0@analytical-engine.example"}}}}]}`,
			[2]connector.Status{connector.Failed, connector.Synced}, ""},
		{"failed by pointer", job("complete", 1),
			`{"data":[{"attributes":{"detail":"no","source":{"pointer":"/data/attributes/profiles/data/0"},"original_payload":null}}]}`,
			[2]connector.Status{connector.Failed, connector.Synced}, ""},
		{"failed for nobody named", job("complete", 2),
			`{"data":[{"attributes":{"detail":"no"}},{"attributes":{"detail":"no","original_payload":{"email":"person-0@analytical-engine.example"}}}]}`,
			[2]connector.Status{connector.Failed, ""}, usersync.CodeUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			script := connectortest.Script{"GET /api/profile-bulk-import-jobs/job1": connectortest.Says(200, c.job), "GET " + errors: connectortest.Says(200, c.errors)}
			got, err := platform.Dial(t, script, "").(connector.Confirmer).Confirm(t.Context(), "job1", connectortest.People(t, 2))
			if usersync.CodeOf(err) != c.code {
				t.Fatalf("got %v", err)
			}
			connectortest.WantStatuses(t, got, c.want[:]...)
		})
	}
}

// A list that only one call names is that call's mistake: it must not disconnect.
func TestAListThatIsGoneDisconnectsOnlyIfACheckHasSeenIt(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	a.WantDisconnected(map[string]string{`{"listId":"Gone12"}`: "settings.listId"})
	for _, n := range []int{1, 6} {
		a.WantGone(`{"listId":"Gone12"}`, "list:Gone12", connectortest.People(t, n)...)
	}
	script := connectortest.Script{
		"GET /api/profiles": connectortest.Says(200, `{"data":[]}`),
		"POST /api/profile-bulk-import-jobs": connectortest.Says(400,
			`{"errors":[{"detail":"no list","source":{"pointer":"/data/relationships/lists/data/0/id"}}]}`),
	}
	if _, err := platform.Dial(t, script, "").Push(t.Context(), connectortest.People(t, 6)); usersync.CodeOf(err) != usersync.CodeRejected {
		t.Errorf("a job that is refused for its list says %v", err)
	}
}

func TestADuplicateProfileIsFollowedByItsID(t *testing.T) {
	t.Parallel()
	a, ada := platform.Serve(t, spec.Validate(t, "klaviyo")), connectortest.Ada(t)
	c := a.Open(`{"listId":"Y6nRLr","attributes":{"phone_number":"attributes.phone"}}`)
	ada.Attributes = map[string]any{"phone": "020 7946 0100"}
	old := connectortest.Person(t, "byron@example.org", "Ada", "Byron")
	old.Attributes = ada.Attributes
	before := a.Push(c, old)[0]
	if r := a.Push(c, ada)[0]; r.Status != connector.Updated || r.Remote != before.Remote || a.Fake.People().Len() != 1 {
		t.Errorf("got %+v, %v, the first was %+v; there are %v", r, r.Err, before, a.Fake.People().Emails())
	}
	// Two profiles that both exist are two people.
	a.Put(old, func(*fakeplatform.Person) {})
	grace := connectortest.Grace(t)
	a.Push(c, grace)
	grace.Attributes = ada.Attributes
	if r := a.Push(c, grace)[0]; r.Status != connector.Failed || r.Err.Code != usersync.CodeRejected {
		t.Errorf("two people with one number: %+v", r)
	}
}

func TestAnAudienceIsMadeOnce(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	a.WantAudience(a.Open(""), "active-clients", fake.List, `Audience "2026"`)
}

func TestAttributesAreSortedIntoTheirPlaces(t *testing.T) {
	t.Parallel()
	c := platform.Serve(t).Open(`{"listId":"Y6nRLr","tags":["vip"],"tagsProperty":"our tags","attributes":{
		"external_id":"userId","organization":"attributes.company","phone_number":"attributes.phone","properties.first_name":"firstName",
		"seats":"attributes.seats","location.city":"attributes.city","invite_link":""}}`)
	p := connectortest.Person(t, "Ada@analytical-engine.example", "Ada", "Lovelace")
	p.UserID = "user_1"
	p.Attributes = map[string]any{"company": "Example Ltd", "phone": json.Number("442079460100"), "seats": json.Number("9007199254740993"), "city": "London", "other": "unmapped"}
	const want = `{"attributes":{"email":"Ada@analytical-engine.example","external_id":"user_1","first_name":"Ada","last_name":"Lovelace",` +
		`"location":{"city":"London","country":"GB"},"organization":"Example Ltd","phone_number":"+442079460100",` +
		`"properties":{"first_name":"Ada","our tags":["vip"],"seats":9007199254740993},"title":"Analyst"},"list":"Y6nRLr"}`
	if got := connectortest.JSON(t, c.Content(p)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	platform.Serve(t).WantRefused(map[string]string{
		`{"listId":"../x"}`:                   "settings.listId",
		`{"revision":"yesterday"}`:            "settings.revision",
		`{"attributes":{"email":"email"}}`:    "settings.attributes.email",
		`{"attributes":{"title":"shoeSize"}}`: "settings.attributes.title",
	})
}
