package klaviyo_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/klaviyo"
	"usersync/internal/connector/klaviyo/fake"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

func TestRefusalsAreClassified(t *testing.T) {
	t.Parallel()
	const said = `{"errors":[{"id":"1","code":"invalid","title":"Invalid input.","detail":"No such thing for ada@example.com.","source":{"pointer":"/data"}}]}`
	for _, c := range []struct {
		status  int
		header  http.Header
		body    string
		code    usersync.Code
		wait    time.Duration
		message string
	}{
		{status: 200, code: ""},
		{status: 201, code: ""},
		{status: 202, code: ""},
		{status: 400, body: said, code: usersync.CodeRejected, message: "No such thing for (address)"},
		{status: 401, body: said, code: usersync.CodeDisconnected},
		{status: 403, body: said, code: usersync.CodeDisconnected},
		{status: 404, body: said, code: usersync.CodeRejected},
		{status: 409, body: said, code: usersync.CodeRejected},
		{status: 410, body: said, code: usersync.CodeDisconnected}, // a retired revision
		{status: 413, body: "<html>", code: usersync.CodeRejected},
		{status: 415, body: said, code: usersync.CodeRejected},
		{status: 429, header: http.Header{"Retry-After": {"42"}}, body: said, code: usersync.CodeRateLimited, wait: 42 * time.Second},
		{status: 500, body: said, code: usersync.CodeUnavailable},
		{status: 502, body: "<html>", code: usersync.CodeUnavailable},
		{status: 503, header: http.Header{"Retry-After": {"3"}}, code: usersync.CodeUnavailable, wait: 3 * time.Second},
		{status: 504, code: usersync.CodeUnavailable},
		{status: 400, body: `{"errors":[null]}`, code: usersync.CodeRejected},
		{status: 400, body: `{"errors":[{"title":"Only a title"}]}`, code: usersync.CodeRejected, message: "Only a title"},
	} {
		e := klaviyo.Kind.Classify(&outbound.Response{Status: c.status, Header: c.header, Body: []byte(c.body)})
		switch {
		case (e == nil) != (c.code == ""):
			t.Errorf("%d: got %v", c.status, e)
		case e != nil && (e.Code != c.code || e.RetryAfter != c.wait || !strings.Contains(e.Message, c.message)):
			t.Errorf("%d %s: got %s, %v, %q", c.status, c.body, e.Code, e.RetryAfter, e.Message)
		}
	}
}

func many(t *testing.T, n int) []connector.Profile {
	t.Helper()
	out := make([]connector.Profile, n)
	for i := range out {
		out[i] = connectortest.ProfileAt(t, fmt.Sprintf("person-%d@analytical-engine.example", i))
	}
	return out
}

func TestManyPeopleAreOneJobAfterOneReadOfAHundred(t *testing.T) {
	t.Parallel()
	c, server := connectortest.Open(t, klaviyo.Kind, fake.New(), nil)
	if _, err := c.Push(t.Context(), many(t, 250)); err != nil {
		t.Fatal(err)
	}
	calls := server.State("klaviyo").ByRoute
	if calls["GET /api/profiles"] != 3 || calls["POST /api/profile-bulk-import-jobs"] != 1 || calls["POST /api/profile-import"] != 0 {
		t.Errorf("calls: %v", calls)
	}
}

