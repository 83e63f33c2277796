package activecampaign_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/activecampaign"
	"usersync/internal/connector/activecampaign/fake"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

func TestRefusalsAreClassified(t *testing.T) {
	t.Parallel()
	const said = `{"errors":[{"title":"Email address ada@example.com is not valid.","detail":"","code":"email_invalid","source":{"pointer":"/data/attributes/email"}}]}`
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
		{status: 400, body: `{"success":0,"message":"JSON payload did not pass validation."}`, code: usersync.CodeRejected, message: "did not pass"},
		{status: 400, body: `{"success":0,"message":"Not queued.","failureReasons":["Rate limit exceeded."]}`, code: usersync.CodeRateLimited},
		{status: 401, code: usersync.CodeDisconnected},
		{status: 402, body: `{"message":"The account is past due"}`, code: usersync.CodeDisconnected, message: "past due"},
		{status: 403, body: `{"message":"You do not have permission to perform this action"}`, code: usersync.CodeDisconnected, message: "permission"},
		{status: 404, body: `{"message":"No Result found"}`, code: usersync.CodeRejected},
		{status: 422, body: said, code: usersync.CodeRejected, message: "Email address (address) is not valid."},
		{status: 429, header: http.Header{"Retry-After": {"30"}}, body: `{"message":"Too many"}`, code: usersync.CodeRateLimited, wait: 30 * time.Second},
		{status: 500, body: "<html>", code: usersync.CodeUnavailable},
		{status: 502, code: usersync.CodeUnavailable},
		{status: 503, code: usersync.CodeUnavailable},
		{status: 504, code: usersync.CodeUnavailable},
		{status: 422, body: `{"errors":[null],"failureReasons":[null]}`, code: usersync.CodeRejected},
	} {
		e := activecampaign.Kind.Classify(&outbound.Response{Status: c.status, Header: c.header, Body: []byte(c.body)})
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

func push(t *testing.T, c connector.Connector, people []connector.Profile) []connector.Result {
	t.Helper()
	results, err := c.Push(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
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

func TestOnePersonTakesACallForContactListAndTag(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, server := connectortest.Open(t, activecampaign.Kind, f, map[string]any{"tags": []string{"customer"}})
	ada := many(t, 1)
	before := server.State("activecampaign").Calls
	r := push(t, c, ada)[0]
	const want = "User added to the 'active-clients' list; tags 'customer' have been applied"
	if n := server.State("activecampaign").Calls - before; n != 3 || r.Details != want {
		t.Errorf("%d calls, %q", n, r.Details)
	}
	one, _ := f.People().Get(ada[0].Email.Display())
	if len(one.Lists) != 1 || one.Lists[0] != fake.List || len(one.Tags) != 1 || one.Fields["INVITE_LINK"] != ada[0].InviteLink {
		t.Errorf("got %+v", one)
	}
}

func TestManyPeopleAreOneImportAndThoseKnownOneRead(t *testing.T) {
	t.Parallel()
	c, server := connectortest.Open(t, activecampaign.Kind, fake.New(), nil)
	people := many(t, 40)
	push(t, c, people)
	calls := server.State("activecampaign").ByRoute
	if calls["POST /api/3/import/bulk_import"] != 1 || calls["GET /api/3/contacts"] != 40 || calls["POST /api/3/contact/sync"] != 0 {
		t.Errorf("at first: %v", calls)
	}
	for i := range people {
		people[i].Remote = fmt.Sprint(1001 + i) // in the order of the import
	}
	push(t, c, people)
	calls = server.State("activecampaign").ByRoute
	if calls["POST /api/3/import/bulk_import"] != 2 || calls["GET /api/3/contacts"] != 41 {
		t.Errorf("then: %v", calls)
	}
}

func TestWithoutAListNobodyIsLookedUp(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, server := connectortest.Open(t, activecampaign.Kind, f, map[string]any{"listId": "", "excludeAutomations": true})
	push(t, c, many(t, 40))
	calls := server.State("activecampaign").ByRoute
	if calls["GET /api/3/contacts"] != 0 || calls["POST /api/3/import/bulk_import"] != 1 {
		t.Errorf("calls: %v", calls)
	}
	if one, _ := f.People().Get("person-0@analytical-engine.example"); len(one.Lists) != 0 || len(one.Tags) != 1 {
		t.Errorf("got %+v", one)
	}
}

func TestWhoHasLeftIsNotBroughtBackByContactOrImport(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 20} {
		f := fake.New()
		c, _ := connectortest.Open(t, activecampaign.Kind, f, nil)
		people := many(t, n)
		f.People().Put(people[2].Email.Display(), func(one *fakeplatform.Person, _ bool) {
			one.Unsubscribed, one.Lists = true, []string{fake.List}
		})
		for i, r := range push(t, c, people) {
			one, _ := f.People().Get(people[i].Email.Display())
			if one.Fields["firstName"] != "Ada" || len(one.Tags) != 1 {
				t.Errorf("of %d, person %d: %+v", n, i, one)
			}
			if left := i == 2; one.Unsubscribed != left || (r.Reason == usersync.ReasonUnsubscribed) != left {
				t.Errorf("of %d, person %d: %+v, %+v", n, i, r, one)
			}
		}
	}
}

// scripted answers calls by their method and path, below the fake's name.
type scripted map[string]func(w http.ResponseWriter, r *http.Request)

func (s scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := s[r.Method+" "+strings.TrimPrefix(r.URL.Path, "/activecampaign/api/3")]
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

// plain settings need no call but those of the push.
var plain = map[string]any{"listId": "", "tags": []string{}, "fields": map[string]string{}}

func TestHowAContactStandsToTheList(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]struct {
		status connector.Status
		posts  int
	}{
		``: {connector.Updated, 1},
		`{"list":"3","contact":"7","status":"1"}`:  {connector.Updated, 0},
		`{"list":3,"contact":7,"status":1}`:        {connector.Updated, 0},
		`{"list":"3","contact":"7","status":"2"}`:  {connector.Skipped, 0},
		`{"list":3,"contact":7,"status":2}`:        {connector.Skipped, 0},
		`{"list":"3","contact":"7","status":"0"}`:  {connector.Updated, 0}, // unconfirmed
		`{"list":"3","contact":"7","status":"3"}`:  {connector.Updated, 0}, // bounced
		`{"list":"3","contact":"7","status":"91"}`: {connector.Updated, 1}, // taken off
		`{"list":"4","contact":"7","status":"2"}`:  {connector.Updated, 1}, // another list
	} {
		t.Run(entry, func(t *testing.T) {
			t.Parallel()
			posts := 0
			handler := scripted{
				"POST /contact/sync":           says(200, `{"contact":{"id":7}}`),
				"GET /contacts/7/contactLists": says(200, `{"contactLists":[`+entry+`]}`),
				"POST /contactLists": func(w http.ResponseWriter, r *http.Request) {
					posts++
					says(201, `{}`)(w, r)
				},
			}
			settings := map[string]any{"tags": []string{}, "fields": map[string]string{}}
			c := connectortest.Opened(t, activecampaign.Kind, connectortest.Served(t, handler, fake.New(), settings))
			results, err := c.Push(t.Context(), many(t, 1))
			if err != nil || results[0].Status != want.status || posts != want.posts {
				t.Errorf("got %+v, %v, subscribed %d times", results, err, posts)
			}
		})
	}
}

func TestAnImportIsSentAgainWithoutThoseItWasRefusedFor(t *testing.T) {
	t.Parallel()
	calls := 0
	handler := scripted{"POST /import/bulk_import": func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			says(400, `{"success":0,"message":"no","failureReasons":[{"contact":3,"failureReason":"Field 'phone' is wrong"}]}`)(w, r)
			return
		}
		says(200, `{"success":1,"batchId":"b1"}`)(w, r)
	}}
	c := connectortest.Opened(t, activecampaign.Kind, connectortest.Served(t, handler, fake.New(), plain))
	results, err := c.Push(t.Context(), many(t, 12))
	if err != nil || calls != 2 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	for i, r := range results {
		switch {
		case i == 2 && (r.Status != connector.Failed || r.Err.Message != "Field 'phone' is wrong"):
			t.Errorf("the guilty: %+v", r)
		case i != 2 && (r.Status != connector.Pending || r.Job != "b1"):
			t.Errorf("person %d: %+v", i, r)
		}
	}
}

