package sendgrid_test

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
	"usersync/internal/connector/sendgrid"
	"usersync/internal/connector/sendgrid/fake"
	"usersync/internal/outbound"
	"usersync/internal/person"
	"usersync/internal/usersync"
)

var spec = connectortest.Spec{
	Files: []string{"tsg_mc_contacts_v3.json", "tsg_mc_custom_fields_v3.json", "tsg_mc_lists_v3.json", "tsg_recipients_data_erasure_v3.json", "tsg_suppressions_v3.json"},
	// The file of a job's errors, whose address is an answer's.
	Except: []string{"GET /files/{id}"},
}

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, sendgrid.Kind, func() fakeplatform.Platform { return fake.New() }, connectortest.Options{Spec: spec})
}

// account is a fake with a connection to it.
type account struct {
	*testing.T
	*fake.Fake
	server   *fakeplatform.Server
	url      string
	settings map[string]any
}

func newAccount(t *testing.T) *account {
	t.Helper()
	a := &account{T: t, Fake: fake.New(), settings: map[string]any{"listIds": []string{fake.List}}}
	a.server = fakeplatform.New(a.Fake)
	var handler http.Handler = a.server
	if spec.Available() { // TestConnector says so when it is not
		handler = connectortest.Validate(t, spec, "sendgrid", handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	a.url = server.URL + "/sendgrid"
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
	c, err := sendgrid.Kind.Open(connector.Config{Credentials: fake.New().Config().Credentials, Settings: text, Facts: facts}, &connector.Client{HTTP: client})
	if err != nil {
		t.Fatalf("%v %+v", err, usersync.AsError(err).Fields)
	}
	return c
}

// open opens a connection with the facts of a check.
func (a *account) open() connector.Connector {
	a.Helper()
	facts, err := open(a.T, a.url, a.settings, connector.Facts{}).Check(a.Context())
	if err != nil {
		a.Fatalf("%v %+v", err, usersync.AsError(err).Fields)
	}
	return open(a.T, a.url, a.settings, facts)
}

// push pushes people and confirms it.
func (a *account) push(c connector.Connector, people ...*connector.Profile) []connector.Result {
	a.Helper()
	results, err := c.Push(a.Context(), values(people))
	if err != nil {
		a.Fatal(err)
	}
	for i, r := range results {
		if r.Status != connector.Pending {
			continue
		}
		// A job is asked for once with all its people.
		var of []connector.Profile
		var places []int
		for k := i; k < len(results); k++ {
			if results[k].Job == r.Job {
				of, places = append(of, *people[k]), append(places, k)
			}
		}
		confirmed, err := c.(connector.Confirmer).Confirm(a.Context(), r.Job, of)
		if err != nil {
			a.Fatal(err)
		}
		for n, k := range places {
			results[k] = confirmed[n]
		}
	}
	for i, r := range results {
		people[i].Remote = r.Remote
	}
	return results
}

func values(people []*connector.Profile) []connector.Profile {
	var out []connector.Profile
	for _, p := range people {
		out = append(out, *p)
	}
	return out
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

func TestSentencesNameListsAndTags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		settings       map[string]any
		would, did     string
		wouldUp, didUp string
	}{
		{map[string]any{"listIds": []string{fake.List}},
			"User would be added to the 'active-clients' list", "User added to the 'active-clients' list",
			"User would be updated in the 'active-clients' list", "User updated in the 'active-clients' list"},
		{map[string]any{"tags": []string{"onlyautomator-user"}, "tagsField": "tags"},
			"Tags 'onlyautomator-user' would be applied", "Tags 'onlyautomator-user' have been applied",
			"Tags 'onlyautomator-user' would be applied", "Tags 'onlyautomator-user' have been applied"},
		{map[string]any{"listIds": []string{fake.List, fake.OtherList}, "tags": []string{"y", "x"}, "tagsField": "tags"},
			"User would be added to the 'active-clients', 'newsletter' lists, tags 'x', 'y' applied", "User added to the 'active-clients', 'newsletter' lists, tags 'x', 'y' applied",
			"User would be updated in the 'active-clients', 'newsletter' lists, tags 'x', 'y' applied", "User updated in the 'active-clients', 'newsletter' lists, tags 'x', 'y' applied"},
		{map[string]any{}, "User would be added to the contacts", "User added to the contacts",
			"User would be updated in the contacts", "User updated in the contacts"},
	} {
		a := newAccount(t)
		a.settings = c.settings
		conn, ada := a.open(), profile(t, "ada@engine.example")
		for i, want := range []connector.Status{connector.Added, connector.Updated} {
			preview, err := conn.Preview(t.Context(), *ada)
			if err != nil {
				t.Fatal(err)
			}
			a.want(preview, want, []string{c.would, c.wouldUp}[i])
			a.want(a.push(conn, ada)[0], want, []string{c.did, c.didUp}[i])
		}
		if one, _ := a.People().Get("ada@engine.example"); c.settings["tags"] != nil && one.Fields["tags"] != strings.Join(slices.Sorted(slices.Values(c.settings["tags"].([]string))), ", ") {
			t.Errorf("tags are %v", one.Fields["tags"])
		}
	}
}

func TestAThousandPeopleAreOneCallAndTheQuestionForTheJob(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, people := a.open(), profiles(t, 1000)
	for range 2 {
		before := a.server.State("sendgrid")
		a.push(conn, people...)
		after := a.server.State("sendgrid")
		const put, ask = "PUT /v3/marketing/contacts", "GET /v3/marketing/contacts/imports/…"
		puts, asks := after.ByRoute[put]-before.ByRoute[put], after.ByRoute[ask]-before.ByRoute[ask]
		if calls := after.Calls - before.Calls; puts != 1 || asks != 1 || calls != 2 {
			t.Errorf("%d upserts, %d questions, %d calls: %v", puts, asks, calls, after.ByRoute)
		}
	}
}

// SendGrid tells how many are new, not who: those who were never pushed come
// first.
func TestAddedAreCountedAsSendGridDoes(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, people := a.open(), profiles(t, 4)
	a.push(conn, people[0], people[2])
	counts := map[connector.Status]int{}
	for i, r := range a.push(conn, people...) {
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
	conn, people := a.open(), profiles(t, 5)
	people[1], people[3] = profile(t, "zoë@engine.example"), profile(t, "jürgen@engine.example")
	before := a.server.State("sendgrid").ByRoute["PUT /v3/marketing/contacts"]
	for i, r := range a.push(conn, people...) {
		switch {
		case i%2 == 0:
			a.want(r, connector.Added, "User added to the 'active-clients' list")
		case r.Status != connector.Failed || r.Err.Code != usersync.CodeRejected || r.Err.Message != "email (value) is not valid":
			t.Errorf("person %d: %+v, %v", i, r, r.Err)
		}
	}
	if puts := a.server.State("sendgrid").ByRoute["PUT /v3/marketing/contacts"] - before; puts != 2 {
		t.Errorf("%d upserts", puts)
	}
}

func TestARefusalWithoutAPlaceIsLeftToTheCallerToHalve(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn := a.open()
	a.server.Break("sendgrid", fakeplatform.Fault{Path: "/contacts", Status: http.StatusBadRequest})
	results, err := conn.Push(t.Context(), values(profiles(t, 3)))
	if usersync.CodeOf(err) != usersync.CodeRejected || slices.ContainsFunc(results, func(r connector.Result) bool { return r.Status != "" }) {
		t.Errorf("got %+v, %v", results, err)
	}
}

// What SendGrid takes and cannot use fails in the job alone.
func TestAJobTellsWhoFailed(t *testing.T) {
	t.Parallel()
	for _, file := range []bool{true, false} {
		t.Run(fmt.Sprintf("file %v", file), func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.settings["customFields"] = map[string]string{"score": "attributes.score", "joined": "attributes.joined", "external_id": "attributes.crm"}
			conn, people := a.open(), profiles(t, 250)
			people[7].Attributes = map[string]any{"score": "a lot"}
			people[8].Attributes = map[string]any{"score": "12.5", "joined": "2026-01-02", "crm": "c8"}
			people[240].Attributes = map[string]any{"joined": "yesterday"}
			if !file {
				a.LoseFiles()
			}
			results := a.push(conn, people...)
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
			if one, _ := a.People().Get("ada+8@engine.example"); one.Fields["score"] != 12.5 || one.Fields["external_id"] != "c8" {
				t.Errorf("has %v", one.Fields)
			}
		})
	}
}

// Without a file, and with everybody there already, nobody knows whose update
// failed: then nobody is called added or updated.
func TestFailuresThatCannotBeFoundAreNotGuessed(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.settings["customFields"] = map[string]string{"score": "attributes.score"}
	conn, people := a.open(), profiles(t, 2)
	a.push(conn, people...)
	a.LoseFiles()
	people[0].Attributes = map[string]any{"score": "a lot"}
	for _, r := range a.push(conn, people...) {
		a.want(r, connector.Synced, "User written to the 'active-clients' list")
	}
}

func TestAnIdentifierThatIsLeftOutFails(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn := a.open()
	a.People().Put("ada@engine.example", func(p *fakeplatform.Person, _ bool) { p.Fields["external_id"] = "c1" })
	r := a.push(conn, profile(t, "ada@engine.example"))[0]
	if r.Status != connector.Failed || !strings.Contains(r.Err.Message, "identifiers must be present") {
		t.Errorf("got %+v, %v", r, r.Err)
	}
}

// The files of other hosts are not fetched, whatever an answer says, and our key
// goes to none.
func TestFilesAreFetchedFromKnownHostsAndWithoutTheKey(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Host + r.URL.Path }))
	t.Cleanup(other.Close)
	for _, address := range []string{other.URL + "/a.csv", "http://files.sendgrid.com/a.csv", "https://sendgrid.com.evil.example/a.csv", "file:///etc/passwd", "//", "x"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "imports") {
				_, _ = fmt.Fprintf(w, `{"status":"errored","results":{"errored_count":1,"errors_url":%q}}`, address)
				return
			}
			w.WriteHeader(http.StatusNotFound)
		}))
		c := open(t, server.URL, map[string]any{}, connector.Facts{})
		results, err := c.(connector.Confirmer).Confirm(t.Context(), "job", values(profiles(t, 1)))
		if err != nil || results[0].Status != connector.Failed {
			t.Errorf("%s: %+v, %v", address, results, err)
		}
		server.Close()
	}
	if len(asked) > 0 {
		t.Errorf("asked for %s", <-asked)
	}
}

