package sendgrid_test

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
	"usersync/internal/connector/published"
	"usersync/internal/connector/sendgrid"
	"usersync/internal/connector/sendgrid/fake"
	"usersync/internal/usersync"
)

var spec = published.Spec{
	Files: []string{"tsg_mc_contacts_v3.json", "tsg_mc_custom_fields_v3.json", "tsg_mc_lists_v3.json", "tsg_recipients_data_erasure_v3.json", "tsg_suppressions_v3.json"},
	// The file of a job's errors has an address that an answer names.
	Except: []string{"GET /files/{id}"},
}

var platform = connectortest.Of(sendgrid.Platform, fake.New, connectortest.Options{Spec: spec})

func TestMain(m *testing.M) { connectortest.Main(m) }

func TestConnector(t *testing.T) { platform.Run(t) }

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	t.Parallel()
	const said = `{"errors":[{"field":"contacts[0].email","message":"email 'ada at home' is not valid"}]}`
	platform.WantMeanings(t, []connectortest.Meaning{
		{Name: "of a contact", Status: 400, Body: said, Code: usersync.CodeRejected, Says: "email (value) is not valid"},
		{Name: "without a body", Status: 400, Code: usersync.CodeRejected, Says: "400"},
		{Name: "of another shape", Status: 400, Body: `{"errors":[null]}`, Code: usersync.CodeRejected},
		{Status: 401, Body: `{"errors":[{"field":null,"message":"authorization required"}]}`, Code: usersync.CodeDisconnected, Says: "authorization required"},
		{Status: 403, Body: `{"errors":[{"field":null,"message":"access forbidden"}]}`, Code: usersync.CodeDisconnected},
		{Status: 404, Code: usersync.CodeRejected},
		{Status: 413, Code: usersync.CodeRejected},
		{Name: "reset in seconds", Status: 429, Header: http.Header{"X-Ratelimit-Reset": {"41"}}, Code: usersync.CodeRateLimited, Wait: 41 * time.Second},
		{Name: "told how long", Status: 429, Header: http.Header{"Retry-After": {"7"}}, Code: usersync.CodeRateLimited, Wait: 7 * time.Second},
	})
}

// account is a fake. Every request to it is compared with SendGrid's description.
type account struct {
	*connectortest.Account
	*fake.Fake
}

func newAccount(t *testing.T) *account {
	t.Helper()
	a := platform.Serve(t, spec.Validate(t, "sendgrid"))
	return &account{a, a.Fake.(*fake.Fake)}
}

// settings of a connection to the list alone.
const settings = `{"listIds":["` + fake.List + `"]}`

func people(t *testing.T, n int) []*connector.Profile {
	t.Helper()
	return connectortest.Pointers(connectortest.People(t, n))
}

func TestSentencesNameListsAndTags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		settings       string
		tags           any
		would, did     string
		wouldUp, didUp string
	}{
		{settings, nil,
			"User would be added to the 'active-clients' list", "User added to the 'active-clients' list",
			"User would be updated in the 'active-clients' list", "User updated in the 'active-clients' list"},
		{`{"tags":["onlyautomator-user"],"tagsField":"tags"}`, "onlyautomator-user",
			"Tags 'onlyautomator-user' would be applied", "Tags 'onlyautomator-user' have been applied",
			"Tags 'onlyautomator-user' would be applied", "Tags 'onlyautomator-user' have been applied"},
		{`{"listIds":["` + fake.List + `","` + fake.OtherList + `"],"tags":["y","x"],"tagsField":"tags"}`, "x, y",
			"User would be added to the 'active-clients', 'newsletter' lists; tags 'x', 'y' would be applied", "User added to the 'active-clients', 'newsletter' lists; tags 'x', 'y' have been applied",
			"User would be updated in the 'active-clients', 'newsletter' lists; tags 'x', 'y' would be applied", "User updated in the 'active-clients', 'newsletter' lists; tags 'x', 'y' have been applied"},
		{`{}`, nil, "User would be added to the contacts", "User added to the contacts",
			"User would be updated in the contacts", "User updated in the contacts"},
	} {
		a := newAccount(t)
		conn, ada := a.Open(c.settings), connectortest.Ada(t)
		for i, want := range []connector.Status{connector.Added, connector.Updated} {
			preview, err := conn.Preview(t.Context(), ada)
			if err != nil {
				t.Fatal(err)
			}
			a.Want(preview, want, []string{c.would, c.wouldUp}[i])
			a.Want(a.Bring(conn, &ada)[0], want, []string{c.did, c.didUp}[i])
		}
		if got := a.Held(ada).Fields["tags"]; got != c.tags {
			t.Errorf("tags are %v", got)
		}
	}
}

