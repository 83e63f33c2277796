package hubspot_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/hubspot"
	"usersync/internal/connector/hubspot/fake"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, hubspot.Kind, func() fakeplatform.Platform { return fake.New() })
}

func serve(t *testing.T) *connectortest.Account {
	t.Helper()
	return connectortest.Serve(t, hubspot.Kind, fake.New())
}

func TestEveryDocumentedErrorHasItsMeaning(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		header http.Header
		body   string
		want   usersync.Code
		wait   time.Duration
		says   string
	}{
		{name: "bad address", status: 400, want: usersync.CodeRejected, says: "Email address (address) is invalid",
			body: `{"status":"error","category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"isValid\":false,\"message\":\"Email address x@y is invalid\",\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]"}`},
		{name: "bad number, as another call tells it", status: 400, want: usersync.CodeRejected, says: "x was not a valid long.",
			body: `{"category":"VALIDATION_ERROR","message":"Property values were not valid","validationResults":[{"isValid":false,"message":"x was not a valid long.","error":"INVALID_LONG","name":"seats"}]}`},
		{name: "no such option", status: 400, want: usersync.CodeRejected, says: "gold was not one of the allowed options",
			body: `{"category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"message\":\"gold was not one of the allowed options\",\"error\":\"INVALID_OPTION\"}]"}`},
		{name: "no such property", status: 400, want: usersync.CodeDisconnected, says: "does not exist",
			body: `{"category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"message\":\"Property \\\"plan\\\" does not exist\",\"error\":\"PROPERTY_DOESNT_EXIST\",\"name\":\"plan\"}]"}`},
		{name: "a property that nobody writes", status: 400, want: usersync.CodeDisconnected,
			body: `{"category":"VALIDATION_ERROR","message":"x","validationResults":[{"error":"READ_ONLY_VALUE","name":"createdate","message":"read only"}]}`},
		{name: "broken JSON", status: 400, want: usersync.CodeRejected, says: "Invalid input JSON on line 1, column 1",
			body: `{"category":"VALIDATION_ERROR","message":"Invalid input JSON on line 1, column 1"}`},
		{name: "no token", status: 401, want: usersync.CodeDisconnected, body: `{"category":"INVALID_AUTHENTICATION","message":"Authentication credentials not found."}`, says: "Authentication credentials not found."},
		{name: "token expired", status: 401, want: usersync.CodeDisconnected, body: `{"category":"EXPIRED_AUTHENTICATION"}`},
		{name: "no scope", status: 403, want: usersync.CodeDisconnected, body: `{"category":"MISSING_SCOPES","message":"This app hasn't been granted all required scopes"}`},
		{name: "not found", status: 404, want: usersync.CodeRejected},
		{name: "conflict", status: 409, want: usersync.CodeRejected, says: "Contact already exists. Existing ID: 1", body: `{"category":"CONFLICT","message":"Contact already exists. Existing ID: 1"}`},
		{name: "address too long", status: 414, want: usersync.CodeRejected},
		{name: "not JSON", status: 415, want: usersync.CodeRejected},
		{name: "locked", status: 423, want: usersync.CodeRateLimited, wait: 2 * time.Second},
		{name: "secondly limit", status: 429, want: usersync.CodeRateLimited, wait: time.Second,
			header: http.Header{"X-Hubspot-Ratelimit-Daily-Remaining": {"100"}}, body: `{"category":"RATE_LIMITS","message":"You have reached your secondly limit."}`},
		{name: "rolling limit", status: 429, want: usersync.CodeRateLimited, wait: 10 * time.Second, body: `{"policyName":"TEN_SECONDLY_ROLLING"}`},
		{name: "rolling limit in words", status: 429, want: usersync.CodeRateLimited, wait: 10 * time.Second, body: `{"message":"You have reached your ten_secondly_rolling limit."}`},
		{name: "daily limit", status: 429, want: usersync.CodeRateLimited, wait: time.Hour, body: `{"policyName":"DAILY","message":"You have reached your daily limit."}`},
		{name: "daily limit by header", status: 429, want: usersync.CodeRateLimited, wait: time.Hour, header: http.Header{"X-Hubspot-Ratelimit-Daily-Remaining": {"0"}}},
		{name: "limit of an interval", status: 429, want: usersync.CodeRateLimited, wait: 4 * time.Second, header: http.Header{"X-Hubspot-Ratelimit-Interval-Milliseconds": {"4000"}}},
		{name: "limit without a word", status: 429, want: usersync.CodeRateLimited, wait: 10 * time.Second},
		{name: "limit with a longer wait", status: 429, want: usersync.CodeRateLimited, wait: time.Minute, header: http.Header{"Retry-After": {"60"}}, body: `{"policyName":"SECONDLY"}`},
		{name: "account on the move", status: 477, want: usersync.CodeRateLimited, wait: time.Hour},
		{name: "account on the move, told how long", status: 477, want: usersync.CodeRateLimited, wait: 2 * time.Hour, header: http.Header{"Retry-After": {"7200"}}},
		{name: "internal error", status: 500, want: usersync.CodeUnavailable},
		{name: "bad gateway", status: 502, want: usersync.CodeUnavailable, body: "<html>"},
		{name: "unavailable", status: 503, want: usersync.CodeUnavailable},
		{name: "timeout", status: 504, want: usersync.CodeUnavailable},
		{name: "server down", status: 521, want: usersync.CodeUnavailable},
		{name: "connection timed out", status: 522, want: usersync.CodeUnavailable},
		{name: "unreachable", status: 523, want: usersync.CodeUnavailable},
		{name: "handshake", status: 525, want: usersync.CodeUnavailable},
		{name: "redirect", status: 302, want: usersync.CodeRejected},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.header == nil {
				c.header = http.Header{}
			}
			got := hubspot.Kind.Classify(&outbound.Response{Status: c.status, Header: c.header, Body: []byte(c.body)})
			if got.Code != c.want || got.RetryAfter != c.wait || !strings.Contains(got.Message, c.says) {
				t.Errorf("got %v after %v, want %s after %v saying %q", got, got.RetryAfter, c.want, c.wait, c.says)
			}
		})
	}
}