func TestWhoUnsubscribedFromAllMailIsNoContact(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, ada := a.open(), profile(t, "ada@engine.example")
	a.People().Put("ada@engine.example", func(p *fakeplatform.Person, _ bool) { p.Unsubscribed = true })
	r := a.push(conn, ada)[0]
	a.want(r, connector.Skipped, "User has unsubscribed from all mail of the account at SendGrid and was not added")
	preview, err := conn.Preview(t.Context(), *ada)
	if err != nil || r.Reason != usersync.ReasonUnsubscribed {
		t.Errorf("reason %q, %v", r.Reason, err)
	}
	a.want(preview, connector.Skipped, "User has unsubscribed from all mail of the account at SendGrid and would not be added")
	// In a batch nobody is asked for, and their suppression stays.
	a.push(conn, ada, profile(t, "grace@engine.example"))
	if one, _ := a.People().Get("ada@engine.example"); !one.Unsubscribed {
		t.Error("was subscribed again")
	}
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	const nowhere = "00000000-0000-4000-8000-000000000000"
	for _, c := range []struct {
		settings map[string]any
		fields   string
	}{
		{map[string]any{"listIds": []string{nowhere}}, "settings.listIds"},
		{map[string]any{"customFields": map[string]string{"plan": "attributes.plan", "company": "attributes.company", "city": "attributes.city"}}, "settings.customFields.plan"},
		{map[string]any{"tagsField": "score"}, "settings.tagsField"},
	} {
		_, err := open(t, a.url, c.settings, connector.Facts{}).Check(t.Context())
		e := usersync.AsError(err)
		if e == nil || e.Code != usersync.CodeDisconnected || len(e.Fields) != 1 || e.Fields[0].Field != c.fields {
			t.Errorf("%v: %+v", c.settings, e)
		}
	}
}

