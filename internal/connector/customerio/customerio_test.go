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
	"usersync/internal/usersync"
)

var platform = connectortest.Of(customerio.Platform, fake.New)

func TestMain(m *testing.M) { connectortest.Main(m) }

func TestConnector(t *testing.T) { platform.Run(t) }

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	t.Parallel()
	platform.WantMeanings(t, []connectortest.Meaning{
		{Name: "v2", Status: 400, Code: usersync.CodeRejected, Says: "identifiers: is required", Body: `{"errors":[{"reason":"required","field":"identifiers","message":"is required"}]}`},
		{Name: "v2 without a message", Status: 400, Code: usersync.CodeRejected, Says: "batch: invalid", Body: `{"errors":[{"reason":"invalid","field":"batch"}]}`},
		{Name: "v1", Status: 400, Code: usersync.CodeRejected, Says: "name cannot be blank", Body: `{"meta":{"error":"name cannot be blank"}}`},
		{Name: "v1, several", Status: 400, Code: usersync.CodeRejected, Says: "ids are missing", Body: `{"meta":{"errors":["ids are missing","and more"]}}`},
		{Name: "App API", Status: 404, Code: usersync.CodeRejected, Says: "not found", Body: `{"errors":[{"detail":"not found","status":"404"}]}`},
		{Name: "texts", Status: 400, Code: usersync.CodeRejected, Says: "no", Body: `{"errors":["no"]}`},
		{Name: "nothing said", Status: 400, Code: usersync.CodeRejected, Says: "400"},
		{Name: "wrong keys", Status: 401, Code: usersync.CodeDisconnected, Body: `{"meta":{"error":"unauthorized"}}`},
		{Name: "not allowed", Status: 403, Code: usersync.CodeDisconnected},
		{Name: "too large", Status: 413, Code: usersync.CodeRejected},
		{Name: "too many calls", Status: 429, Code: usersync.CodeRateLimited, Wait: time.Second},
		{Name: "too many calls, told how long", Status: 429, Code: usersync.CodeRateLimited, Wait: 7 * time.Second, Header: http.Header{"Retry-After": {"7"}}},
		{Name: "another region", Status: 301, Code: usersync.CodeRejected},
	})
}

func TestABatchIsOneCallAndOneForTheSegment(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	all := connectortest.People(t, customerio.Platform.Batch)
	a.Push(a.Open(""), all...)
	routes := a.Routes()
	if routes["POST /api/…/batch"]+routes["POST /api/v2/batch"] != 1 || a.Fake.People().Len() != len(all) {
		t.Errorf("%d people by %v", a.Fake.People().Len(), routes)
	}
	for _, p := range all {
		if one := a.Held(p); !slices.Equal(one.Lists, []string{"3"}) || !slices.Equal(one.Tags, []string{"usersync-user"}) {
			t.Fatalf("got %+v", one)
		}
	}
}

// essays are settings that map 40 attributes.
func essays(t *testing.T) string {
	t.Helper()
	mapping := map[string]string{}
	for i := range 40 {
		mapping[fmt.Sprintf("essay%d", i)] = fmt.Sprintf("attributes.essay%d", i)
	}
	return connectortest.JSON(t, map[string]any{"attributes": mapping})
}

// essay is that many kilobytes of attributes, of which each has the most that is taken.
func essay(kilobytes int) map[string]any {
	out := map[string]any{}
	for i := range kilobytes {
		out[fmt.Sprintf("essay%d", i)] = strings.Repeat("x", 1000)
	}
	return out
}

func TestAValueThatIsTooLongIsLeftOut(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	ada := connectortest.Ada(t)
	ada.Attributes = essay(2)
	ada.Attributes["essay1"] = strings.Repeat("ü", 501) // 1,002 bytes
	a.Want(a.Push(a.Open(essays(t)), ada)[0], connector.Synced, "User synced; 'essay1' was left out, as it is longer than the 1,000 bytes that Customer.io takes")
	if one := a.Held(ada); one.Fields["essay0"] == nil || one.Fields["essay1"] != nil {
		t.Errorf("has %v", one.Fields)
	}
}

func TestAnIdentifierOfMoreThan150BytesIsRefused(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	long := connectortest.Person(t, "ada@"+strings.Repeat("lovelace.", 20)+"example.org", "Ada", "Lovelace")
	if r := a.Push(a.Open(""), long)[0]; r.Status != connector.Failed || !strings.Contains(r.Details, "150 bytes") {
		t.Errorf("got %+v", r)
	}
}