func TestTwoCallsBringAHundredPeopleToTheList(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open("")
	people := make([]connector.Profile, 250)
	for i := range people {
		people[i] = connectortest.Person(t, fmt.Sprintf("person-%d", i), "Grace", "Hopper")
	}
	before := a.Server.State("hubspot").Calls
	for some := range slices.Chunk(people, hubspot.Kind.Batch) {
		a.Push(c, some...)
	}
	if calls := a.Server.State("hubspot").Calls - before; calls != 6 {
		t.Errorf("%d calls for 250 people", calls)
	}
	if _, err := c.Push(t.Context(), people[:101]); usersync.CodeOf(err) != usersync.CodeRejected {
		t.Errorf("101 people: %v", err)
	}
	for _, p := range people {
		if one := a.Held(p); !slices.Equal(one.Lists, []string{fake.ListID}) || !slices.Equal(one.Tags, []string{"usersync-user"}) {
			t.Fatalf("got %+v", one)
		}
	}
}

func TestASentenceNamesListAndTags(t *testing.T) {
	t.Parallel()
	a := serve(t)
	ada := connectortest.Person(t, "ada", "Ada", "Lovelace")
	listed, tagged, bare := a.Open(`{"list":"42"}`), a.Open(`{"tags":["vip","trial"],"tagsProperty":"usersync_tags"}`), a.Open(`{}`)
	for _, c := range []struct {
		connector connector.Connector
		preview   bool
		want      string
	}{
		{listed, true, "User would be added to the 'active-clients' list"},
		{listed, false, "User added to the 'active-clients' list"},
		{listed, true, "User would be updated in the 'active-clients' list"},
		{listed, false, "User updated in the 'active-clients' list"},
		{tagged, true, "User would be updated; tags 'vip', 'trial' would be applied"},
		{tagged, false, "User updated; tags 'vip', 'trial' have been applied"},
		{bare, false, "User updated"},
	} {
		got, err := connector.Result{}, error(nil)
		if c.preview {
			got, err = c.connector.Preview(t.Context(), ada)
		} else {
			got = a.Push(c.connector, ada)[0]
		}
		if err != nil || got.Details != c.want {
			t.Errorf("got %q, %v, want %q", got.Details, err, c.want)
		}
	}
}

