package hubspot_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/hubspot"
	"usersync/internal/connector/hubspot/fake"
	"usersync/internal/usersync"
)

var platform = connectortest.Of(hubspot.Platform, fake.New)

func TestMain(m *testing.M) { connectortest.Main(m) }

func TestConnector(t *testing.T) { platform.Run(t) }

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	t.Parallel()
	platform.WantMeanings(t, []connectortest.Meaning{
		{Name: "bad address", Status: 400, Code: usersync.CodeRejected, Says: "Email address (address) is invalid",
			Body: `{"status":"error","category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"isValid\":false,\"message\":\"Email address x@y is invalid\",\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]"}`},
		{Name: "bad number, as another call tells it", Status: 400, Code: usersync.CodeRejected, Says: "x was not a valid long.",
			Body: `{"category":"VALIDATION_ERROR","message":"Property values were not valid","validationResults":[{"isValid":false,"message":"x was not a valid long.","error":"INVALID_LONG","name":"seats"}]}`},
		{Name: "no such option", Status: 400, Code: usersync.CodeRejected, Says: "gold was not one of the allowed options",
			Body: `{"category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"message\":\"gold was not one of the allowed options\",\"error\":\"INVALID_OPTION\"}]"}`},
		{Name: "no such property", Status: 400, Code: usersync.CodeDisconnected, Says: "does not exist",
			Body: `{"category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"message\":\"Property \\\"plan\\\" does not exist\",\"error\":\"PROPERTY_DOESNT_EXIST\",\"name\":\"plan\"}]"}`},
		{Name: "a property that nobody writes", Status: 400, Code: usersync.CodeDisconnected,
			Body: `{"category":"VALIDATION_ERROR","message":"x","validationResults":[{"error":"READ_ONLY_VALUE","name":"createdate","message":"read only"}]}`},
		{Name: "broken JSON", Status: 400, Code: usersync.CodeRejected, Says: "Invalid input JSON on line 1, column 1",
			Body: `{"category":"VALIDATION_ERROR","message":"Invalid input JSON on line 1, column 1"}`},
		{Name: "no token", Status: 401, Code: usersync.CodeDisconnected, Body: `{"category":"INVALID_AUTHENTICATION","message":"Authentication credentials not found."}`, Says: "Authentication credentials not found."},
		{Name: "token expired", Status: 401, Code: usersync.CodeDisconnected, Body: `{"category":"EXPIRED_AUTHENTICATION"}`},
		{Name: "no scope", Status: 403, Code: usersync.CodeDisconnected, Body: `{"category":"MISSING_SCOPES","message":"This app hasn't been granted all required scopes"}`},
		{Name: "not found", Status: 404, Code: usersync.CodeRejected},
		{Name: "conflict", Status: 409, Code: usersync.CodeRejected, Says: "Contact already exists. Existing ID: 1", Body: `{"category":"CONFLICT","message":"Contact already exists. Existing ID: 1"}`},
		{Name: "address too long", Status: 414, Code: usersync.CodeRejected},
		{Name: "not JSON", Status: 415, Code: usersync.CodeRejected},
		{Name: "locked", Status: 423, Code: usersync.CodeRateLimited, Wait: 2 * time.Second},
		{Name: "secondly limit", Status: 429, Code: usersync.CodeRateLimited, Wait: time.Second,
			Header: http.Header{"X-Hubspot-Ratelimit-Daily-Remaining": {"100"}}, Body: `{"category":"RATE_LIMITS","message":"You have reached your secondly limit."}`},
		{Name: "rolling limit", Status: 429, Code: usersync.CodeRateLimited, Wait: 10 * time.Second, Body: `{"policyName":"TEN_SECONDLY_ROLLING"}`},
		{Name: "rolling limit in words", Status: 429, Code: usersync.CodeRateLimited, Wait: 10 * time.Second, Body: `{"message":"You have reached your ten_secondly_rolling limit."}`},
		{Name: "daily limit", Status: 429, Code: usersync.CodeRateLimited, Wait: time.Hour, Body: `{"policyName":"DAILY","message":"You have reached your daily limit."}`},
		{Name: "daily limit by header", Status: 429, Code: usersync.CodeRateLimited, Wait: time.Hour, Header: http.Header{"X-Hubspot-Ratelimit-Daily-Remaining": {"0"}}},
		{Name: "limit of an interval", Status: 429, Code: usersync.CodeRateLimited, Wait: 4 * time.Second, Header: http.Header{"X-Hubspot-Ratelimit-Interval-Milliseconds": {"4000"}}},
		{Name: "limit without a word", Status: 429, Code: usersync.CodeRateLimited, Wait: 10 * time.Second},
		{Name: "limit with a longer wait", Status: 429, Code: usersync.CodeRateLimited, Wait: time.Minute, Header: http.Header{"Retry-After": {"60"}}, Body: `{"policyName":"SECONDLY"}`},
		{Name: "account on the move", Status: 477, Code: usersync.CodeRateLimited, Wait: time.Hour},
		{Name: "account on the move, told less", Status: 477, Code: usersync.CodeRateLimited, Wait: 30 * time.Minute, Header: http.Header{"Retry-After": {"1800"}}},
		{Name: "account on the move, told two hours", Status: 477, Code: usersync.CodeRateLimited, Wait: time.Hour, Header: http.Header{"Retry-After": {"7200"}}},
		{Name: "server down", Status: 521, Code: usersync.CodeUnavailable},
		{Name: "connection timed out", Status: 522, Code: usersync.CodeUnavailable},
		{Name: "unreachable", Status: 523, Code: usersync.CodeUnavailable},
		{Name: "handshake", Status: 525, Code: usersync.CodeUnavailable},
		{Name: "redirect", Status: 302, Code: usersync.CodeRejected},
	})
}

