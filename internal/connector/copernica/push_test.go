package copernica_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/copernica"
	"usersync/internal/connector/copernica/fake"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

func TestRefusalsAreClassified(t *testing.T) {
	t.Parallel()
	const balancer = "<html><title>Loadbalancer Error</title>There are too many requests to handle</html>"
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
		{status: 204, code: ""},
		{status: 301, code: usersync.CodeRejected},
		{status: 400, body: `{"error":{"message":"Invalid value ada@example.com"}}`, code: usersync.CodeRejected, message: "Invalid value (address)"},
		{status: 400, body: `{"error":{"message":"Invalid access token"}}`, code: usersync.CodeDisconnected, message: "Invalid access token"},
		{status: 400, body: `{"error":{"message":"No database with supplied ID"}}`, code: usersync.CodeDisconnected},
		{status: 400, body: `{"error":{"message":"No entity with supplied ID"}}`, code: usersync.CodeRejected},
		{status: 400, body: `{"error":{"message":"Invalid method"}}`, code: usersync.CodeRejected},
		{status: 400, body: `{"error":"only words"}`, code: usersync.CodeRejected, message: "only words"},
		{status: 400, body: `no JSON`, code: usersync.CodeRejected},
		{status: 400, body: `null`, code: usersync.CodeRejected},
		{status: 401, code: usersync.CodeDisconnected},
		{status: 403, code: usersync.CodeDisconnected},
		{status: 429, header: http.Header{"Retry-After": {"5"}}, code: usersync.CodeRateLimited, wait: 5 * time.Second},
		{status: 500, code: usersync.CodeUnavailable},
		{status: 502, body: "<html>", code: usersync.CodeUnavailable},
		{status: 503, body: "<html>Loadbalancer Error</html>", code: usersync.CodeUnavailable},
		{status: 503, body: balancer, code: usersync.CodeRateLimited, wait: time.Minute},
		{status: 504, body: balancer, code: usersync.CodeRateLimited, wait: time.Minute},
		{status: 503, header: http.Header{"Retry-After": {"9"}}, body: balancer, code: usersync.CodeRateLimited, wait: 9 * time.Second},
		{status: 504, body: "<html>", code: usersync.CodeUnavailable},
	} {
		e := copernica.Kind.Classify(&outbound.Response{Status: c.status, Header: c.header, Body: []byte(c.body)})
		switch {
		case (e == nil) != (c.code == ""):
			t.Errorf("%d %s: got %v", c.status, c.body, e)
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
		out[i].UserID = fmt.Sprintf("user_%d", i)
	}
	return out
}

func TestABatchTakesOneTokenAndACallOrTwoEachNoMoreAtOnceThanAllowed(t *testing.T) {
	t.Parallel()
	for behavior, reads := range map[string]int{"update": 20, "remove": 0, "nothing": 0} {
		f := fake.New()
		f.Behave(behavior)
		c, server := connectortest.Open(t, copernica.Kind, f, map[string]any{"maxConcurrent": 3})
		server.Slow("copernica", 2*time.Millisecond)
		results, err := c.Push(t.Context(), many(t, 20))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Status != connector.Added || r.Remote == "" {
				t.Errorf("person %d: %+v", i, r)
			}
		}
		state := server.State("copernica")
		if state.ByRoute["GET /v4/database/…/profiles"] != reads || state.ByRoute["PUT /v4/database/…/profiles"] != 20 {
			t.Errorf("%s: %v", behavior, state.ByRoute)
		}
		if f.Exchanges() != 1 || state.MaxAtOnce > 3 {
			t.Errorf("%s: %d tokens, %d calls at once", behavior, f.Exchanges(), state.MaxAtOnce)
		}
	}
}

