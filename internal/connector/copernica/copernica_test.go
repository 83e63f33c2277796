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
	"usersync/internal/usersync"
)

var platform = connectortest.Of(copernica.Platform, fake.New, connectortest.Options{OneCallEach: true})

func TestMain(m *testing.M) { connectortest.Main(m) }

func TestConnector(t *testing.T) { platform.Run(t) }

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	t.Parallel()
	const balancer = "<html><title>Loadbalancer Error</title>There are too many requests to handle</html>"
	platform.WantMeanings(t, []connectortest.Meaning{
		{Status: 301, Code: usersync.CodeRejected},
		{Status: 400, Body: `{"error":{"message":"Invalid value ada@example.com"}}`, Code: usersync.CodeRejected, Says: "Invalid value (address)"},
		{Status: 400, Body: `{"error":{"message":"Invalid access token"}}`, Code: usersync.CodeDisconnected, Says: "Invalid access token"},
		{Status: 400, Body: `{"error":{"message":"No database with supplied ID"}}`, Code: usersync.CodeDisconnected},
		{Status: 400, Body: `{"error":{"message":"No entity with supplied ID"}}`, Code: usersync.CodeRejected},
		{Status: 400, Body: `{"error":{"message":"Invalid method"}}`, Code: usersync.CodeRejected},
		{Status: 400, Body: `{"error":"only words"}`, Code: usersync.CodeRejected, Says: "only words"},
		{Status: 400, Body: `no JSON`, Code: usersync.CodeRejected},
		{Status: 400, Body: `null`, Code: usersync.CodeRejected},
		{Status: 403, Code: usersync.CodeDisconnected},
		{Status: 429, Header: http.Header{"Retry-After": {"5"}}, Code: usersync.CodeRateLimited, Wait: 5 * time.Second},
		{Status: 503, Body: "<html>Loadbalancer Error</html>", Code: usersync.CodeUnavailable},
		{Status: 503, Body: balancer, Code: usersync.CodeRateLimited, Wait: time.Minute},
		{Status: 504, Body: balancer, Code: usersync.CodeRateLimited, Wait: time.Minute},
		{Status: 503, Header: http.Header{"Retry-After": {"9"}}, Body: balancer, Code: usersync.CodeRateLimited, Wait: 9 * time.Second},
	})
}

// serve serves a fake, behind what a test puts before it.
func serve(t *testing.T, before ...func(http.Handler) http.Handler) (*connectortest.Account, *fake.Fake) {
	t.Helper()
	a := platform.Serve(t, before...)
	return a, a.Fake.(*fake.Fake)
}

func TestABatchTakesOneTokenAndACallEachNoMoreAtOnceThanAllowed(t *testing.T) {
	t.Parallel()
	for behavior, reads := range map[string]int{"update": 1, "remove": 0, "nothing": 0} {
		a, f := serve(t)
		f.Behave(behavior)
		c := a.Open(`{"databaseId":"7616","maxConcurrent":3}`)
		a.Server.Slow("copernica", 2*time.Millisecond)
		for i, r := range a.Push(c, connectortest.People(t, 20)...) {
			if r.Status != connector.Added || r.Remote == "" {
				t.Errorf("person %d: %+v", i, r)
			}
		}
		state := a.Server.State("copernica")
		if state.ByRoute["GET /v4/database/…/profiles"] != reads || state.ByRoute["PUT /v4/database/…/profiles"] != 20 {
			t.Errorf("%s: %v", behavior, state.ByRoute)
		}
		if f.Exchanges() != 1 || state.MaxAtOnce > 3 {
			t.Errorf("%s: %d tokens, %d calls at once", behavior, f.Exchanges(), state.MaxAtOnce)
		}
	}
}

func TestWhoIsMarkedIsReadInPagesAsLongAsThatIsLessThanAskingEach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ marked, pushed, reads int }{
		{999, 5, 1}, {1000, 5, 1 + 5}, {1500, 20, 2}, {2100, 20, 1 + 20}, {0, 1, 1}, // and one more, who is pushed
	} {
		a, f := serve(t)
		for i := range c.marked {
			f.People().Put(fmt.Sprintf("left-%d@analytical-engine.example", i), func(one *fakeplatform.Person, _ bool) { one.Unsubscribed = true })
		}
		people := connectortest.People(t, c.pushed)
		last := len(people) - 1
		a.Unsubscribe(people[last])
		for i, r := range a.Push(a.Open(`{"databaseId":"7616","callsPerSecond":500}`), people...) {
			if want := map[bool]connector.Status{true: connector.Skipped, false: connector.Added}[i == last]; r.Status != want {
				t.Errorf("%+v, person %d: %+v", c, i, r)
			}
		}
		if n := a.Routes()["GET /v4/database/…/profiles"]; n != c.reads {
			t.Errorf("%+v: %d reads", c, n)
		}
	}
}