func TestOfABatchOnlyTheWrongOneFails(t *testing.T) {
	t.Parallel()
	a := serve(t)
	bad := connectortest.Person(t, "bad", "Bad", "Number")
	bad.Attributes = map[string]any{"seats": "many"}
	good := connectortest.Person(t, "good", "Good", "Number")
	good.Attributes = map[string]any{"seats": 1234567.0}
	results := a.Push(a.Open(`{"list":"42","properties":{"seats":"attributes.seats"}}`), bad, good)
	if results[0].Status != connector.Failed || results[0].Details != "many was not a valid long." || results[1].Status != connector.Added {
		t.Errorf("got %+v", results)
	}
	if seats := a.Held(good).Fields["seats"]; seats != "1234567" {
		t.Errorf("the number is written as %v", seats)
	}
}

func TestWhoIsNotMentionedComesAgain(t *testing.T) {
	t.Parallel()
	grace, ada := connectortest.Person(t, "grace", "Grace", "Hopper"), connectortest.Person(t, "ada", "Ada", "Lovelace")
	for _, c := range []struct {
		name, body string
		want       usersync.Code
		added      bool
	}{
		{"nobody is mentioned", `{"results":[]}`, usersync.CodeUnavailable, false},
		{"one is, by address", fmt.Sprintf(`{"results":[{"id":"9","new":true,"properties":{"email":%q}}]}`, grace.Email.Key()), usersync.CodeUnavailable, true},
		{"the id is a number", `{"results":[{"id":9,"new":true,"objectWriteTraceId":"0"}],"errors":[]}`, usersync.CodeUnavailable, true},
		{"one failed over there", `{"results":[{"id":"9","new":true,"objectWriteTraceId":"0"}],"errors":[{"category":"INTERNAL_ERROR","context":{"objectWriteTraceId":["1"]}}]}`, usersync.CodeUnavailable, true},
		{"one was one too many", `{"results":[{"id":"9","new":true,"objectWriteTraceId":"0"}],"errors":[{"category":"RATE_LIMITS","context":{"objectWriteTraceId":"1"}}]}`, usersync.CodeRateLimited, true},
		{"one is refused, but who", `{"results":[{"id":"9","new":true,"objectWriteTraceId":"0"}],"errors":[{"category":"VALIDATION_ERROR","message":"no"}]}`, usersync.CodeRejected, true},
		{"a property has gone", `{"errors":[{"category":"VALIDATION_ERROR","message":"x [{\"error\":\"PROPERTY_DOESNT_EXIST\",\"message\":\"gone\"}]"}]}`, usersync.CodeDisconnected, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := serve(t)
			con := a.Open(`{}`)
			a.Server.Break("hubspot", fakeplatform.Fault{Status: http.StatusMultiStatus, Body: c.body})
			results, err := con.Push(t.Context(), []connector.Profile{grace, ada})
			if usersync.CodeOf(err) != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if added := len(results) > 0 && results[0].Status == connector.Added; added != c.added {
				t.Errorf("got %+v", results)
			}
			if len(results) > 1 && results[1].Status != "" {
				t.Errorf("the other has a status: %+v", results[1])
			}
		})
	}
}

func TestAListThatHasGoneDisconnectsOnlyItsConnection(t *testing.T) {
	t.Parallel()
	a := serve(t)
	ada := connectortest.Person(t, "ada", "Ada", "Lovelace")
	for list, name := range map[string]string{"43": "everybody-new", "44": "companies", "99": "99"} {
		for _, checked := range []bool{true, false} {
			facts, want := connector.Facts{}, usersync.CodeRejected
			if checked {
				facts.Labels, want = map[string]string{"list:" + list: name}, usersync.CodeDisconnected
			}
			results, err := a.Dial(`{"list":"`+list+`"}`, facts).Push(t.Context(), []connector.Profile{ada})
			if usersync.CodeOf(err) != want || !strings.Contains(err.Error(), "'"+name+"'") && checked || results[0].Status != "" {
				t.Errorf("list %s, checked %v: %v, %v", list, checked, results, err)
			}
		}
	}
}