func TestAThousandPeopleAreOneCallTwoPagesOfWhoLeftAndTheQuestionForTheJob(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, people := a.Open(settings), people(t, 1000)
	for range 2 {
		before := a.Server.State("sendgrid")
		a.Bring(conn, people...)
		after := a.Server.State("sendgrid")
		const put, ask = "PUT /v3/marketing/contacts", "GET /v3/marketing/contacts/imports/…"
		puts, asks := after.ByRoute[put]-before.ByRoute[put], after.ByRoute[ask]-before.ByRoute[ask]
		if calls := after.Calls - before.Calls; puts != 1 || asks != 1 || calls != 4 {
			t.Errorf("%d upserts, %d questions, %d calls: %v", puts, asks, calls, after.ByRoute)
		}
	}
}

// SendGrid tells how many contacts are new, but not which. People who were never
// pushed count as new first.
func TestAddedAreCountedAsSendGridDoes(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, people := a.Open(settings), people(t, 4)
	a.Bring(conn, people[0], people[2])
	counts := map[connector.Status]int{}
	for i, r := range a.Bring(conn, people...) {
		counts[r.Status]++
		if want := []connector.Status{connector.Updated, connector.Added}[i%2]; r.Status != want {
			t.Errorf("person %d: %s, want %s", i, r.Status, want)
		}
	}
	if counts[connector.Added] != 2 {
		t.Errorf("counts %v", counts)
	}
}

func TestABadAddressIsLeftOutAndTheRestSentAgain(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, people := a.Open(settings), people(t, 5)
	for i, address := range map[int]string{1: "zoë@analytical-engine.example", 3: "jürgen@analytical-engine.example"} {
		people[i].Email = connectortest.Person(t, address, "", "").Email
	}
	before := a.Routes()["PUT /v3/marketing/contacts"]
	for i, r := range a.Bring(conn, people...) {
		switch {
		case i%2 == 0:
			a.Want(r, connector.Added, "User added to the 'active-clients' list")
		case r.Status != connector.Failed || r.Err.Code != usersync.CodeRejected || r.Err.Message != "email (value) is not valid":
			t.Errorf("person %d: %+v, %v", i, r, r.Err)
		}
	}
	if puts := a.Routes()["PUT /v3/marketing/contacts"] - before; puts != 2 {
		t.Errorf("%d upserts", puts)
	}
}

func TestARefusalWithoutAPlaceIsLeftToTheCallerToHalve(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn := a.Open(settings)
	a.Break(fakeplatform.Fault{Path: "/contacts", Status: http.StatusBadRequest})
	results, err := conn.Push(t.Context(), connectortest.People(t, 3))
	if usersync.CodeOf(err) != usersync.CodeRejected || slices.ContainsFunc(results, func(r connector.Result) bool { return r.Status != "" }) {
		t.Errorf("got %+v, %v", results, err)
	}
}

// SendGrid accepts contacts that it cannot use, and only the job reports the failure.
func TestAJobTellsWhoFailed(t *testing.T) {
	t.Parallel()
	for _, file := range []bool{true, false} {
		t.Run(fmt.Sprintf("file %v", file), func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			conn, people := a.Open(`{"customFields":{"score":"attributes.score","joined":"attributes.joined","external_id":"attributes.crm"}}`), people(t, 250)
			people[7].Attributes = map[string]any{"score": "a lot"}
			people[8].Attributes = map[string]any{"score": "12.5", "joined": "2026-01-02", "crm": "c8"}
			people[240].Attributes = map[string]any{"score": "a few"}
			if !file {
				a.LoseFiles()
			}
			results := a.Bring(conn, people...)
			for i, r := range results {
				wantFailed := i == 7 || i == 240
				if (r.Status == connector.Failed) != wantFailed || !wantFailed && r.Status != connector.Added {
					t.Errorf("person %d: %+v, %v", i, r, r.Err)
				}
			}
			want := "invalid value for custom field score"
			if !file {
				want = "SendGrid did not take this contact and does not say why."
			}
			if got := results[7].Err; got == nil || got.Message != want || got.Code != usersync.CodeRejected {
				t.Errorf("the reason is %v", got)
			}
			if one := a.Held(*people[8]); one.Fields["score"] != json.Number("12.5") || one.Fields["external_id"] != "c8" {
				t.Errorf("has %v", one.Fields)
			}
		})
	}
}