func TestAllWhoNeedATokenWaitForOne(t *testing.T) {
	t.Parallel()
	a, f := serve(t)
	a.Server.Slow("copernica", 5*time.Millisecond)
	var wg sync.WaitGroup
	for _, p := range connectortest.People(t, 12) {
		c := a.Dial("", connector.Facts{}) // as the workers open it, each for itself
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
	a, f := serve(t)
	f.Issue(5 * time.Minute) // which is within the margin
	c := a.Open("")
	before := f.Exchanges()
	a.Push(c, connectortest.Ada(t))
	if n := f.Exchanges() - before; n != 2 { // one for each of the two calls
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestARefusedTokenIsExchangedOnce(t *testing.T) {
	t.Parallel()
	a, f := serve(t)
	c := a.Open("")
	f.Revoke()
	for i, r := range a.Push(c, connectortest.People(t, 8)...) {
		if r.Status != connector.Added {
			t.Errorf("person %d: %+v", i, r)
		}
	}
	if n := f.Exchanges(); n != 2 {
		t.Errorf("%d tokens in all", n)
	}
}

func TestWhoIsMarkedGetsNothing(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	people := connectortest.People(t, 2)
	c := a.Open("")
	a.Unsubscribe(people[0])
	results := a.Push(c, people...)
	a.Want(results[0], connector.Skipped, "User has unsubscribed in the 'active-clients' database and was left as they are")
	if results[0].Reason != usersync.ReasonUnsubscribed {
		t.Errorf("who left: %+v", results[0])
	}
	if one := a.Held(people[0]); len(one.Fields) != 0 || len(one.Tags) != 0 || !one.Unsubscribed {
		t.Errorf("who left has %+v", one)
	}
	if n := a.Routes()["PUT /v4/database/…/profiles"]; results[1].Status != connector.Added || n != 1 {
		t.Errorf("the other: %+v, %d writes", results[1], n)
	}
}

func TestWhoWasRemovedByTheDatabaseIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	a, f := serve(t)
	f.Behave("remove")
	c, ada := a.Open(""), connectortest.Ada(t)
	a.Bring(c, &ada)
	if again := a.Push(c, ada)[0]; again.Status != connector.Updated {
		t.Errorf("who is there: %+v", again)
	}
	f.People().Delete(ada.Email.Display())
	preview, err := c.Preview(t.Context(), ada)
	if err != nil || preview.Status != connector.Skipped {
		t.Errorf("the preview says %+v, %v", preview, err)
	}
	if gone := a.Push(c, ada)[0]; gone.Reason != usersync.ReasonUnsubscribed || f.People().Len() != 0 {
		t.Errorf("who was removed: %+v", gone)
	}
}

func TestTheMarkOfThoseWhoLeftMustNotBeMapped(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	_, err := a.Dial(`{"databaseId":"7616","fields":{"Newsletter":"attributes.newsletter"}}`, connector.Facts{}).Check(t.Context())
	if usersync.CodeOf(err) != usersync.CodeDisconnected || !strings.Contains(err.Error(), "Newsletter") && !strings.Contains(err.Error(), "newsletter") {
		t.Errorf("got %v", err)
	}
}

func TestACheckFindsWhatTheSettingsName(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	for _, settings := range []string{`{"databaseId":"99"}`, `{"databaseId":"7616","fields":{"shoe_size":"jobTitle"}}`, `{"databaseId":"7616","interests":["golf"]}`} {
		if _, err := a.Dial(settings, connector.Facts{}).Check(t.Context()); usersync.CodeOf(err) != usersync.CodeDisconnected {
			t.Errorf("%s: %v", settings, err)
		}
	}
	facts := a.Check(`{"databaseId":"7616","interests":["Football"],"fields":{"User_ID":"userId"}}`)
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

func (s *seen) before(next http.Handler) http.Handler {
	s.next = next
	return s
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
			p := connectortest.Ada(t)
			p.Email = usersync.NewEmail(address, strings.ToLower(address))
			recorder := &seen{}
			a, _ := serve(t, recorder.before)
			results := a.Push(a.Dial("", connector.Facts{}), p)
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
	a, _ := serve(t)
	c := a.Open(`{"databaseId":"7616","fields":{"user_id":"attributes.number"},"matchField":"user_id"}`)
	a.Costs(0, "an empty value would select all who have none", func() {
		if r := a.Push(c, connectortest.Ada(t))[0]; r.Status != connector.Failed {
			t.Errorf("got %+v", r)
		}
	})
}

func TestAFieldOfTheUsersOwnFollowsAChangedAddress(t *testing.T) {
	t.Parallel()
	a, f := serve(t)
	c, ada := a.Open(`{"databaseId":"7616","fields":{"user_id":"userId"},"matchField":"user_id"}`), connectortest.Ada(t)
	moved := ada
	moved.Email = connectortest.Grace(t).Email
	for _, step := range []struct {
		p    connector.Profile
		want connector.Status
	}{{ada, connector.Added}, {moved, connector.Updated}} {
		if r := a.Push(c, step.p)[0]; r.Status != step.want {
			t.Fatalf("got %+v", r)
		}
	}
	if one := a.Held(ada); one.Fields["email"] != moved.Email.Display() || f.People().Len() != 1 {
		t.Errorf("got %+v of %d", one, f.People().Len())
	}
}

func TestRemovalFollowsTheKeptNumberToo(t *testing.T) {
	t.Parallel()
	a, f := serve(t)
	c, people, renamed := a.Open(""), connectortest.People(t, 2), connectortest.Ada(t)
	renamed.Remote = a.Push(c, people...)[0].Remote
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
		var sent string
		a, _ := serve(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodDelete {
					text, _ := io.ReadAll(r.Body)
					sent = string(text)
					r.Body = http.NoBody
				}
				next.ServeHTTP(w, r)
			})
		})
		c, ada := a.Dial(fmt.Sprintf(`{"databaseId":"7616","keepInBackend":%v}`, keep), connector.Facts{}), connectortest.Ada(t)
		a.Push(c, ada)
		if _, err := c.Remove(t.Context(), ada); err != nil || sent != want {
			t.Errorf("sent %q, want %q, %v", sent, want, err)
		}
	}
}