func TestAFewPeopleShareOneCallForTheList(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, server := connectortest.Open(t, klaviyo.Kind, f, nil)
	people := many(t, 4)
	results, err := c.Push(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
	calls := server.State("klaviyo").ByRoute
	if calls["POST /api/profile-import"] != 4 || calls["POST /api/lists/…/relationships/profiles"] != 1 {
		t.Errorf("calls: %v", calls)
	}
	const want = "User added to the 'active-clients' list; tags 'onlyautomator-user' have been applied"
	if results[0].Details != want {
		t.Errorf("says %q", results[0].Details)
	}
	one, _ := f.People().Get(people[3].Email.Display())
	if len(one.Lists) != 1 || one.Lists[0] != fake.List || len(one.Tags) != 1 {
		t.Errorf("the fourth: %+v", one)
	}
}

func TestWithoutAListNothingIsReadAndNobodyPutAnywhere(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, server := connectortest.Open(t, klaviyo.Kind, f, map[string]any{"listId": ""})
	results, err := c.Push(t.Context(), many(t, 1))
	if err != nil || results[0].Details != "User added; tags 'onlyautomator-user' have been applied" {
		t.Fatalf("got %+v, %v", results, err)
	}
	if _, err := c.Push(t.Context(), many(t, 6)); err != nil {
		t.Fatal(err)
	}
	calls := server.State("klaviyo").ByRoute
	if calls["GET /api/profiles"] != 0 || calls["POST /api/lists/…/relationships/profiles"] != 0 {
		t.Errorf("calls: %v", calls)
	}
	one, _ := f.People().Get("person-0@analytical-engine.example")
	if len(one.Lists) != 0 {
		t.Errorf("is on %v", one.Lists)
	}
}

// confirmed asks for all jobs once.
func confirmed(t *testing.T, c connector.Connector, people []connector.Profile, results []connector.Result) []connector.Result {
	t.Helper()
	jobs := map[string][]int{}
	for i, r := range results {
		if r.Status == connector.Pending {
			jobs[r.Job] = append(jobs[r.Job], i)
		}
	}
	for job, places := range jobs {
		var some []connector.Profile
		for _, i := range places {
			some = append(some, people[i])
		}
		answers, err := c.(connector.Confirmer).Confirm(t.Context(), job, some)
		if err != nil {
			t.Fatal(err)
		}
		for k, i := range places {
			results[i] = answers[k]
		}
	}
	return results
}

func TestAJobKeepsThoseOffTheListWhoHaveLeft(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, _ := connectortest.Open(t, klaviyo.Kind, f, nil)
	people := many(t, 20)
	f.People().Put(people[7].Email.Display(), func(one *fakeplatform.Person, _ bool) { one.Unsubscribed = true })
	results, err := c.Push(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range confirmed(t, c, people, results) {
		one, _ := f.People().Get(people[i].Email.Display())
		if i != 7 {
			if r.Status != connector.Synced || len(one.Lists) != 1 {
				t.Errorf("person %d: %+v, on %v", i, r, one.Lists)
			}
			continue
		}
		if r.Status != connector.Skipped || r.Reason != usersync.ReasonUnsubscribed || len(one.Lists) != 0 || one.Fields["first_name"] != "Ada" {
			t.Errorf("who left: %+v, %+v", r, one)
		}
	}
}

func TestAJobSaysWhomItFailedForOverAllPages(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, server := connectortest.Open(t, klaviyo.Kind, f, nil)
	people := many(t, 300)
	for i := range 120 {
		f.People().Put(people[i].Email.Display(), func(one *fakeplatform.Person, _ bool) { one.Refused = true })
	}
	results, err := c.Push(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range confirmed(t, c, people, results) {
		if want := i < 120; (r.Status == connector.Failed) != want {
			t.Errorf("person %d: %+v", i, r)
		}
	}
	if n := server.State("klaviyo").ByRoute["GET /api/profile-bulk-import-jobs/…/import-errors"]; n != 2 {
		t.Errorf("%d pages were read", n)
	}
}

func TestAJobIsSplitAtFiveMegabytesAndAProfileBoundedAtAHundredKilobytes(t *testing.T) {
	t.Parallel()
	settings := map[string]any{"attributes": map[string]string{"essay": "attributes.essay"}}
	c, server := connectortest.Open(t, klaviyo.Kind, fake.New(), settings)
	people := many(t, 60)
	for i := range people {
		people[i].Attributes = map[string]any{"essay": strings.Repeat("x", 95_000)}
	}
	people[9].Attributes["essay"] = strings.Repeat("x", 100_000)
	results, err := c.Push(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
	if n := server.State("klaviyo").ByRoute["POST /api/profile-bulk-import-jobs"]; n != 2 {
		t.Errorf("%d jobs", n)
	}
	for i, r := range results {
		if want := i == 9; (r.Status == connector.Failed) != want {
			t.Errorf("person %d: %+v", i, r)
		}
	}
}

// scripted answers calls by their method and path, below the fake's name.
type scripted map[string]func(w http.ResponseWriter, r *http.Request)

func (s scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := s[r.Method+" "+strings.TrimPrefix(r.URL.Path, "/klaviyo")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	answer(w, r)
}

func says(status int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAJobIsSentAgainWithoutThoseItWasRefusedFor(t *testing.T) {
	t.Parallel()
	calls := 0
	handler := scripted{"POST /api/profile-bulk-import-jobs": func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			says(400, `{"errors":[{"detail":"Bad phone number","source":{"pointer":"/data/attributes/profiles/data/2/attributes/phone_number"}}]}`)(w, r)
			return
		}
		says(202, `{"data":{"type":"profile-bulk-import-job","id":"job1"}}`)(w, r)
	}}
	c := connectortest.Opened(t, klaviyo.Kind, connectortest.Served(t, handler, fake.New(), map[string]any{"listId": ""}))
	results, err := c.Push(t.Context(), many(t, 6))
	if err != nil || calls != 2 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	for i, r := range results {
		switch {
		case i == 2 && (r.Status != connector.Failed || r.Err.Message != "Bad phone number"):
			t.Errorf("the guilty: %+v", r)
		case i != 2 && (r.Status != connector.Pending || r.Job != "job1"):
			t.Errorf("person %d: %+v", i, r)
		}
	}
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
			handler := scripted{"GET /api/profile-bulk-import-jobs/job1": says(200, c.job), "GET " + errors: says(200, c.errors)}
			k := connectortest.Opened(t, klaviyo.Kind, connectortest.Served(t, handler, fake.New(), nil))
			got, err := k.(connector.Confirmer).Confirm(t.Context(), "job1", many(t, 2))
			if usersync.CodeOf(err) != c.code {
				t.Fatalf("got %v", err)
			}
			for i, want := range c.want {
				if got == nil && want == "" {
					continue
				}
				if got[i].Status != want {
					t.Errorf("person %d: %+v, want %s", i, got[i], want)
				}
			}
		})
	}
}

func TestAListThatIsGoneDisconnects(t *testing.T) {
	t.Parallel()
	f := fake.New()
	cfg := connectortest.Served(t, fakeplatform.New(f), f, map[string]any{"listId": "Gone12"})
	c := connectortest.Opened(t, klaviyo.Kind, cfg)
	if _, err := c.Check(t.Context()); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("the check says %v", err)
	}
	for _, n := range []int{1, 6} {
		results, err := c.Push(t.Context(), many(t, n))
		if usersync.CodeOf(err) != usersync.CodeDisconnected {
			t.Errorf("a push of %d says %v", n, err)
		}
		for _, r := range results {
			if r.Status != "" {
				t.Errorf("a push of %d: %+v", n, r)
			}
		}
	}
	handler := scripted{
		"GET /api/profiles": says(200, `{"data":[]}`),
		"POST /api/profile-bulk-import-jobs": says(400,
			`{"errors":[{"detail":"no list","source":{"pointer":"/data/relationships/lists/data/0/id"}}]}`),
	}
	c = connectortest.Opened(t, klaviyo.Kind, connectortest.Served(t, handler, f, nil))
	if _, err := c.Push(t.Context(), many(t, 6)); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("a job that is refused for its list says %v", err)
	}
}