// A list that was there at the check is gone, and so is the connection; one that
// only a push names is that push's fault.
func TestAListThatIsNotThere(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	const nowhere = "00000000-0000-4000-8000-000000000000"
	settings := map[string]any{"listIds": []string{nowhere}}
	conn := open(t, a.url, settings, connector.Facts{})
	for n := 1; n < 3; n++ {
		results, err := conn.Push(t.Context(), values(profiles(t, n)))
		if err != nil || len(results) != n || results[n-1].Status != connector.Failed || results[n-1].Err.Code != usersync.CodeRejected {
			t.Errorf("%d people: %+v, %v", n, results, err)
		}
	}
	if r, err := conn.Preview(t.Context(), *profile(t, "ada@engine.example")); err != nil || r.Status != connector.Failed {
		t.Errorf("preview: %+v, %v", r, err)
	}
	conn = open(t, a.url, settings, connector.Facts{Labels: map[string]string{"list:" + nowhere: "was here"}})
	if _, err := conn.Push(t.Context(), values(profiles(t, 2))); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("was here: %v", err)
	}
}

func TestFieldsThatNoCheckHasFoundDisconnect(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn := open(t, a.url, map[string]any{"customFields": map[string]string{"company": "attributes.company"}}, connector.Facts{})
	_, err := conn.Push(t.Context(), values(profiles(t, 2)))
	_, previewErr := conn.Preview(t.Context(), *profile(t, "ada@engine.example"))
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
	conn := a.open()
	a.server.Break("sendgrid", fakeplatform.Fault{Path: "/asm/", Status: http.StatusForbidden})
	a.want(a.push(conn, profile(t, "ada@engine.example"))[0], connector.Added, "User added to the 'active-clients' list")
}

func TestFaultsOfSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ settings, field string }{
		{`{"region":"us"}`, "settings.region"},
		{`{"listIds":["../x"]}`, "settings.listIds"},
		{`{"tags":["a"]}`, "settings.tagsField"},
		{`{"tags":["a,b"],"tagsField":"tags"}`, "settings.tags"},
		{`{"customFields":{"plan":"plan"}}`, "settings.customFields.plan"},
	} {
		_, err := sendgrid.Kind.Open(connector.Config{Credentials: json.RawMessage(`{"apiKey":"x"}`), Settings: json.RawMessage(c.settings)}, &connector.Client{})
		e := usersync.AsError(err)
		if e == nil || len(e.Fields) != 1 || e.Fields[0].Field != c.field {
			t.Errorf("%s: %+v", c.settings, e)
		}
	}
}

func TestLongNamesAreCutRatherThanRefused(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ada := profile(t, "ada@engine.example")
	ada.FirstName = strings.Repeat("å", 60)
	a.want(a.push(a.open(), ada)[0], connector.Added, "User added to the 'active-clients' list")
	if one, _ := a.People().Get("ada@engine.example"); one.Fields["first_name"] != strings.Repeat("å", 50) {
		t.Errorf("is %v", one.Fields["first_name"])
	}
}