func TestAnAnswerThatSaysNeitherMadeNorChangedIsInDoubt(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open("")
	a.Break(fakeplatform.Fault{Path: "/profiles", Skip: 1, Body: `{"ok":true}`})
	if _, err := c.Push(t.Context(), connectortest.People(t, 1)); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestSentencesNameDatabaseAndInterests(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c, ada := a.Open(`{"databaseId":"7616","interests":["onlyautomator-user","football"]}`), connectortest.Ada(t)
	preview, err := c.Preview(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	a.Want(preview, connector.Added, "User would be added to the 'active-clients' database; interests 'onlyautomator-user', 'football' would be applied")
	a.Want(a.Push(c, ada)[0], connector.Added, "User added to the 'active-clients' database; interests 'onlyautomator-user', 'football' have been applied")
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	a.WantRefused(map[string]string{
		`{"databaseId":"clients"}`:                    "settings.databaseId",
		`{"databaseId":"1","matchField":"a==b"}`:      "settings.matchField",
		`{"databaseId":"1","matchField":"user_id"}`:   "settings.matchField",
		`{"databaseId":"1","fields":{"email":""}}`:    "settings.matchField",
		`{"databaseId":"1","fields":{"shoe":"size"}}`: "settings.fields.shoe",
	})
	a.Dial(`{"databaseId":"1","fields":{"email":""},"matchField":"lastname"}`, connector.Facts{})
}

func TestATokenWithoutEndIsNone(t *testing.T) {
	t.Parallel()
	c := platform.Dial(t, connectortest.Says(http.StatusOK, strings.Repeat("a", 1<<20)+".b.c"), connectortest.JSON(t, map[string]string{"databaseId": "7616"}))
	if _, err := c.Check(t.Context()); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestTenantsShareNoToken(t *testing.T) {
	t.Parallel()
	a, f := serve(t)
	for _, organization := range []string{"org_1", "org_2", "org_1"} {
		c, err := a.Kind.Open(a.Config(""), &connector.Client{HTTP: connectortest.NewClient(t), Organization: organization})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := f.Exchanges(); n != 2 {
		t.Errorf("%d tokens were asked for, want one for each tenant", n)
	}
}
