package customerio_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/customerio"
	"usersync/internal/connector/customerio/fake"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, customerio.Kind, func() fakeplatform.Platform { return fake.New() })
}

func serve(t *testing.T) *connectortest.Account {
	t.Helper()
	return connectortest.Serve(t, customerio.Kind, fake.New())
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
		{name: "v2", status: 400, want: usersync.CodeRejected, says: "identifiers: is required", body: `{"errors":[{"reason":"required","field":"identifiers","message":"is required"}]}`},
		{name: "v2 without a message", status: 400, want: usersync.CodeRejected, says: "batch: invalid", body: `{"errors":[{"reason":"invalid","field":"batch"}]}`},
		{name: "v1", status: 400, want: usersync.CodeRejected, says: "name cannot be blank", body: `{"meta":{"error":"name cannot be blank"}}`},
		{name: "v1, several", status: 400, want: usersync.CodeRejected, says: "ids are missing", body: `{"meta":{"errors":["ids are missing","and more"]}}`},
		{name: "App API", status: 404, want: usersync.CodeRejected, says: "not found", body: `{"errors":[{"detail":"not found","status":"404"}]}`},
		{name: "texts", status: 400, want: usersync.CodeRejected, says: "no", body: `{"errors":["no"]}`},
		{name: "nothing said", status: 400, want: usersync.CodeRejected, says: "400"},
		{name: "wrong keys", status: 401, want: usersync.CodeDisconnected, body: `{"meta":{"error":"unauthorized"}}`},
		{name: "not allowed", status: 403, want: usersync.CodeDisconnected},
		{name: "too large", status: 413, want: usersync.CodeRejected},
		{name: "too many calls", status: 429, want: usersync.CodeRateLimited, wait: time.Second},
		{name: "too many calls, told how long", status: 429, want: usersync.CodeRateLimited, wait: 7 * time.Second, header: http.Header{"Retry-After": {"7"}}},
		{name: "internal error", status: 500, want: usersync.CodeUnavailable},
		{name: "bad gateway", status: 502, want: usersync.CodeUnavailable, body: "<html>"},
		{name: "unavailable", status: 503, want: usersync.CodeUnavailable},
		{name: "timeout", status: 504, want: usersync.CodeUnavailable},
		{name: "another region", status: 301, want: usersync.CodeRejected},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.header == nil {
				c.header = http.Header{}
			}
			got := customerio.Kind.Classify(&outbound.Response{Status: c.status, Header: c.header, Body: []byte(c.body)})
			if got.Code != c.want || got.RetryAfter != c.wait || !strings.Contains(got.Message, c.says) {
				t.Errorf("got %v after %v, want %s after %v saying %q", got, got.RetryAfter, c.want, c.wait, c.says)
			}
		})
	}
}

func people(t *testing.T, n int) []connector.Profile {
	t.Helper()
	out := make([]connector.Profile, n)
	for i := range out {
		out[i] = connectortest.Person(t, fmt.Sprintf("person-%d", i), "Grace", "Hopper")
	}
	return out
}

func TestABatchIsOneCallAndOneForTheSegment(t *testing.T) {
	t.Parallel()
	a := serve(t)
	all := people(t, customerio.Kind.Batch)
	a.Push(a.Open(""), all...)
	routes := a.Server.State("customerio").ByRoute
	if routes["POST /api/…/batch"]+routes["POST /api/v2/batch"] != 1 || a.Fake.People().Len() != len(all) {
		t.Errorf("%d people by %v", a.Fake.People().Len(), routes)
	}
	for _, p := range all {
		if one := a.Held(p); !slices.Equal(one.Lists, []string{"3"}) || !slices.Equal(one.Tags, []string{"usersync-user"}) {
			t.Fatalf("got %+v", one)
		}
	}
}

func TestCallsStayBelow500KB(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open(`{"attributes":{"about":"attributes.about"}}`)
	some := people(t, 41)
	for i := range some {
		some[i].Attributes = map[string]any{"about": strings.Repeat("x", 30_000)}
	}
	some[7].Attributes["about"] = strings.Repeat("x", 40_000)
	before := a.Server.State("customerio").Calls
	results := a.Push(c, some...)
	if calls := a.Server.State("customerio").Calls - before; calls != 3 {
		t.Errorf("1.2 MB took %d calls", calls)
	}
	for i, r := range results {
		if (r.Status == connector.Failed) != (i == 7) {
			t.Errorf("person %d: %v, %v", i, r.Status, r.Err)
		}
	}
	if said := results[7].Details; !strings.Contains(said, "32 kB") {
		t.Errorf("what is too big was sent: %s", said)
	}
	if n := a.Fake.People().Len(); n != 40 {
		t.Errorf("%d people arrived", n)
	}
}