func TestAContactThatTheListDoesNotFindComesAgain(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open("")
	for _, body := range []string{`{"recordIdsAdded":[],"recordIdsMissing":["1001"]}`, `{"recordIdsMissing":[1001]}`} {
		a.Server.Break("hubspot", fakeplatform.Fault{Path: "/memberships/add", Body: body})
		results, err := c.Push(t.Context(), []connector.Profile{connectortest.Person(t, "ada", "Ada", "Lovelace")})
		if usersync.CodeOf(err) != usersync.CodeUnavailable || results[0].Status != "" {
			t.Errorf("%s: %+v, %v", body, results, err)
		}
	}
}

func TestAnAddressIsOneSegmentOfAPath(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open("")
	for _, local := range []string{"ada+test", "ada/lovelace", "ada?x=1", "ada%41", "o'ada", "ada&co#1"} {
		p := connectortest.Person(t, local, "Ada", "Lovelace")
		a.Push(c, p)
		if r, err := c.Preview(t.Context(), p); err != nil || r.Status != connector.Updated {
			t.Errorf("%s: %+v, %v", local, r, err)
		}
		if _, err := c.Remove(t.Context(), p); err != nil || a.Fake.People().Len() != 0 {
			t.Errorf("%s is still there: %v", local, err)
		}
	}
}