func TestWhatAnImportSaysOfItself(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		status [2]connector.Status
		code   usersync.Code
	}{
		`{"status":false}`:         {[2]connector.Status{connector.Pending, connector.Pending}, ""},
		`{"status":"waiting"}`:     {[2]connector.Status{connector.Pending, connector.Pending}, ""},
		`{"status":"claimed"}`:     {[2]connector.Status{connector.Pending, connector.Pending}, ""},
		`{"status":"active"}`:      {[2]connector.Status{connector.Pending, connector.Pending}, ""},
		`{"status":"failed"}`:      {[2]connector.Status{connector.Failed, connector.Failed}, ""},
		`{"status":"interrupted"}`: {[2]connector.Status{connector.Failed, connector.Failed}, ""},
		`{"status":"sleeping"}`:    {[2]connector.Status{}, usersync.CodeUnavailable},
		`{}`:                       {[2]connector.Status{}, usersync.CodeUnavailable},
		`{"status":"completed","success":["1","2"],"failure":[]}`:                                        {[2]connector.Status{connector.Synced, connector.Synced}, ""},
		`{"status":"completed","success":["1"],"failure":["PERSON-1@analytical-engine.example"]}`:        {[2]connector.Status{connector.Synced, connector.Failed}, ""},
		`{"status":"completed","failure":[{"email":"person-0@analytical-engine.example"},null,7,"x@y"]}`: {[2]connector.Status{connector.Failed, connector.Synced}, ""},
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			handler := scripted{"GET /import/info": says(200, body)}
			c := connectortest.Opened(t, activecampaign.Kind, connectortest.Served(t, handler, fake.New(), plain))
			got, err := c.(connector.Confirmer).Confirm(t.Context(), "b1", many(t, 2))
			if usersync.CodeOf(err) != want.code {
				t.Fatalf("got %v", err)
			}
			for i := range got {
				if got[i].Status != want.status[i] {
					t.Errorf("person %d: %+v, want %s", i, got[i], want.status[i])
				}
			}
		})
	}
}