func TestCallsStayBelow500KB(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	c := a.Open(essays(t))
	some := connectortest.People(t, 41)
	for i := range some {
		some[i].Attributes = essay(30)
	}
	some[7].Attributes = essay(40)
	var results []connector.Result
	a.Costs(4, "1.2 MB, after a search", func() { results = a.Push(c, some...) })
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
	a := platform.Serve(t)
	c := a.Open(essays(t))
	some := connectortest.People(t, 20)
	for i := range some {
		some[i].Attributes = essay(30)
	}
	a.Break(fakeplatform.Fault{Path: "/batch", Skip: 1, Status: http.StatusServiceUnavailable})
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
	a := platform.Serve(t)
	some := connectortest.People(t, 3)
	a.Refuse(some[1])
	results := a.Push(a.Open(""), some...)
	if results[1].Status != connector.Failed || results[1].Details != "User refused: email: email is not a valid address" {
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
		a := platform.Serve(t)
		c := a.Open("")
		a.Break(fakeplatform.Fault{Path: "/batch", Status: http.StatusMultiStatus, Body: body})
		if results, err := c.Push(t.Context(), connectortest.People(t, 2)); usersync.CodeOf(err) != usersync.CodeUnavailable || results[0].Status != "" {
			t.Errorf("%s: %+v, %v", body, results, err)
		}
	}
}

// blind opens a connection without a key to read with.
func blind(t *testing.T) connector.Connector {
	t.Helper()
	c, err := customerio.Platform.Open(connector.Config{Credentials: json.RawMessage(`{"siteId":"s","apiKey":"k"}`)}, &connector.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOnlyWithAnAppKeyAPreviewTellsNewFromKnown(t *testing.T) {
	t.Parallel()
	for _, identify := range []string{"email", "id"} {
		a := platform.Serve(t)
		c := a.Open(`{"identifyBy":"` + identify + `"}`)
		ada := connectortest.Person(t, "ada+1@example.org", "Ada", "Lovelace")
		for _, want := range []connector.Status{connector.Added, connector.Updated} {
			if r, err := c.Preview(t.Context(), ada); err != nil || r.Status != want || r.Details != "User would be "+string(want) {
				t.Errorf("by %s: %+v, %v", identify, r, err)
			}
			a.Push(c, ada)
		}
	}
	r, err := blind(t).Preview(t.Context(), connectortest.Ada(t))
	if err != nil || r.Status != connector.Synced || r.Details != "User would be synced" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestKnownByOurIDAPersonKeepsTheProfileWithANewAddress(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	c := a.Open(`{"identifyBy":"id","segment":"3"}`)
	ada := connectortest.Person(t, "ada@example.org", "Ada", "Byron")
	a.Push(c, ada)
	ada.Email = connectortest.Person(t, "ada.lovelace@example.org", "", "").Email
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
		a := platform.Serve(t)
		c := a.Open(`{"removal":"` + removal + `"}`)
		ada := connectortest.Person(t, "ada+test@example.org", "Ada", "Lovelace")
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

func TestASegmentThatHasGoneDisconnectsOnlyItsConnection(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	for _, segment := range []string{"4", "99"} { // the first fills itself
		a.WantGone(`{"segment":"`+segment+`"}`, "list:"+segment, connectortest.Ada(t))
	}
}

func TestACheckNamesTheSettingThatIsWrong(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	a.WantDisconnected(map[string]string{
		`{"segment":"99"}`: "settings.segment",
		`{"segment":"4"}`:  "settings.segment",
		`{"region":"eu"}`:  "settings.region",
	})
	facts, err := a.Dial("", connector.Facts{}).Check(t.Context())
	if err != nil || facts.Account != fmt.Sprint(fake.Environment) || facts.Labels["list:3"] != fake.SegmentName {
		t.Errorf("got %+v, %v", facts, err)
	}
	connectortest.Of(customerio.Platform, fake.NewEU).Serve(t).Open("")
}

func TestAWrongAppKeyIsFoundWithoutASegment(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	c := a.Open(`{}`)
	a.Break(fakeplatform.Fault{Path: "/v1/workspaces", Status: http.StatusUnauthorized})
	if _, err := c.Check(t.Context()); usersync.CodeOf(err) != usersync.CodeDisconnected {
		t.Errorf("got %v", err)
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	a.WantRefused(map[string]string{
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
	})
}

func TestAnAudienceIsAManualSegment(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	a.WantAudience(a.Open(""), fake.SegmentName, "3", "spring")
	if err := blind(t).(connector.AudienceMaker).CheckAudience(t.Context(), "spring"); usersync.CodeOf(err) != usersync.CodeInvalid {
		t.Errorf("an audience without an App API key: %v", err)
	}
	if _, _, err := blind(t).(connector.AudienceMaker).MakeAudience(t.Context(), "spring", ""); usersync.CodeOf(err) != usersync.CodeInvalid {
		t.Errorf("without a key to read with: %v", err)
	}
}