func TestACheckNamesTheSettingThatIsWrong(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for settings, field := range map[string]string{
		`{"list":"99"}`: "settings.list",
		`{"list":"43"}`: "settings.list",
		`{"list":"44"}`: "settings.list",
		`{"properties":{"favourite_colour":"attributes.colour"}}`: "settings.properties.favourite_colour",
		`{"properties":{"createdate":"attributes.created"}}`:      "settings.properties.createdate",
		`{"tags":["vip"],"tagsProperty":"labels"}`:                "settings.tagsProperty",
		`{"tags":["gold"],"tagsProperty":"usersync_tags"}`:        "settings.tags",
		`{"idProperty":"nothing"}`:                                "settings.idProperty",
		`{"idProperty":"company"}`:                                "settings.idProperty",
	} {
		_, err := a.Dial(settings, connector.Facts{}).Check(t.Context())
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeDisconnected || len(e.Fields) != 1 || e.Fields[0].Field != field {
			t.Errorf("%s: got %v %+v, want %s", settings, err, usersync.AsError(err), field)
		}
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for settings, field := range map[string]string{
		`{"list":"active-clients"}`:                                 "settings.list",
		`{"apiVersion":"v4"}`:                                       "settings.apiVersion",
		`{"tags":["vip"]}`:                                          "settings.tagsProperty",
		`{"tags":["a;b"],"tagsProperty":"usersync_tags"}`:           "settings.tags",
		`{"properties":{"First Name":"firstName"}}`:                 "settings.properties.First Name",
		`{"properties":{"firstname":"surname"}}`:                    "settings.properties.firstname",
		`{"properties":{"hs_email_optout":"attributes.optout"}}`:    "settings.properties.hs_email_optout",
		`{"properties":{"hs_email_optout_42":"attributes.optout"}}`: "settings.properties.hs_email_optout_42",
		`{"tagsProperty":"hs_marketable_status"}`:                   "settings.tagsProperty",
		`{"idProperty":"../x"}`:                                     "settings.idProperty",
	} {
		_, err := hubspot.Kind.Open(connector.Config{Credentials: fake.New().Config().Credentials, Settings: []byte(settings)}, &connector.Client{})
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeInvalid || len(e.Fields) == 0 || e.Fields[0].Field != field {
			t.Errorf("%s: got %v, want %s", settings, err, field)
		}
	}
}

func TestFoundByOurIDAPersonKeepsTheContactWithANewAddress(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open(`{"list":"42","idProperty":"usersync_id"}`)
	ada := connectortest.Person(t, "ada", "Ada", "Byron")
	first := a.Push(c, ada)[0]
	ada.Email = connectortest.Person(t, "ada.lovelace", "", "").Email
	if r := a.Push(c, ada)[0]; r.Status == connector.Failed || a.Fake.People().Len() != 1 {
		t.Errorf("got %+v, people %v", r, a.Fake.People().Emails())
	}
	if preview, err := c.Preview(t.Context(), ada); err != nil || preview.Status != connector.Updated || first.Status != connector.Added {
		t.Errorf("got %+v, %v", preview, err)
	}
}

func TestTagsJoinThoseThatAreThere(t *testing.T) {
	t.Parallel()
	a := serve(t)
	ada := connectortest.Person(t, "ada", "Ada", "Lovelace")
	a.Fake.People().Put(ada.Email.Key(), func(one *fakeplatform.Person, _ bool) { one.Tags = []string{"trial"} })
	a.Push(a.Open(`{"tags":["vip"],"tagsProperty":"usersync_tags"}`), ada)
	if tags := a.Held(ada).Tags; !slices.Equal(tags, []string{"trial", "vip"}) {
		t.Errorf("got %v", tags)
	}
	a.Push(a.Open(`{"tags":["vip","trial"],"tagsProperty":"usersync_labels"}`), ada)
	if text := a.Held(ada).Fields["usersync_labels"]; text != "vip;trial" {
		t.Errorf("a property of text has %v", text)
	}
}

func TestRemovalErasesOldAddressesAndBlocksNobody(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open("")
	ada := connectortest.Person(t, "ada", "Ada", "Lovelace")
	if _, err := c.Remove(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	first := a.Push(c, ada)[0]
	if first.Status != connector.Added {
		t.Fatalf("an erasure of nobody blocked the address: %+v", first)
	}
	ada.Email, ada.Remote = connectortest.Person(t, "ada.lovelace", "", "").Email, first.Remote
	a.Push(c, ada)
	if r, err := c.Remove(t.Context(), ada); err != nil || r.Status != connector.Removed || a.Fake.People().Len() != 0 {
		t.Errorf("got %+v, %v, left are %v", r, err, a.Fake.People().Emails())
	}
}

func TestEachVersionHasItsPaths(t *testing.T) {
	t.Parallel()
	for version, route := range map[string]string{"v3": "POST /crm/v3/objects/contacts/batch/upsert", "2026-03": "POST /crm/objects/…/contacts/batch/upsert"} {
		a := serve(t)
		c := a.Open(`{"list":"42","apiVersion":"` + version + `"}`)
		ada := connectortest.Person(t, "ada", "Ada", "Lovelace")
		a.Push(c, ada)
		if _, err := c.Remove(t.Context(), ada); err != nil {
			t.Error(err)
		}
		if routes := a.Server.State("hubspot").ByRoute; routes[route] != 1 {
			t.Errorf("%s: got %v", version, routes)
		}
	}
}

func TestAnAudienceIsAStaticList(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open("").(connector.AudienceMaker)
	found, patch, err := c.MakeAudience(t.Context(), fake.ListName, "")
	if err != nil || found != fake.ListID || patch.List != fake.ListID {
		t.Errorf("got %q, %+v, %v", found, patch, err)
	}
	made, patch, err := c.MakeAudience(t.Context(), "Spring & Söhne", "who bought in spring")
	if err != nil || made == "" || patch.List != made {
		t.Fatalf("got %q, %+v, %v", made, patch, err)
	}
	if again, _, err := c.MakeAudience(t.Context(), "Spring & Söhne", ""); err != nil || again != made {
		t.Errorf("made again: %q, %v", again, err)
	}
	if _, _, err := c.MakeAudience(t.Context(), "everybody-new", ""); usersync.CodeOf(err) != usersync.CodeRejected {
		t.Errorf("a list that fills itself: %v", err)
	}
	ada := connectortest.Person(t, "ada", "Ada", "Lovelace")
	a.Push(a.Open(`{"list":"`+made+`"}`), ada)
	if lists := a.Held(ada).Lists; !slices.Equal(lists, []string{made}) {
		t.Errorf("is in %v", lists)
	}
}