func TestACallBringsAHundredPeopleAndOneMoreAllToTheList(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	c := a.Open("")
	people := connectortest.People(t, 250)
	a.Costs(4, "250 people", func() { a.Push(c, people...) })
	for _, p := range people {
		if one := a.Held(p); !slices.Equal(one.Lists, []string{fake.ListID}) || !slices.Equal(one.Tags, []string{"usersync-user"}) {
			t.Fatalf("got %+v", one)
		}
	}
}

func TestASentenceNamesListAndTags(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	ada := connectortest.Ada(t)
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
	a := platform.Serve(t)
	bad := connectortest.Person(t, "bad@example.org", "Bad", "Number")
	bad.Attributes = map[string]any{"seats": "many"}
	good := connectortest.Person(t, "good@example.org", "Good", "Number")
	good.Attributes = map[string]any{"seats": json.Number("1234567")}
	results := a.Push(a.Open(`{"list":"42","properties":{"seats":"attributes.seats"}}`), bad, good)
	if results[0].Status != connector.Failed || results[0].Details != "User refused: many was not a valid long." || results[1].Status != connector.Added {
		t.Errorf("got %+v", results)
	}
	if seats := a.Held(good).Fields["seats"]; seats != "1234567" {
		t.Errorf("the number is written as %v", seats)
	}
}

func TestWhoIsNotMentionedComesAgain(t *testing.T) {
	t.Parallel()
	grace, ada := connectortest.Grace(t), connectortest.Ada(t)
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
			a := platform.Serve(t)
			con := a.Open(`{}`)
			a.Break(fakeplatform.Fault{Status: http.StatusMultiStatus, Body: c.body})
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
	a := platform.Serve(t)
	for _, list := range []string{"43", "44", "99"} { // the first fills itself, the second is of companies
		a.WantGone(`{"list":"`+list+`"}`, "list:"+list, connectortest.Ada(t))
	}
}

func TestAContactThatTheListDoesNotFindComesAgain(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	c := a.Open("")
	for _, body := range []string{`{"recordIdsAdded":[],"recordIdsMissing":["1001"]}`, `{"recordIdsMissing":[1001]}`} {
		a.Break(fakeplatform.Fault{Path: "/memberships/add", Body: body})
		results, err := c.Push(t.Context(), []connector.Profile{connectortest.Ada(t)})
		if usersync.CodeOf(err) != usersync.CodeUnavailable || results[0].Status != "" {
			t.Errorf("%s: %+v, %v", body, results, err)
		}
	}
}

