package activecampaign_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/activecampaign"
	"usersync/internal/connector/activecampaign/fake"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

var platform = connectortest.Of(activecampaign.Platform, fake.New, connectortest.Options{OneCallEach: true, JobOf: 11})

func TestMain(m *testing.M) { connectortest.Main(m) }

func TestConnector(t *testing.T) { platform.Run(t) }

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	t.Parallel()
	const said = `{"errors":[{"title":"Email address ada@example.com is not valid.","detail":"","code":"email_invalid","source":{"pointer":"/data/attributes/email"}}]}`
	platform.WantMeanings(t, []connectortest.Meaning{
		{Status: 400, Body: `{"success":0,"message":"JSON payload did not pass validation."}`, Code: usersync.CodeRejected, Says: "did not pass"},
		{Status: 400, Body: `{"success":0,"message":"Not queued.","failureReasons":["Rate limit exceeded."]}`, Code: usersync.CodeRateLimited},
		{Status: 402, Body: `{"message":"The account is past due"}`, Code: usersync.CodeDisconnected, Says: "past due"},
		{Status: 403, Body: `{"message":"You do not have permission to perform this action"}`, Code: usersync.CodeDisconnected, Says: "permission"},
		{Status: 404, Body: `{"message":"No Result found"}`, Code: usersync.CodeRejected},
		{Status: 422, Body: said, Code: usersync.CodeRejected, Says: "Email address (address) is not valid."},
		{Status: 429, Header: http.Header{"Retry-After": {"30"}}, Body: `{"message":"Too many"}`, Code: usersync.CodeRateLimited, Wait: 30 * time.Second},
		{Status: 422, Body: `{"errors":[null],"failureReasons":[null]}`, Code: usersync.CodeRejected},
	})
}

// with returns settings of an account.
func with(settings string) string {
	return `{"accountUrl":"https://example.api-us1.com",` + settings + `}`
}

func TestOnePersonTakesACallForContactStandingListAndTag(t *testing.T) {
	t.Parallel()
	a, ada := platform.Serve(t), connectortest.Ada(t)
	c := a.Open(with(`"listId":"3","tags":["customer"],"fields":{"INVITE_LINK":"inviteLink"}`))
	a.Costs(4, "one person", func() {
		a.Want(a.Push(c, ada)[0], connector.Added, "User added to the 'active-clients' list; tags 'customer' have been applied")
	})
	one := a.Held(ada)
	if len(one.Lists) != 1 || one.Lists[0] != fake.List || len(one.Tags) != 1 || one.Fields["INVITE_LINK"] != ada.InviteLink {
		t.Errorf("got %+v", one)
	}
}

// The first import tells who is new, so one read finds out how a hundred people stand to
// the list. A call each is for those who were contacts before and whose number nobody
// kept.
func TestOnlyWhoWasThereBeforeUnderAnUnknownNumberTakesALookUp(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	c, people := a.Open(""), connectortest.People(t, 240)
	for _, p := range people[:3] {
		a.Put(p, func(*fakeplatform.Person) {})
	}
	results := a.Confirm(c, people, a.Push(c, people...))
	for i, r := range results {
		if one := a.Held(people[i]); r.Status != connector.Synced || len(one.Lists) != 1 || r.Remote != one.ID {
			t.Fatalf("person %d: %+v, %+v", i, r, one)
		}
		people[i].Remote = r.Remote
	}
	calls := a.Routes()
	if calls["POST /api/3/import/bulk_import"] != 2 || calls["GET /api/3/contacts"] != 3+3 || calls["POST /api/3/contact/sync"] != 0 {
		t.Errorf("at first: %v", calls)
	}
	a.Confirm(c, people, a.Push(c, people...))
	calls = a.Routes()
	if calls["POST /api/3/import/bulk_import"] != 3 || calls["GET /api/3/contacts"] != 3+3+3 {
		t.Errorf("then: %v", calls)
	}
}

// One question after an import does not take longer than a worker has time.
func TestManyLookUpsAfterAnImportTakeSeveralQuestions(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	c, people := a.Open(""), connectortest.People(t, 60)
	for _, p := range people {
		a.Put(p, func(*fakeplatform.Person) {})
	}
	results := a.Push(c, people...)
	confirm := func() {
		answers, err := c.(connector.Confirmer).Confirm(t.Context(), results[59].Job, people)
		if err != nil {
			t.Fatal(err)
		}
		results = answers
	}
	confirm()
	if n := a.Routes()["GET /api/3/contacts"]; n != 50 {
		t.Errorf("%d look-ups at first", n)
	}
	jobs := map[string]int{}
	for _, r := range results {
		jobs[r.Job]++
	}
	if len(jobs) != 2 || jobs[results[0].Job] != 50 {
		t.Errorf("jobs %v", jobs)
	}
	for i, r := range a.Confirm(c, people, results) {
		if one := a.Held(people[i]); r.Status != connector.Synced || len(one.Lists) != 1 {
			t.Errorf("person %d: %+v, %+v", i, r, one)
		}
	}
}