// If there is no file and everybody is a contact already, it is not known whose
// update failed. Then nobody is called added or updated.
func TestFailuresThatCannotBeFoundAreNotGuessed(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, people := a.Open(`{"listIds":["`+fake.List+`"],"customFields":{"score":"attributes.score"}}`), people(t, 2)
	a.Bring(conn, people...)
	a.LoseFiles()
	people[0].Attributes = map[string]any{"score": "a lot"}
	for _, r := range a.Bring(conn, people...) {
		a.Want(r, connector.Synced, "User synced to the 'active-clients' list")
	}
}

func TestAnIdentifierThatIsLeftOutFails(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, ada := a.Open(settings), connectortest.Ada(t)
	a.Put(ada, func(p *fakeplatform.Person) { p.Fields["external_id"] = "c1" })
	r := a.Bring(conn, &ada)[0]
	if r.Status != connector.Failed || !strings.Contains(r.Err.Message, "identifiers must be present") {
		t.Errorf("got %+v, %v", r, r.Err)
	}
}

// Files of other hosts are not fetched, whatever an answer says. The key is not sent
// with any file.
func TestFilesAreFetchedFromKnownHostsAndWithoutTheKey(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Host + r.URL.Path }))
	t.Cleanup(other.Close)
	for _, address := range []string{other.URL + "/a.csv", "http://files.sendgrid.com/a.csv", "https://sendgrid.com.evil.example/a.csv", "file:///etc/passwd", "//", "x"} {
		a := platform.ServeHandler(t, connectortest.Script{
			"GET /v3/marketing/contacts/imports/job": connectortest.Says(http.StatusOK,
				fmt.Sprintf(`{"status":"errored","results":{"errored_count":1,"errors_url":%q}}`, address)),
		})
		results, err := a.Dial(`{}`, connector.Facts{}).(connector.Confirmer).Confirm(t.Context(), "job", connectortest.People(t, 1))
		if err != nil || results[0].Status != connector.Failed {
			t.Errorf("%s: %+v, %v", address, results, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("asked for %s", <-asked)
	}
}

func TestWhoUnsubscribedFromAllMailIsNoContact(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, ada := a.Open(settings), connectortest.Ada(t)
	a.Unsubscribe(ada)
	r := a.Bring(conn, &ada)[0]
	a.Want(r, connector.Skipped, "User has unsubscribed from all mail of the account at SendGrid and was left as they are")
	preview, err := conn.Preview(t.Context(), ada)
	if err != nil || r.Reason != usersync.ReasonUnsubscribed {
		t.Errorf("reason %q, %v", r.Reason, err)
	}
	a.Want(preview, connector.Skipped, "User has unsubscribed from all mail of the account at SendGrid and would be left as they are")
	// In a batch they read the same, however many there are.
	for _, n := range []int{1, 20} {
		together := append([]*connector.Profile{&ada}, people(t, n)...)
		a.Want(a.Bring(conn, together...)[0], connector.Skipped, r.Details)
	}
	if one := a.Held(ada); !one.Unsubscribed {
		t.Error("was subscribed again")
	}
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	newAccount(t).WantDisconnected(map[string]string{
		`{"listIds":["00000000-0000-4000-8000-000000000000"]}`:                                                "settings.listIds",
		`{"customFields":{"plan":"attributes.plan","company":"attributes.company","city":"attributes.city"}}`: "settings.customFields.plan",
		`{"tagsField":"score"}`: "settings.tagsField",
	})
}

// If a list that a check has seen is gone, the connection is disconnected. If only a
// push names a missing list, only that push fails.
func TestAListThatIsNotThere(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	const nowhere = "00000000-0000-4000-8000-000000000000"
	const settings = `{"listIds":["` + nowhere + `"]}`
	conn := a.Dial(settings, connector.Facts{})
	for n := 1; n < 3; n++ {
		results, err := conn.Push(t.Context(), connectortest.People(t, n))
		if err != nil || len(results) != n || results[n-1].Status != connector.Failed || results[n-1].Err.Code != usersync.CodeRejected {
			t.Errorf("%d people: %+v, %v", n, results, err)
		}
	}
	if r, err := conn.Preview(t.Context(), connectortest.Ada(t)); err != nil || r.Status != connector.Failed {
		t.Errorf("preview: %+v, %v", r, err)
	}
	conn = a.Dial(settings, connector.Facts{Labels: map[string]string{"list:" + nowhere: "was here"}})
	if _, err := conn.Push(t.Context(), connectortest.People(t, 2)); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("was here: %v", err)
	}
}