func TestACheckNamesTheSettingThatIsWrong(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	a.WantDisconnected(map[string]string{
		`{"list":"99"}`: "settings.list",
		`{"list":"43"}`: "settings.list",
		`{"list":"44"}`: "settings.list",
		`{"properties":{"favourite_colour":"attributes.colour"}}`: "settings.properties.favourite_colour",
		`{"properties":{"createdate":"attributes.created"}}`:      "settings.properties.createdate",
		`{"tags":["vip"],"tagsProperty":"labels"}`:                "settings.tagsProperty",
		`{"tags":["gold"],"tagsProperty":"usersync_tags"}`:        "settings.tags",
		`{"idProperty":"nothing"}`:                                "settings.idProperty",
		`{"idProperty":"company"}`:                                "settings.idProperty",
	})
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	a.WantRefused(map[string]string{
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
	})
}

func TestFoundByOurIDAPersonKeepsTheContactWithANewAddress(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	c := a.Open(`{"list":"42","idProperty":"usersync_id"}`)
	ada := connectortest.Person(t, "ada@example.org", "Ada", "Byron")
	first := a.Push(c, ada)[0]
	ada.Email = connectortest.Person(t, "ada.lovelace@example.org", "", "").Email
	if r := a.Push(c, ada)[0]; r.Status == connector.Failed || a.Fake.People().Len() != 1 {
		t.Errorf("got %+v, people %v", r, a.Fake.People().Emails())
	}
	if preview, err := c.Preview(t.Context(), ada); err != nil || preview.Status != connector.Updated || first.Status != connector.Added {
		t.Errorf("got %+v, %v", preview, err)
	}
}

func TestTagsJoinThoseThatAreThere(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	ada := connectortest.Ada(t)
	a.Put(ada, func(one *fakeplatform.Person) { one.Tags = []string{"trial"} })
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
	a := platform.Serve(t)
	c := a.Open("")
	ada := connectortest.Ada(t)
	if _, err := c.Remove(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	first := a.Push(c, ada)[0]
	if first.Status != connector.Added {
		t.Fatalf("an erasure of nobody blocked the address: %+v", first)
	}
	ada.Email, ada.Remote = connectortest.Person(t, "ada.lovelace@example.org", "", "").Email, first.Remote
	a.Push(c, ada)
	if r, err := c.Remove(t.Context(), ada); err != nil || r.Status != connector.Removed || a.Fake.People().Len() != 0 {
		t.Errorf("got %+v, %v, left are %v", r, err, a.Fake.People().Emails())
	}
}

func TestEachVersionHasItsPaths(t *testing.T) {
	t.Parallel()
	for version, route := range map[string]string{"v3": "POST /crm/v3/objects/contacts/batch/upsert", "2026-03": "POST /crm/objects/…/contacts/batch/upsert"} {
		a := platform.Serve(t)
		c := a.Open(`{"list":"42","apiVersion":"` + version + `"}`)
		ada := connectortest.Ada(t)
		a.Push(c, ada)
		if _, err := c.Remove(t.Context(), ada); err != nil {
			t.Error(err)
		}
		if routes := a.Routes(); routes[route] != 1 {
			t.Errorf("%s: got %v", version, routes)
		}
	}
}

func TestAnAudienceIsAStaticList(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	c := a.Open("")
	made := a.WantAudience(c, fake.ListName, fake.ListID, "Spring & Söhne")
	if err := c.(connector.AudienceMaker).CheckAudience(t.Context(), "everybody-new"); usersync.CodeOf(err) != usersync.CodeRejected {
		t.Errorf("the name of a list that fills itself: %v", err)
	}
	if _, _, err := c.(connector.AudienceMaker).MakeAudience(t.Context(), "everybody-new", ""); usersync.CodeOf(err) != usersync.CodeRejected {
		t.Errorf("a list that fills itself: %v", err)
	}
	ada := connectortest.Ada(t)
	a.Push(a.Open(`{"list":"`+made+`"}`), ada)
	if lists := a.Held(ada).Lists; !slices.Equal(lists, []string{made}) {
		t.Errorf("is in %v", lists)
	}
}