// An import takes every number of a list. One that no check has seen is looked for.
func TestAnImportForAListThatIsNotThereIsTheCallsFault(t *testing.T) {
	t.Parallel()
	a, people := platform.Serve(t), connectortest.People(t, 20)
	results, err := a.Dial(with(`"listId":"99"`), connector.Facts{}).Push(t.Context(), people)
	if usersync.CodeOf(err) != usersync.CodeRejected || a.Fake.People().Len() != 0 {
		t.Errorf("got %+v, %v", results, err)
	}
}

func TestWithoutAListNobodyIsLookedUp(t *testing.T) {
	t.Parallel()
	a, people := platform.Serve(t), connectortest.People(t, 40)
	c := a.Open(with(`"tags":["onlyautomator-user"],"excludeAutomations":true`))
	a.Confirm(c, people, a.Push(c, people...))
	calls := a.Routes()
	if calls["GET /api/3/contacts"] != 0 || calls["POST /api/3/import/bulk_import"] != 1 {
		t.Errorf("calls: %v", calls)
	}
	if one := a.Held(people[0]); len(one.Lists) != 0 || len(one.Tags) != 1 {
		t.Errorf("got %+v", one)
	}
}

func TestWhoHasLeftIsNotBroughtBackByContactOrImport(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 20} {
		a, people := platform.Serve(t), connectortest.People(t, n)
		c := a.Open("")
		a.Put(people[2], func(one *fakeplatform.Person) { one.Unsubscribed, one.Lists = true, []string{fake.List} })
		for i, r := range a.Confirm(c, people, a.Push(c, people...)) {
			one := a.Held(people[i])
			if one.Fields["firstName"] != "Grace" || len(one.Tags) != 1 {
				t.Errorf("of %d, person %d: %+v", n, i, one)
			}
			if left := i == 2; one.Unsubscribed != left || (r.Reason == usersync.ReasonUnsubscribed) != left {
				t.Errorf("of %d, person %d: %+v, %+v", n, i, r, one)
			}
		}
	}
}

// plain settings need no call but those of the push.
var plain = with(`"listId":""`)

func TestHowAContactStandsToTheList(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]struct {
		status connector.Status
		posts  int
	}{
		``: {connector.Added, 1},
		`{"list":"3","contact":"7","status":"1"}`:  {connector.Added, 0},
		`{"list":3,"contact":7,"status":1}`:        {connector.Added, 0},
		`{"list":"3","contact":"7","status":"2"}`:  {connector.Skipped, 0},
		`{"list":3,"contact":7,"status":2}`:        {connector.Skipped, 0},
		`{"list":"3","contact":"7","status":"0"}`:  {connector.Added, 0}, // unconfirmed
		`{"list":"3","contact":"7","status":"3"}`:  {connector.Added, 0}, // bounced
		`{"list":"3","contact":"7","status":"91"}`: {connector.Added, 1}, // taken off
		`{"list":"4","contact":"7","status":"2"}`:  {connector.Added, 1}, // another list
	} {
		t.Run(entry, func(t *testing.T) {
			t.Parallel()
			posts := 0
			script := connectortest.Script{
				"POST /api/3/contact/sync":           connectortest.Says(201, `{"contact":{"id":7}}`), // seen for contacts that were there
				"GET /api/3/contacts/7/contactLists": connectortest.Says(200, `{"contactLists":[`+entry+`]}`),
				"POST /api/3/contactLists": func(w http.ResponseWriter, r *http.Request) {
					posts++
					connectortest.Says(201, `{"contactList":{}}`)(w, r)
				},
			}
			results, err := platform.Dial(t, script, with(`"listId":"3"`)).Push(t.Context(), connectortest.People(t, 1))
			if err != nil || results[0].Status != want.status || posts != want.posts {
				t.Errorf("got %+v, %v, subscribed %d times", results, err, posts)
			}
		})
	}
}

func TestAnImportIsSentAgainWithoutThoseItWasRefusedFor(t *testing.T) {
	t.Parallel()
	calls := 0
	script := connectortest.Script{"POST /api/3/import/bulk_import": func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			connectortest.Says(400, `{"success":0,"message":"no","failureReasons":[{"contact":3,"failureReason":"Field 'phone' is wrong"}]}`)(w, r)
			return
		}
		connectortest.Says(200, `{"success":1,"batchId":"b1"}`)(w, r)
	}}
	results, err := platform.Dial(t, script, plain).Push(t.Context(), connectortest.People(t, 12))
	if err != nil || calls != 2 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	connectortest.WantResent(t, results, 2, "Field 'phone' is wrong", "b1")
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
			script := connectortest.Script{"GET /api/3/import/info": connectortest.Says(200, body)}
			got, err := platform.Dial(t, script, plain).(connector.Confirmer).Confirm(t.Context(), "b1", connectortest.People(t, 2))
			if usersync.CodeOf(err) != want.code {
				t.Fatalf("got %v", err)
			}
			connectortest.WantStatuses(t, got, want.status[:]...)
		})
	}
}