func TestFieldsThatNoCheckHasFoundDisconnect(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn := a.Dial(`{"customFields":{"company":"attributes.company"}}`, connector.Facts{})
	_, err := conn.Push(t.Context(), connectortest.People(t, 2))
	_, previewErr := conn.Preview(t.Context(), connectortest.Ada(t))
	for _, err := range []error{err, previewErr} {
		if usersync.CodeOf(err) != usersync.CodeDisconnected || len(usersync.AsError(err).Fields) != 1 {
			t.Errorf("got %v", err)
		}
	}
}

// A key that may not read suppressions can still push.
func TestTheRightToReadSuppressionsIsNotNeeded(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, ada := a.Open(settings), connectortest.Ada(t)
	a.Break(fakeplatform.Fault{Path: "/asm/", Status: http.StatusForbidden})
	a.Want(a.Bring(conn, &ada)[0], connector.Added, "User added to the 'active-clients' list")
}

func TestFaultsOfSettingsAreNamed(t *testing.T) {
	t.Parallel()
	newAccount(t).WantRefused(map[string]string{
		`{"region":"eu"}`:                     "settings.region", // there is none for contacts
		`{"listIds":["../x"]}`:                "settings.listIds",
		`{"tags":["a"]}`:                      "settings.tagsField",
		`{"tags":["a,b"],"tagsField":"tags"}`: "settings.tags",
		`{"customFields":{"plan":"plan"}}`:    "settings.customFields.plan",
	})
}

func TestLongNamesAreCutRatherThanRefused(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ada := connectortest.Ada(t)
	ada.FirstName = strings.Repeat("å", 60)
	a.Want(a.Bring(a.Open(settings), &ada)[0], connector.Added, "User added to the 'active-clients' list")
	if one := a.Held(ada); one.Fields["first_name"] != strings.Repeat("å", 50) {
		t.Errorf("is %v", one.Fields["first_name"])
	}
}

func TestAudiencesAreLists(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	c := a.Open(settings)
	id := a.WantAudience(c, "active-clients", fake.List, " Spring ")
	again, patch, err := c.(connector.AudienceMaker).MakeAudience(t.Context(), "Spring", "")
	if err != nil || again != id {
		t.Errorf("without spaces: %q, %v", again, err)
	}
	patched, err := sendgrid.Platform.Patch(json.RawMessage(`{"listIds":["`+fake.List+`"]}`), patch)
	if err != nil || string(patched) != `{"listIds":["`+id+`"]}` {
		t.Errorf("patched to %s, %v", patched, err)
	}
}

func TestErasureWithoutTheRightDeletesTheContact(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, ada := a.Open(settings), connectortest.Ada(t)
	a.Bring(conn, &ada)
	a.ForbidErasure()
	for range 2 { // the second time nobody is there
		r, err := conn.Remove(t.Context(), ada)
		if err != nil {
			t.Fatal(err)
		}
		a.Want(r, connector.Removed, "User removed from the contacts of SendGrid; the key has no right to erase mail data")
		if a.People().Len() != 0 {
			t.Error("is still there")
		}
	}
}

func TestThrottlingLastsAsLongAsTheHeaderSays(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn := a.Open(settings)
	a.Break(fakeplatform.Fault{Status: http.StatusTooManyRequests})
	_, err := conn.Push(t.Context(), connectortest.People(t, 2))
	e := usersync.AsError(err)
	if e == nil || e.Code != usersync.CodeRateLimited || e.RetryAfter != 41*time.Second || e.Message != "too many requests" {
		t.Errorf("got %v, %+v", err, e)
	}
}