func TestAllWhoNeedATokenWaitForOne(t *testing.T) {
	t.Parallel()
	f := fake.New()
	server := fakeplatform.New(f)
	server.Slow("copernica", 5*time.Millisecond)
	cfg := connectortest.Served(t, server, f, nil)
	var wg sync.WaitGroup
	for _, p := range many(t, 12) {
		c := connectortest.Opened(t, copernica.Kind, cfg) // as the workers open it, each for itself
		wg.Go(func() {
			if _, err := c.Push(t.Context(), []connector.Profile{p}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.Exchanges(); n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestATokenIsExchangedBeforeItEnds(t *testing.T) {
	t.Parallel()
	f := fake.New()
	f.Issue(5 * time.Minute) // which is within the margin
	c, _ := connectortest.Open(t, copernica.Kind, f, nil)
	before := f.Exchanges()
	if _, err := c.Push(t.Context(), many(t, 1)); err != nil {
		t.Fatal(err)
	}
	if n := f.Exchanges() - before; n != 2 { // one for each of the two calls
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestARefusedTokenIsExchangedOnce(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, _ := connectortest.Open(t, copernica.Kind, f, nil)
	f.Revoke()
	results, err := c.Push(t.Context(), many(t, 8))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Status != connector.Added {
			t.Errorf("person %d: %+v", i, r)
		}
	}
	if n := f.Exchanges(); n != 2 {
		t.Errorf("%d tokens in all", n)
	}
}

// unsubscribe has a person leave as the platform sees it.
func unsubscribe(f *fake.Fake, p connector.Profile) {
	f.People().Put(p.Email.Display(), func(one *fakeplatform.Person, _ bool) { one.Unsubscribed = true })
}

func TestWhoIsMarkedGetsNothing(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, server := connectortest.Open(t, copernica.Kind, f, nil)
	people := many(t, 2)
	unsubscribe(f, people[0])
	results, err := c.Push(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.Status != connector.Skipped || r.Reason != usersync.ReasonUnsubscribed ||
		r.Details != "User has unsubscribed in the 'active-clients' database: nothing is sent" {
		t.Errorf("who left: %+v", r)
	}
	if one, _ := f.People().Get(people[0].Email.Display()); len(one.Fields) != 0 || len(one.Tags) != 0 || !one.Unsubscribed {
		t.Errorf("who left has %+v", one)
	}
	if n := server.State("copernica").ByRoute["PUT /v4/database/…/profiles"]; results[1].Status != connector.Added || n != 1 {
		t.Errorf("the other: %+v, %d writes", results[1], n)
	}
}

func TestWhoWasRemovedByTheDatabaseIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	f := fake.New()
	f.Behave("remove")
	c, _ := connectortest.Open(t, copernica.Kind, f, nil)
	ada := many(t, 1)
	results, err := c.Push(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	ada[0].Remote = results[0].Remote
	if again, err := c.Push(t.Context(), ada); err != nil || again[0].Status != connector.Updated {
		t.Errorf("who is there: %+v, %v", again, err)
	}
	f.People().Delete(ada[0].Email.Display())
	preview, err := c.Preview(t.Context(), ada[0])
	if err != nil || preview.Status != connector.Skipped {
		t.Errorf("the preview says %+v, %v", preview, err)
	}
	gone, err := c.Push(t.Context(), ada)
	if err != nil || gone[0].Reason != usersync.ReasonUnsubscribed || f.People().Len() != 0 {
		t.Errorf("who was removed: %+v, %v", gone, err)
	}
}

func TestTheMarkOfThoseWhoLeftMustNotBeMapped(t *testing.T) {
	t.Parallel()
	f := fake.New()
	cfg := connectortest.Served(t, fakeplatform.New(f), f, map[string]any{"fields": map[string]string{"Newsletter": "attributes.newsletter"}})
	_, err := connectortest.Opened(t, copernica.Kind, cfg).Check(t.Context())
	if usersync.CodeOf(err) != usersync.CodeDisconnected || !strings.Contains(err.Error(), "Newsletter") && !strings.Contains(err.Error(), "newsletter") {
		t.Errorf("got %v", err)
	}
}

func TestACheckFindsWhatTheSettingsName(t *testing.T) {
	t.Parallel()
	for _, settings := range []map[string]any{
		{"databaseId": "99"},
		{"fields": map[string]string{"shoe_size": "jobTitle"}},
		{"interests": []string{"golf"}},
	} {
		f := fake.New()
		cfg := connectortest.Served(t, fakeplatform.New(f), f, settings)
		_, err := connectortest.Opened(t, copernica.Kind, cfg).Check(t.Context())
		if usersync.CodeOf(err) != usersync.CodeDisconnected {
			t.Errorf("%v: %v", settings, err)
		}
	}
	f := fake.New()
	cfg := connectortest.Served(t, fakeplatform.New(f), f, map[string]any{"interests": []string{"Football"}, "fields": map[string]string{"User_ID": "userId"}})
	facts, err := connectortest.Opened(t, copernica.Kind, cfg).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"account":"34","labels":{"account":"Development","database:7616":"active-clients","left:newsletter":"no","unsubscribe":"update"}}`
	if got := connectortest.JSON(t, facts); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// seen keeps the queries of calls to the profiles.
type seen struct {
	mu      sync.Mutex
	queries []string
	next    http.Handler
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/profiles") {
		s.mu.Lock()
		s.queries = append(s.queries, r.URL.RawQuery)
		s.mu.Unlock()
	}
	s.next.ServeHTTP(w, r)
}

func TestAConditionIsEncodedOrRefused(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"ada@analytical-engine.example":         true,
		"ada+tag@analytical-engine.example":     true,
		"a&b=c%d@analytical-engine.example":     true,
		"o'neil@analytical-engine.example":      true,
		"a=b@analytical-engine.example":         true,
		"a!b~c@analytical-engine.example":       true,
		"a==b@analytical-engine.example":        false,
		"a!=b@analytical-engine.example":        false,
		"a=~b@analytical-engine.example":        false,
		"a!~b@analytical-engine.example":        false,
		"=ada@analytical-engine.example":        false,
		"~ada@analytical-engine.example":        false,
		"user\u0001x@analytical-engine.example": false,
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			p := many(t, 1)[0]
			p.Email = usersync.NewEmail(address, strings.ToLower(address))
			f := fake.New()
			recorder := &seen{next: fakeplatform.New(f)}
			c := connectortest.Opened(t, copernica.Kind, connectortest.Served(t, recorder, f, nil))
			results, err := c.Push(t.Context(), []connector.Profile{p})
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				if results[0].Status != connector.Failed || len(recorder.queries) != 0 {
					t.Errorf("got %+v after %v", results[0], recorder.queries)
				}
				return
			}
			query, err := url.ParseQuery(recorder.queries[0])
			if results[0].Status != connector.Added || err != nil || query.Get("fields[]") != "email=="+address || query.Get("create") != "1" {
				t.Errorf("got %+v, %v for %s", results[0], err, recorder.queries[0])
			}
		})
	}
}

func TestAUserWithoutWhatTellsProfilesApartIsRefused(t *testing.T) {
	t.Parallel()
	settings := map[string]any{"fields": map[string]string{"user_id": "attributes.number"}, "matchField": "user_id"}
	c, server := connectortest.Open(t, copernica.Kind, fake.New(), settings)
	before := server.State("copernica").Calls
	results, err := c.Push(t.Context(), many(t, 1)) // an empty value would select all who have none
	if err != nil || results[0].Status != connector.Failed || server.State("copernica").Calls != before {
		t.Errorf("got %+v, %v", results, err)
	}
}

func TestAFieldOfTheUsersOwnFollowsAChangedAddress(t *testing.T) {
	t.Parallel()
	f := fake.New()
	settings := map[string]any{"fields": map[string]string{"user_id": "userId"}, "matchField": "user_id"}
	c, _ := connectortest.Open(t, copernica.Kind, f, settings)
	ada := many(t, 1)
	for _, want := range []connector.Status{connector.Added, connector.Updated} {
		results, err := c.Push(t.Context(), ada)
		if err != nil || results[0].Status != want {
			t.Fatalf("got %+v, %v", results, err)
		}
		ada[0].Email = connectortest.ProfileAt(t, "countess@analytical-engine.example").Email
	}
	if one, _ := f.People().Get("person-0@analytical-engine.example"); one.Fields["email"] != "countess@analytical-engine.example" || f.People().Len() != 1 {
		t.Errorf("got %+v of %d", one, f.People().Len())
	}
}

func TestRemovalFollowsTheKeptNumberToo(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, _ := connectortest.Open(t, copernica.Kind, f, nil)
	people := many(t, 2)
	results, err := c.Push(t.Context(), people)
	if err != nil {
		t.Fatal(err)
	}
	renamed := connectortest.ProfileAt(t, "other@analytical-engine.example")
	renamed.Remote = results[0].Remote
	if r, err := c.Remove(t.Context(), renamed); err != nil || r.Status != connector.Removed {
		t.Errorf("got %+v, %v", r, err)
	}
	if left := f.People().Emails(); len(left) != 1 || left[0] != people[1].Email.Display() {
		t.Errorf("left are %v", left)
	}
}

func TestErasureAsksForAllUnlessTheSettingsSayOtherwise(t *testing.T) {
	t.Parallel()
	for keep, want := range map[bool]string{false: `{"completely":"Yes"}`, true: ""} {
		f := fake.New()
		var sent string
		next := fakeplatform.New(f)
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				text, _ := io.ReadAll(r.Body)
				sent = string(text)
				r.Body = http.NoBody
			}
			next.ServeHTTP(w, r)
		})
		c := connectortest.Opened(t, copernica.Kind, connectortest.Served(t, handler, f, map[string]any{"keepInBackend": keep}))
		ada := many(t, 1)
		if _, err := c.Push(t.Context(), ada); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Remove(t.Context(), ada[0]); err != nil || sent != want {
			t.Errorf("sent %q, want %q, %v", sent, want, err)
		}
	}
}

func TestAnAnswerThatSaysNeitherMadeNorChangedIsInDoubt(t *testing.T) {
	t.Parallel()
	f := fake.New()
	c, server := connectortest.Open(t, copernica.Kind, f, nil)
	server.Break("copernica", fakeplatform.Fault{Path: "/profiles", Skip: 1, Body: `{"ok":true}`})
	if _, err := c.Push(t.Context(), many(t, 1)); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestSentencesNameDatabaseAndInterests(t *testing.T) {
	t.Parallel()
	c, _ := connectortest.Open(t, copernica.Kind, fake.New(), map[string]any{"interests": []string{"onlyautomator-user", "football"}})
	ada := many(t, 1)[0]
	preview, err := c.Preview(t.Context(), ada)
	const would = "User would be added to the 'active-clients' database; interests 'onlyautomator-user', 'football' would be applied"
	if err != nil || preview.Details != would {
		t.Errorf("the preview says %q, %v", preview.Details, err)
	}
	results, err := c.Push(t.Context(), []connector.Profile{ada})
	const did = "User added to the 'active-clients' database; interests 'onlyautomator-user', 'football' have been applied"
	if err != nil || results[0].Details != did {
		t.Errorf("the push says %+v, %v", results, err)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for settings, field := range map[string]string{
		`{"databaseId":"clients"}`:                                         "settings.databaseId",
		`{"databaseId":"1","matchField":"a==b"}`:                           "settings.matchField",
		`{"databaseId":"1","matchField":"user_id"}`:                        "settings.matchField",
		`{"databaseId":"1","fields":{"email":""}}`:                         "settings.matchField",
		`{"databaseId":"1","fields":{"shoe":"size"}}`:                      "settings.fields.shoe",
		`{"databaseId":"1","fields":{"email":""},"matchField":"lastname"}`: "",
	} {
		cfg := fake.New().Config()
		cfg.Settings = []byte(settings)
		_, err := copernica.Kind.Open(cfg, &connector.Client{})
		if field == "" {
			if err != nil {
				t.Errorf("%s: %v", settings, err)
			}
			continue
		}
		if fields := usersync.AsError(err).Fields; len(fields) != 1 || fields[0].Field != field {
			t.Errorf("%s: got %+v", settings, fields)
		}
	}
}