func TestAnAudienceIsMadeOnce(t *testing.T) {
	t.Parallel()
	c, _ := connectortest.Open(t, klaviyo.Kind, fake.New(), nil)
	maker := c.(connector.AudienceMaker)
	first, patch, err := maker.MakeAudience(t.Context(), `Audience "2026"`, "for a test")
	if err != nil || first == "" || patch.List != first {
		t.Fatalf("got %q, %+v, %v", first, patch, err)
	}
	again, _, err := maker.MakeAudience(t.Context(), `Audience "2026"`, "")
	if err != nil || again != first {
		t.Errorf("made %s, then %s, %v", first, again, err)
	}
	known, _, err := maker.MakeAudience(t.Context(), "active-clients", "")
	if err != nil || known != fake.List {
		t.Errorf("the list with that name is %s, got %q, %v", fake.List, known, err)
	}
}

func TestAttributesAreSortedIntoTheirPlaces(t *testing.T) {
	t.Parallel()
	c, _ := connectortest.Open(t, klaviyo.Kind, fake.New(), map[string]any{
		"tags": []string{"vip"}, "tagsProperty": "our tags",
		"attributes": map[string]string{
			"external_id": "userId", "organization": "attributes.company", "phone_number": "attributes.phone", "properties.first_name": "firstName",
			"seats": "attributes.seats", "location.city": "attributes.city", "invite_link": "",
		},
	})
	p := connectortest.ProfileAt(t, "Ada@analytical-engine.example")
	p.Attributes = map[string]any{"company": "Example Ltd", "phone": 441234567890.0, "seats": 3.0, "city": "London", "other": "unmapped"}
	const want = `{"attributes":{"email":"Ada@analytical-engine.example","external_id":"user_1","first_name":"Ada","last_name":"Lovelace",` +
		`"location":{"city":"London","country":"GB"},"organization":"Example Ltd","phone_number":"441234567890",` +
		`"properties":{"first_name":"Ada","our tags":["vip"],"seats":3},"title":"Analyst"},"list":"Y6nRLr"}`
	if got := connectortest.JSON(t, c.Content(p)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for settings, field := range map[string]string{
		`{"listId":"../x"}`:                   "settings.listId",
		`{"revision":"yesterday"}`:            "settings.revision",
		`{"attributes":{"email":"email"}}`:    "settings.attributes.email",
		`{"attributes":{"title":"shoeSize"}}`: "settings.attributes.title",
	} {
		cfg := fake.New().Config()
		cfg.Settings = []byte(settings)
		_, err := klaviyo.Kind.Open(cfg, &connector.Client{})
		if fields := usersync.AsError(err).Fields; len(fields) != 1 || fields[0].Field != field {
			t.Errorf("%s: got %+v", settings, fields)
		}
	}
}