func TestAudiencesAreLists(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	maker := a.open().(connector.AudienceMaker)
	id, patch, err := maker.MakeAudience(t.Context(), " Spring ", "for the campaign")
	if err != nil || patch.List != id || id == "" {
		t.Fatalf("got %q %+v %v", id, patch, err)
	}
	again, _, err := maker.MakeAudience(t.Context(), "Spring", "")
	if err != nil || again != id {
		t.Errorf("again: %q, %v", again, err)
	}
	patched, err := sendgrid.Kind.Patch(json.RawMessage(`{"listIds":["`+fake.List+`"]}`), patch)
	if err != nil || string(patched) != `{"listIds":["`+id+`"]}` {
		t.Errorf("patched to %s, %v", patched, err)
	}
}

func TestErasureWithoutTheRightDeletesTheContact(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn, ada := a.open(), profile(t, "ada@engine.example")
	a.push(conn, ada)
	a.ForbidErasure()
	for range 2 { // the second time nobody is there
		r, err := conn.Remove(t.Context(), *ada)
		if err != nil {
			t.Fatal(err)
		}
		a.want(r, connector.Removed, "User deleted from the contacts of SendGrid; the key has no right to erase mail data")
		if a.People().Len() != 0 {
			t.Error("is still there")
		}
	}
}

func TestThrottlingLastsAsLongAsTheHeaderSays(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	conn := a.open()
	a.server.Break("sendgrid", fakeplatform.Fault{Status: http.StatusTooManyRequests})
	_, err := conn.Push(t.Context(), values(profiles(t, 2)))
	e := usersync.AsError(err)
	if e == nil || e.Code != usersync.CodeRateLimited || e.RetryAfter != 41*time.Second || e.Message != "too many requests" {
		t.Errorf("got %v, %+v", err, e)
	}
}

func TestTheFakeRefusesWhatThePlatformRefuses(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	many := strings.Repeat(`{"email":"a@engine.example"},`, 30_000) + `{"email":"a@engine.example"}`
	long := strings.Repeat("x", 6_000_000)
	for _, c := range []struct {
		body   string
		status int
	}{
		{`{"contacts":[]}`, http.StatusBadRequest},
		{`{"contacts":[` + many + `]}`, http.StatusBadRequest},
		{`{"contacts":[{"email":"a@engine.example","postal_code":"` + long + `"}]}`, http.StatusRequestEntityTooLarge},
		{`{"contacts":[{"first_name":"Ada"}]}`, http.StatusBadRequest},
		{`{"contacts":[{"email":"a@engine.example"}]}`, http.StatusAccepted},
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
	for _, e := range connectortest.Recorded(t, "sendgrid.json") {
		counts[e.Answer.Status]++
		got := sendgrid.Kind.Classify(&e.Answer)
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
		// Every answer tells how many seconds its window has to go.
		limited := e.Answer
		limited.Status = http.StatusTooManyRequests
		if e := sendgrid.Kind.Classify(&limited); e.Code != usersync.CodeRateLimited || e.RetryAfter < time.Second || e.RetryAfter > time.Minute {
			t.Errorf("waits %v for reset %s", e.RetryAfter, limited.Header.Get("X-RateLimit-Reset"))
		}
	}
	t.Log(counts)
}

// Pushes and checks read every recorded answer to their calls.
func TestRecordedAnswersAreRead(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, e := range connectortest.Recorded(t, "sendgrid.json") {
		server := httptest.NewServer(http.HandlerFunc(e.Replay))
		c := open(t, server.URL, map[string]any{}, connector.Facts{})
		switch e.Method + " " + e.Path {
		case "PUT /v3/marketing/contacts":
			results, err := c.Push(t.Context(), values(profiles(t, 2)))
			if len(results) != 2 {
				t.Fatalf("got %+v, %v", results, err)
			}
			// The refusal is of the first of one; replayed, it is of both in turn.
			seen[fmt.Sprintf("PUT %d %s %s %v", e.Answer.Status, results[0].Status, results[1].Status, err)]++
		case "GET /v3/marketing/field_definitions":
			facts, err := open(t, server.URL, map[string]any{"customFields": map[string]string{"text_field": "attributes.x"}}, connector.Facts{}).Check(t.Context())
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
		server.Close()
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