func TestAnImportIsSplitAtFourHundredKilobytes(t *testing.T) {
	t.Parallel()
	c, server := connectortest.Open(t, activecampaign.Kind, fake.New(), map[string]any{"listId": "", "fields": map[string]string{"1": "attributes.essay"}})
	people := many(t, 20)
	for i := range people {
		people[i].Attributes = map[string]any{"essay": strings.Repeat("x", 30_000)}
	}
	push(t, c, people)
	if n := server.State("activecampaign").ByRoute["POST /api/3/import/bulk_import"]; n != 2 {
		t.Errorf("%d imports", n)
	}
}

func TestACheckFindsWhatTheSettingsName(t *testing.T) {
	t.Parallel()
	for _, settings := range []map[string]any{
		{"listId": "99"},
		{"fields": map[string]string{"SHOE_SIZE": "jobTitle"}},
		{"fields": map[string]string{"42": "jobTitle"}},
	} {
		f := fake.New()
		cfg := connectortest.Served(t, fakeplatform.New(f), f, settings)
		_, err := connectortest.Opened(t, activecampaign.Kind, cfg).Check(t.Context())
		if usersync.CodeOf(err) != usersync.CodeDisconnected {
			t.Errorf("%v: %v", settings, err)
		}
	}
	f := fake.New()
	cfg := connectortest.Served(t, fakeplatform.New(f), f, map[string]any{
		"tags": []string{"Customer", "unheard of"}, "fields": map[string]string{"%COMPANY%": "attributes.company", "invite link": "inviteLink", "phone": "attributes.phone"},
	})
	facts, err := connectortest.Opened(t, activecampaign.Kind, cfg).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"account":"example.api-us1.com","labels":{"field:%COMPANY%":"1","field:invite link":"5","list:3":"active-clients","tag:Customer":"1"}}`
	if got := connectortest.JSON(t, facts); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnAddressThatIsNoAccountDisconnects(t *testing.T) {
	t.Parallel()
	c := connectortest.Opened(t, activecampaign.Kind, connectortest.Served(t, scripted{}, fake.New(), plain))
	if _, err := c.Check(t.Context()); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("the check says %v", err)
	}
	if _, err := c.Push(t.Context(), many(t, 1)); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("the push says %v", err)
	}
}

func TestAListThatIsDeletedDisconnects(t *testing.T) {
	t.Parallel()
	handler := scripted{
		"POST /contact/sync": says(201, `{"contact":{"id":"7"}}`),
		"POST /contactLists": says(422, `{"errors":[{"title":"The related list does not exist."}]}`),
		"GET /lists/3":       says(404, `{"message":"No Result found"}`),
	}
	settings := map[string]any{"tags": []string{}, "fields": map[string]string{}}
	c := connectortest.Opened(t, activecampaign.Kind, connectortest.Served(t, handler, fake.New(), settings))
	results, err := c.Push(t.Context(), many(t, 1))
	if usersync.CodeOf(err) != usersync.CodeDisconnected || results[0].Status != "" {
		t.Errorf("got %+v, %v", results, err)
	}
}

func TestADeletedTagIsMadeAnew(t *testing.T) {
	t.Parallel()
	f := fake.New()
	cfg := connectortest.Served(t, fakeplatform.New(f), f, nil)
	cfg.Facts.Labels = map[string]string{"tag:onlyautomator-user": "77", "field:INVITE_LINK": "5"} // of a tag that is no more
	c := connectortest.Opened(t, activecampaign.Kind, cfg)
	for _, p := range many(t, 2) {
		if r := push(t, c, []connector.Profile{p})[0]; r.Status != connector.Added {
			t.Errorf("got %+v, %v", r, r.Err)
		}
		if one, _ := f.People().Get(p.Email.Display()); len(one.Tags) != 1 || one.Tags[0] != "onlyautomator-user" {
			t.Errorf("tags %v", one.Tags)
		}
	}
}

func TestOnlyAddressesOfActiveCampaignAreTaken(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"https://example.api-us1.com":                    true,
		"https://Example.API-US1.com/":                   true,
		"https://example.api-us1.com/api/3":              true,
		"https://example.activehosted.com":               true,
		"http://example.api-us1.com":                     false,
		"https://example.com":                            false,
		"https://api-us1.com.example.com":                false,
		"https://example.com/.api-us1.com":               false,
		"https://example.com#.api-us1.com":               false,
		"https://example.com?.api-us1.com":               false,
		"https://user:pass@example.api-us1.com":          false,
		"https://example.api-us1.com:8443":               false,
		"https://example.api-us1.com/admin":              false,
		"https://.api-us1.com":                           false,
		"https://example.api-us1.com.":                   false,
		"https://127.0.0.1/":                             false,
		"https://example.com\\@example.activehosted.com": false,
		"": false,
	} {
		cfg := fake.New().Config()
		cfg.Settings = []byte(`{"accountUrl":` + connectortest.JSON(t, address) + `}`)
		_, err := activecampaign.Kind.Open(cfg, &connector.Client{})
		if (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for setting, field := range map[string]string{
		`"listId":"newsletter"`:             "settings.listId",
		`"fields":{"email":"email"}`:        "settings.fields.email",
		`"fields":{"firstName":"forename"}`: "settings.fields.firstName",
	} {
		cfg := fake.New().Config()
		cfg.Settings = []byte(`{"accountUrl":"https://example.api-us1.com",` + setting + `}`)
		_, err := activecampaign.Kind.Open(cfg, &connector.Client{})
		if fields := usersync.AsError(err).Fields; len(fields) != 1 || fields[0].Field != field {
			t.Errorf("%s: got %+v", setting, fields)
		}
	}
}