func TestTheFakeRefusesWhatThePlatformRefuses(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	many := strings.Repeat(`{"email":"a@analytical-engine.example"},`, 30_000) + `{"email":"a@analytical-engine.example"}`
	long := strings.Repeat("x", 6_000_000)
	for _, c := range []struct {
		body   string
		status int
	}{
		{`{"contacts":[]}`, http.StatusBadRequest},
		{`{"contacts":[` + many + `]}`, http.StatusBadRequest},
		{`{"contacts":[{"email":"a@analytical-engine.example","postal_code":"` + long + `"}]}`, http.StatusRequestEntityTooLarge},
		{`{"contacts":[{"first_name":"Ada"}]}`, http.StatusBadRequest},
		{`{"contacts":[{"email":"a@analytical-engine.example"}]}`, http.StatusAccepted},
	} {
		r := httptest.NewRequest(http.MethodPut, "/v3/marketing/contacts", strings.NewReader(c.body))
		r.Header.Set("Authorization", "Bearer "+fake.Key)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%.60s…: %d, want %d", c.body, w.Code, c.status)
		}
	}
}

func TestRecordedAnswersMeanWhatTheySay(t *testing.T) {
	t.Parallel()
	counts := map[int]int{}
	for _, e := range published.Recorded(t, "sendgrid.json") {
		counts[e.Answer.Status]++
		got := sendgrid.Platform.Classify(&e.Answer)
		switch e.Answer.Status {
		case 200, 201, 202, 204:
			if got != nil {
				t.Errorf("%s %s: %d is %v", e.Method, e.Path, e.Answer.Status, got)
			}
		case 400:
			if got == nil || got.Code != usersync.CodeRejected || got.Message != "email (value) is not valid" {
				t.Errorf("%s %s: %v", e.Method, e.Path, got)
			}
		default:
			t.Errorf("%s %s: %d is in no table", e.Method, e.Path, e.Answer.Status)
		}
		// Every answer says how many seconds are left of its window.
		limited := e.Answer
		limited.Status = http.StatusTooManyRequests
		if e := sendgrid.Platform.Classify(&limited); e.Code != usersync.CodeRateLimited || e.RetryAfter < time.Second || e.RetryAfter > time.Minute {
			t.Errorf("waits %v for reset %s", e.RetryAfter, limited.Header.Get("X-RateLimit-Reset"))
		}
	}
	t.Log(counts)
}

// Pushes and checks read every recorded answer to their calls.
func TestRecordedAnswersAreRead(t *testing.T) {
	t.Parallel()
	var e published.Exchange
	a := platform.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "suppression") { // of which nothing was recorded
			connectortest.Says(200, `[]`)(w, r)
			return
		}
		e.Replay(w, r)
	}))
	seen := map[string]int{}
	for _, e = range published.Recorded(t, "sendgrid.json") {
		c := a.Dial(`{}`, connector.Facts{})
		switch e.Method + " " + e.Path {
		case "PUT /v3/marketing/contacts":
			results, err := c.Push(t.Context(), connectortest.People(t, 2))
			if len(results) != 2 {
				t.Fatalf("got %+v, %v", results, err)
			}
			// The refusal is of the first of one; replayed, it is of both in turn.
			seen[fmt.Sprintf("PUT %d %s %s %v", e.Answer.Status, results[0].Status, results[1].Status, err)]++
		case "GET /v3/marketing/field_definitions":
			facts, err := a.Dial(`{"customFields":{"text_field":"attributes.x"}}`, connector.Facts{}).Check(t.Context())
			seen[fmt.Sprintf("fields %v %v", len(facts.Labels), err == nil)]++
		case "GET /v3/marketing/lists":
			var answer struct{ Result []struct{ ID, Name string } }
			if err := json.Unmarshal(e.Answer.Body, &answer); err != nil || len(answer.Result) == 0 {
				continue
			}
			last := answer.Result[len(answer.Result)-1]
			id, _, err := c.(connector.AudienceMaker).MakeAudience(t.Context(), last.Name, "")
			seen[fmt.Sprintf("list %v %v", id == last.ID, err)]++
		}
	}
	for key := range seen {
		switch key {
		case "PUT 202 pending pending <nil>", "PUT 400 failed failed <nil>", "fields 1 true", "list true <nil>":
		default:
			t.Errorf("%d times %s", seen[key], key)
		}
	}
	if len(seen) != 4 {
		t.Errorf("seen %v", seen)
	}
}