func TestAnImportIsSplitAtFourHundredKilobytes(t *testing.T) {
	t.Parallel()
	a, people := platform.Serve(t), connectortest.People(t, 20)
	c := a.Open(with(`"tags":["onlyautomator-user"],"fields":{"1":"attributes.essay"}`))
	for i := range people {
		people[i].Attributes = map[string]any{"essay": strings.Repeat("x", 30_000)}
	}
	a.Confirm(c, people, a.Push(c, people...))
	if n := a.Routes()["POST /api/3/import/bulk_import"]; n != 2 {
		t.Errorf("%d imports", n)
	}
}

func TestACheckFindsWhatTheSettingsName(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	for _, settings := range []string{with(`"listId":"99"`), with(`"fields":{"SHOE_SIZE":"jobTitle"}`), with(`"fields":{"42":"jobTitle"}`)} {
		if _, err := a.Dial(settings, connector.Facts{}).Check(t.Context()); usersync.CodeOf(err) != usersync.CodeDisconnected {
			t.Errorf("%s: %v", settings, err)
		}
	}
	facts := a.Check(with(`"listId":"3","tags":["Customer","unheard of"],
		"fields":{"%COMPANY%":"attributes.company","invite link":"inviteLink","phone":"attributes.phone"}`))
	const want = `{"account":"example.api-us1.com","labels":{"field:%COMPANY%":"1","field:invite link":"5","list:3":"active-clients","tag:Customer":"1","type:%COMPANY%":"text","type:invite link":"text"}}`
	if got := connectortest.JSON(t, facts); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnAddressThatIsNoAccountDisconnects(t *testing.T) {
	t.Parallel()
	c := platform.Dial(t, connectortest.Script{}, plain)
	if _, err := c.Check(t.Context()); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("the check says %v", err)
	}
	if _, err := c.Push(t.Context(), connectortest.People(t, 1)); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("the push says %v", err)
	}
}

func TestAListThatIsDeletedDisconnects(t *testing.T) {
	t.Parallel()
	script := connectortest.Script{
		"POST /api/3/contact/sync":           connectortest.Says(201, `{"contact":{"id":"7"}}`),
		"GET /api/3/contacts/7/contactLists": connectortest.Says(200, `{"contactLists":[]}`),
		"POST /api/3/contactLists":           connectortest.Says(422, `{"errors":[{"title":"The related list does not exist."}]}`),
		"GET /api/3/lists/3":                 connectortest.Says(404, `{"message":"No Result found"}`),
	}
	// Only a list that a check has seen is the connection's.
	for label, want := range map[string]usersync.Code{"list:3": usersync.CodeDisconnected, "list:4": usersync.CodeRejected} {
		c := platform.ServeHandler(t, script).Dial(with(`"listId":"3"`), connector.Facts{Labels: map[string]string{label: "gone"}})
		results, err := c.Push(t.Context(), connectortest.People(t, 1))
		if err == nil {
			err = results[0].Err
		}
		if usersync.CodeOf(err) != want {
			t.Errorf("%s was seen: %+v, %v", label, results, err)
		}
	}
}

func TestADeletedTagIsMadeAnew(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	labels := map[string]string{"tag:onlyautomator-user": "77", "field:INVITE_LINK": "5"} // of a tag that is no more
	c := a.Dial("", connector.Facts{Labels: labels})
	for _, p := range connectortest.People(t, 2) {
		if r := a.Push(c, p)[0]; r.Status != connector.Added {
			t.Errorf("got %+v, %v", r, r.Err)
		}
		if one := a.Held(p); len(one.Tags) != 1 || one.Tags[0] != "onlyautomator-user" {
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
		"https://example.api-eu1.com":                    true,
		"https://example.api-au12.com":                   true,
		"https://example.api-x1.com":                     false,
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
		_, err := activecampaign.Platform.Open(cfg, &connector.Client{})
		if (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAnAccountAtAnotherHostIsCalledAtBaseURL(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t) // whose address is baseUrl
	if facts := a.Check(`{"accountUrl":"https://example.crm.example.org"}`); facts.Account != "example.crm.example.org" {
		t.Errorf("got %+v", facts)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	platform.Serve(t).WantRefused(map[string]string{
		with(`"listId":"newsletter"`):             "settings.listId",
		with(`"fields":{"email":"email"}`):        "settings.fields.email",
		with(`"fields":{"firstName":"forename"}`): "settings.fields.firstName",
	})
}