func TestWhatArrivedBeforeAFailureCounts(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open(`{"attributes":{"about":"attributes.about"}}`)
	some := people(t, 20)
	for i := range some {
		some[i].Attributes = map[string]any{"about": strings.Repeat("x", 30_000)}
	}
	a.Server.Break("customerio", fakeplatform.Fault{Path: "/batch", Skip: 1, Status: http.StatusServiceUnavailable})
	results, err := c.Push(t.Context(), some)
	if usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
	arrived := 0
	for _, r := range results {
		if r.Status == connector.Synced {
			arrived++
		}
	}
	if arrived == 0 || arrived == len(some) || arrived != a.Fake.People().Len() {
		t.Errorf("%d are said to have arrived, %d have", arrived, a.Fake.People().Len())
	}
}

func TestOfABatchOnlyTheWrongOneFails(t *testing.T) {
	t.Parallel()
	a := serve(t)
	some := people(t, 3)
	a.Fake.People().Put(some[1].Email.Key(), func(one *fakeplatform.Person, _ bool) { one.Refused = true })
	results := a.Push(a.Open(""), some...)
	if results[1].Status != connector.Failed || results[1].Details != "email: email is not a valid address" {
		t.Errorf("got %+v", results[1])
	}
	want := "User synced to the 'active-clients' list; tags 'usersync-user' have been applied"
	if results[0].Details != want || results[2].Details != want || len(a.Held(some[1]).Lists) != 0 {
		t.Errorf("got %+v", results)
	}
}

func TestAnAnswerThatBlamesNobodyIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"errors":[]}`, `{"errors":[{"message":"x"}]}`, `{"errors":[{"batch_index":5,"message":"x"}]}`, `{"errors":[{"batch_index":-1}]}`} {
		a := serve(t)
		c := a.Open("")
		a.Server.Break("customerio", fakeplatform.Fault{Path: "/batch", Status: http.StatusMultiStatus, Body: body})
		if results, err := c.Push(t.Context(), people(t, 2)); usersync.CodeOf(err) != usersync.CodeUnavailable || results[0].Status != "" {
			t.Errorf("%s: %+v, %v", body, results, err)
		}
	}
}

func TestOnlyWithAnAppKeyAPreviewTellsNewFromKnown(t *testing.T) {
	t.Parallel()
	for _, identify := range []string{"email", "id"} {
		a := serve(t)
		c := a.Open(`{"identifyBy":"` + identify + `"}`)
		ada := connectortest.Person(t, "ada+1", "Ada", "Lovelace")
		for _, want := range []connector.Status{connector.Added, connector.Updated} {
			if r, err := c.Preview(t.Context(), ada); err != nil || r.Status != want || r.Details != "User would be "+string(want) {
				t.Errorf("by %s: %+v, %v", identify, r, err)
			}
			a.Push(c, ada)
		}
	}
	blind, err := customerio.Kind.Open(connector.Config{Credentials: json.RawMessage(`{"siteId":"s","apiKey":"k"}`)}, &connector.Client{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := blind.Preview(t.Context(), connectortest.Person(t, "ada", "Ada", "Lovelace"))
	if err != nil || r.Status != connector.Synced || r.Details != "User would be synced" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestKnownByOurIDAPersonKeepsTheProfileWithANewAddress(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open(`{"identifyBy":"id","segment":"3"}`)
	ada := connectortest.Person(t, "ada", "Ada", "Byron")
	a.Push(c, ada)
	ada.Email = connectortest.Person(t, "ada.lovelace", "", "").Email
	a.Push(c, ada)
	if a.Fake.People().Len() != 1 || !slices.Equal(a.Held(ada).Lists, []string{"3"}) {
		t.Errorf("there are %v, %+v", a.Fake.People().Emails(), a.Held(ada))
	}
	if _, err := c.Remove(t.Context(), ada); err != nil || a.Fake.People().Len() != 0 {
		t.Errorf("left are %v, %v", a.Fake.People().Emails(), err)
	}
}

func TestWhoIsSuppressedStaysAwayAndWhoIsDeletedMayReturn(t *testing.T) {
	t.Parallel()
	for removal, back := range map[string]int{"suppress": 0, "delete": 1} {
		a := serve(t)
		c := a.Open(`{"removal":"` + removal + `"}`)
		ada := connectortest.Person(t, "ada+test", "Ada", "Lovelace")
		a.Push(c, ada)
		if r, err := c.Remove(t.Context(), ada); err != nil || r.Status != connector.Removed || a.Fake.People().Len() != 0 {
			t.Errorf("%s: %+v, %v", removal, r, err)
		}
		a.Push(c, ada)
		if n := a.Fake.People().Len(); n != back {
			t.Errorf("after %s %d came back", removal, n)
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

func TestASegmentThatHasGoneDisconnectsOnlyItsConnection(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for _, segment := range []string{"4", "99"} {
		for _, checked := range []bool{true, false} {
			facts, want := connector.Facts{}, usersync.CodeRejected
			if checked {
				facts.Labels, want = map[string]string{"list:" + segment: "gone"}, usersync.CodeDisconnected
			}
			if _, err := a.Dial(`{"segment":"`+segment+`"}`, facts).Push(t.Context(), people(t, 1)); usersync.CodeOf(err) != want {
				t.Errorf("segment %s, checked %v: %v", segment, checked, err)
			}
		}
	}
}

func TestACheckNamesTheSettingThatIsWrong(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for settings, field := range map[string]string{
		`{"segment":"99"}`: "settings.segment",
		`{"segment":"4"}`:  "settings.segment",
		`{"region":"eu"}`:  "settings.region",
	} {
		_, err := a.Dial(settings, connector.Facts{}).Check(t.Context())
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeDisconnected || len(e.Fields) != 1 || e.Fields[0].Field != field {
			t.Errorf("%s: got %v, want %s", settings, err, field)
		}
	}
	facts, err := a.Dial("", connector.Facts{}).Check(t.Context())
	if err != nil || facts.Account != fmt.Sprint(fake.Environment) || facts.Labels["list:3"] != fake.SegmentName {
		t.Errorf("got %+v, %v", facts, err)
	}
	connectortest.Serve(t, customerio.Kind, fake.NewEU()).Open("")
}

func TestAWrongAppKeyIsFoundWithoutASegment(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open(`{}`)
	a.Server.Break("customerio", fakeplatform.Fault{Path: "/v1/workspaces", Status: http.StatusUnauthorized})
	if _, err := c.Check(t.Context()); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("got %v", err)
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for settings, field := range map[string]string{
		`{"region":"asia"}`:                                              "settings.region",
		`{"identifyBy":"phone"}`:                                         "settings.identifyBy",
		`{"removal":"forget"}`:                                           "settings.removal",
		`{"segment":"active-clients"}`:                                   "settings.segment",
		`{"tags":[""]}`:                                                  "settings.tags",
		`{"tagsAttribute":"email"}`:                                      "settings.tagsAttribute",
		`{"attributes":{"a":"surname"}}`:                                 "settings.attributes.a",
		`{"attributes":{"unsubscribed":"attributes.optOut"}}`:            "settings.attributes.unsubscribed",
		`{"attributes":{"cio_subscription_preferences":"attributes.p"}}`: "settings.attributes.cio_subscription_preferences",
		`{"attributes":{"cio_subscription_preferences.topics.topic_1":"attributes.p"}}`: "settings.attributes.cio_subscription_preferences.topics.topic_1",
		`{"attributes":{"_update":"attributes.u"}}`:                                     "settings.attributes._update",
	} {
		_, err := customerio.Kind.Open(connector.Config{Credentials: fake.New().Config().Credentials, Settings: []byte(settings)}, &connector.Client{})
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeInvalid || len(e.Fields) == 0 || e.Fields[0].Field != field {
			t.Errorf("%s: got %v, want %s", settings, err, field)
		}
	}
}

func TestAnAudienceIsAManualSegment(t *testing.T) {
	t.Parallel()
	a := serve(t)
	c := a.Open("").(connector.AudienceMaker)
	if id, patch, err := c.MakeAudience(t.Context(), fake.SegmentName, ""); err != nil || id != "3" || patch.List != "3" {
		t.Errorf("got %q, %+v, %v", id, patch, err)
	}
	made, _, err := c.MakeAudience(t.Context(), "spring", "who bought in spring")
	if err != nil || made == "" {
		t.Fatalf("got %q, %v", made, err)
	}
	if again, _, err := c.MakeAudience(t.Context(), "spring", ""); err != nil || again != made {
		t.Errorf("made again: %q, %v", again, err)
	}
	blind, err := customerio.Kind.Open(connector.Config{Credentials: json.RawMessage(`{"siteId":"s","apiKey":"k"}`)}, &connector.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := blind.(connector.AudienceMaker).MakeAudience(t.Context(), "spring", ""); usersync.CodeOf(err) != usersync.CodeInvalid {
		t.Errorf("without a key to read with: %v", err)
	}
}
