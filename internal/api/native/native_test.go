package native

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"usersync/internal/api/apitest"
	"usersync/internal/colleague"
	"usersync/internal/management"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

const john = `{"user":{"email":"john.doe@example.com","country":"US","firstName":"John","lastName":"Doe","name":"John Doe","jobTitle":"Software Engineer","inviteLink":"https://example.com/i/1"}}`

type accepted struct {
	Success                            bool
	Status, RequestID, UserID, Message string
}

// handlers need no store: a call brings the view of its organization.
func handlers() *Handlers { return &Handlers{Management: &management.Service{}} }

func TestUserSyncAnswersWithTheGivenBody(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	answer := s.Do(t, http.MethodPost, "/v1/user-sync", john)
	if answer.Status != http.StatusAccepted {
		t.Fatalf("status %d: %s", answer.Status, answer.Body)
	}
	var got accepted
	answer.JSON(t, &got)
	want := fmt.Sprintf(`{"success":true,"status":"processing","requestId":%q,"userId":%q,"message":"Request accepted and is being processed asynchronously."}`, got.RequestID, got.UserID)
	if answer.Body != want {
		t.Errorf("body\n%s\nwant\n%s", answer.Body, want)
	}
	if !usersync.HasPrefix(got.RequestID, usersync.PrefixRequest) || !usersync.HasPrefix(got.UserID, usersync.PrefixUser) {
		t.Errorf("ids %q, %q", got.RequestID, got.UserID)
	}
	for name, want := range map[string]string{
		"X-Request-Id": got.RequestID, "Location": "/v1/requests/" + got.RequestID, "Content-Type": "application/json",
	} {
		if answer.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, answer.Header.Get(name), want)
		}
	}
	var again accepted
	s.Do(t, http.MethodPost, "/v1/user-sync", `{"user":{"email":"John.Doe@EXAMPLE.com","country":"Germany"}}`).JSON(t, &again)
	if again.UserID != got.UserID || again.RequestID == got.RequestID {
		t.Errorf("the same address gave %+v after %+v; want the same user, another request", again, got)
	}
}

func TestUserSyncRefusesWithTheGivenBodies(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	field := func(f string) string {
		return `{"user":{"email":"a@example.com","country":"US",` + f + `}}`
	}
	many := make([]string, maxAttributes+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"a%d":1`, i)
	}
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"no body":               {``, 400, `User email is required`},
		"no user":               {`{}`, 400, `User email is required`},
		"user without wrapper":  {`{"email":"a@acme.example","country":"US"}`, 400, `User email is required: the user must be the value of "user", as in {"user":{"email":…,"country":…}}`},
		"null user":             {`{"user":null}`, 400, `User email is required`},
		"no email":              {`{"user":{"country":"US"}}`, 400, `User email is required`},
		"null email":            {`{"user":{"email":null,"country":"US"}}`, 400, `User email is required`},
		"blank email":           {`{"user":{"email":"  ","country":"US"}}`, 400, `User email is required`},
		"other case":            {`{"user":{"Email":"a@example.com","country":"US"}}`, 400, `User email is required`},
		"other case of user":    {`{"User":{"email":"a@example.com","country":"US"}}`, 400, `User email is required`},
		"last user counts":      {`{"user":{"email":"a@example.com","country":"US"},"user":{}}`, 400, `User email is required`},
		"no address":            {`{"user":{"email":"john","country":"US"}}`, 400, `User email is invalid`},
		"no country":            {`{"user":{"email":"a@example.com"}}`, 400, `User IP (country) is required`},
		"blank country":         {`{"user":{"email":"a@example.com","country":""}}`, 400, `User IP (country) is required`},
		"unknown country":       {`{"user":{"email":"a@example.com","country":"Atlantis"}}`, 400, `User country is unknown`},
		"number as email":       {`{"user":{"email":7,"country":"US"}}`, 400, `user.email must be a string`},
		"object as country":     {`{"user":{"email":"a@example.com","country":{}}}`, 400, `user.country must be a string`},
		"list as user":          {`{"user":[]}`, 400, `user must be an object`},
		"list as body":          {`[]`, 400, `The body must be an object`},
		"number as first name":  {field(`"firstName":1.5e3`), 400, `user.firstName must be a string`},
		"long first name":       {field(`"firstName":"` + strings.Repeat("ü", 257) + `"`), 400, `user.firstName must have at most 256 characters`},
		"long link":             {field(`"inviteLink":"` + strings.Repeat("x", 2049) + `"`), 400, `user.inviteLink must have at most 2048 characters`},
		"list as attributes":    {field(`"attributes":[]`), 400, `user.attributes must be an object`},
		"object as attribute":   {field(`"attributes":{"size":{"a":[1,{}]}}`), 400, `user.attributes.size must be a string, a number, true, false, null or a list of strings`},
		"number in a list":      {field(`"attributes":{"plans":["gold",7]}`), 400, `user.attributes.plans[1] must be a string`},
		"long list":             {field(`"attributes":{"plans":["` + strings.Repeat("x", 2048) + `","` + strings.Repeat("x", 2049) + `"]}`), 400, `user.attributes.plans must have at most 4096 bytes`},
		"too many digits":       {field(`"attributes":{"size":` + strings.Repeat("1", 65) + `}`), 400, `user.attributes.size must have at most 64 characters`},
		"huge number":           {field(`"attributes":{"size":1e999}`), 400, `user.attributes.size is out of range`},
		"long attribute":        {field(`"attributes":{"size":"` + strings.Repeat("x", 4097) + `"}`), 400, `user.attributes.size must have at most 4096 bytes`},
		"nameless attribute":    {field(`"attributes":{"":1}`), 400, `user.attributes. must have a name of 1 to 64 characters`},
		"too many attributes":   {field(`"attributes":{` + strings.Join(many, ",") + `}`), 400, `user.attributes must have at most 100 members`},
		"broken JSON":           {"{\"user\":{\n\"email\":\"a@example.com\",\n  \"country\": US}}", 400, `Malformed JSON at line 3, column 14: a value was expected`},
		"cut off":               {`{"user":{"email":"a@exam`, 400, `Malformed JSON at line 1, column 18: a string is not closed`},
		"trailing garbage":      {john + "\n x", 400, `Malformed JSON at line 2, column 2: text behind the end`},
		"two values":            {john + john, 400, fmt.Sprintf(`Malformed JSON at line 1, column %d: text behind the end`, len(john)+1)},
		"NUL escape":            {field(`"firstName":"a\u0000b"`), 400, `Malformed JSON at line 1, column 63: a wrong escape in a string`},
		"NUL in what we ignore": {field(`"extra":["\u0000"]`), 400, `Malformed JSON at line 1, column 59: a wrong escape in a string`},
		"half a surrogate":      {field(`"firstName":"\ud83d"`), 400, `Malformed JSON at line 1, column 62: a wrong escape in a string`},
		"not UTF-8":             {field("\"firstName\":\"\xff\""), 400, `Malformed JSON at line 1, column 62: not UTF-8`},
		"too large":             {field(`"extra":"` + strings.Repeat("x", 1<<20) + `"`), 413, `The body is too large.`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := s.Do(t, http.MethodPost, "/v1/user-sync", test.body)
			want, _ := json.Marshal(map[string]string{"error": test.want})
			if answer.Status != test.status || answer.Body != string(want) {
				t.Errorf("%d %s, want %d %s", answer.Status, answer.Body, test.status, want)
			}
			if !usersync.HasPrefix(answer.Header.Get("X-Request-Id"), usersync.PrefixRequest) {
				t.Error("no X-Request-Id")
			}
		})
	}
}

func TestUserSyncTakesWhatItsClientsSend(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	for name, body := range map[string]string{
		"unknown fields":  `{"source":{"deep":[1,2,{"a":null}]},"user":{"email":"a@example.com","country":"Germany","plan":[true,false]}}`,
		"nulls":           `{"user":{"email":"a@example.com","country":"DEU","firstName":null,"attributes":null}}`,
		"escapes":         `{"user":{"email":"a\u0040example.com","country":"D\u0045","firstName":"\ud83d\ude00\n\"\\\/"}}`,
		"escaped name":    `{"us\u0065r":{"email":"a@example.com","country":"DE"}}`,
		"attributes":      `{"user":{"email":"a@example.com","country":"DE","attributes":{"a":"x","b":-1.5e3,"c":true}}}`,
		"space all round": " \r\n\t{ \"user\" : { \"email\" : \" a@example.com \" , \"country\" : \" de \" } } \n",
	} {
		if answer := s.Do(t, http.MethodPost, "/v1/user-sync", body); answer.Status != http.StatusAccepted {
			t.Errorf("%s: %d %s", name, answer.Status, answer.Body)
		}
	}
	if answer := s.Do(t, http.MethodPost, "/v1/user-sync", john, "Content-Type: Application/JSON; charset=utf-8"); answer.Status != http.StatusAccepted {
		t.Errorf("with a charset: %d %s", answer.Status, answer.Body)
	}
}

func TestUserSyncChecksKeyThenOrganizationThenScopeThenBodyThenCredits(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	ctx := t.Context()
	disabled, disabledKey, _ := s.NewOrganization(t, tenant.Settings{}, 1)
	_, err := tenant.Update(ctx, s.Store.Org(disabled.ID), "test", func(o *tenant.Organization) ([]string, error) {
		o.Status = tenant.Disabled
		return []string{"status"}, nil
	})
	apitest.Must(t, err)
	_, poor, _ := s.NewOrganization(t, tenant.Settings{}, 0)
	_, unlinked := s.NewKey(t, "", tenant.Key{})
	_, gone := s.NewKey(t, usersync.NewID(usersync.PrefixOrganization), tenant.Key{})
	_, reader := s.NewKey(t, s.Org.ID, tenant.Key{Scopes: []tenant.Scope{tenant.ScopeRead}})
	_, expired := s.NewKey(t, s.Org.ID, tenant.Key{ExpiresAt: usersync.Time{Time: time.Now().Add(-time.Second)}})
	revokedKey, revoked := s.NewKey(t, s.Org.ID, tenant.Key{})
	_, err = tenant.RevokeKey(ctx, s.Store.Org(s.Org.ID), "test", revokedKey.ID, time.Now().Add(-time.Second))
	apitest.Must(t, err)
	key := func(k usersync.Secret) string { return "X-API-Key: " + k.Reveal() }
	for name, test := range map[string]struct {
		header string
		body   string
		status int
		want   string
	}{
		"no key":             {"X-API-Key:", `{`, 401, `{"error":"API Key is required"}`},
		"unknown key":        {"X-API-Key: usk_nobody", `{`, 401, `{"error":"Invalid API Key"}`},
		"endless key":        {"X-API-Key: " + strings.Repeat("k", 5000), `{`, 401, `{"error":"Invalid API Key"}`},
		"expired key":        {key(expired), `{`, 401, `{"error":"Invalid API Key"}`},
		"revoked key":        {key(revoked), `{`, 401, `{"error":"Invalid API Key"}`},
		"unlinked key":       {key(unlinked), `{`, 400, `{"error":"API Key is not linked to a valid organization."}`},
		"organization gone":  {key(gone), `{`, 401, `{"error":"Invalid organization ID"}`},
		"organization off":   {key(disabledKey), `{`, 401, `{"error":"Invalid organization ID"}`},
		"no scope":           {key(reader), `{`, 403, `{"error":"API Key lacks the scope sync."}`},
		"body, then credits": {key(poor), `{}`, 400, `{"error":"User email is required"}`},
		"no credits":         {key(poor), john, 402, `{"error":"API Key has no remaining credits."}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := s.Do(t, http.MethodPost, "/v1/user-sync", test.body, test.header)
			if answer.Status != test.status || answer.Body != test.want {
				t.Errorf("%d %s, want %d %s", answer.Status, answer.Body, test.status, test.want)
			}
		})
	}
	bearer := s.Do(t, http.MethodPost, "/v1/user-sync", john, "X-API-Key:", "Authorization: bearer "+s.Key.Reveal())
	if bearer.Status != http.StatusAccepted {
		t.Errorf("Authorization: Bearer gave %d %s", bearer.Status, bearer.Body)
	}
	query := s.Do(t, http.MethodPost, "/v1/user-sync?apiKey="+s.Key.Reveal(), john, "X-API-Key:")
	if query.Status != http.StatusUnauthorized {
		t.Errorf("a key in the query gave %d; want 401", query.Status)
	}
}

func TestIdempotencyKeyAcceptsOnce(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	const calls = 50
	answers := make([]apitest.Answer, calls)
	var running sync.WaitGroup
	for i := range calls {
		running.Go(func() {
			key := "Idempotency-Key: k-1"
			if i%2 == 0 {
				key = `Idempotency-Key: "k-1"`
			}
			answers[i] = s.Do(t, http.MethodPost, "/v1/user-sync", john, key)
		})
	}
	running.Wait()
	first := 0
	for _, a := range answers {
		if a.Status != http.StatusAccepted || a.Body != answers[0].Body {
			t.Fatalf("%d %s, want 202 %s", a.Status, a.Body, answers[0].Body)
		}
		var got accepted
		a.JSON(t, &got)
		if a.Header.Get("X-Request-Id") != got.RequestID || a.Header.Get("Location") != "/v1/requests/"+got.RequestID {
			t.Errorf("headers name %s and %s, the body %s", a.Header.Get("X-Request-Id"), a.Header.Get("Location"), got.RequestID)
		}
		if a.Header.Get("Idempotency-Replayed") == "" {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d answers say they are no replay; want 1", first)
	}
	other := s.Do(t, http.MethodPost, "/v1/user-sync", strings.Replace(john, "John", "Jon", 1), "Idempotency-Key: k-1")
	if other.Status != http.StatusUnprocessableEntity {
		t.Errorf("another body with the same key gave %d %s; want 422", other.Status, other.Body)
	}
	query := s.Do(t, http.MethodPost, "/v1/user-sync?x=1", john, "Idempotency-Key: k-1")
	if query.Status != http.StatusUnprocessableEntity {
		t.Errorf("another query with the same key gave %d; want 422", query.Status)
	}
	for _, bad := range []string{`""`, `"k`, "a b", "ü", strings.Repeat("k", 256)} {
		if a := s.Do(t, http.MethodPost, "/v1/user-sync", john, "Idempotency-Key: "+bad); a.Status != http.StatusBadRequest {
			t.Errorf("key %q gave %d %s; want 400", bad, a.Status, a.Body)
		}
	}
}

func TestRequestIsShownUnfinishedThenFinished(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	var made accepted
	s.Do(t, http.MethodPost, "/v1/user-sync", john).JSON(t, &made)
	path := "/v1/requests/" + made.RequestID
	before := s.Do(t, http.MethodGet, path, "")
	if before.Status != http.StatusOK || before.Header.Get("Retry-After") != "1" || !strings.Contains(before.Body, `"status":"queued"`) {
		t.Errorf("%d %v %s", before.Status, before.Header, before.Body)
	}
	s.Finish(t, request.Step{Name: request.StepColleagues, Status: request.StepSucceeded, Attempts: 1})
	after := s.Do(t, http.MethodGet, path, "")
	if after.Status != http.StatusOK || after.Header.Get("Retry-After") != "" || !strings.Contains(after.Body, `"status":"succeeded"`) {
		t.Errorf("%d %v %s", after.Status, after.Header, after.Body)
	}
	head := s.Do(t, http.MethodHead, path, "")
	if head.Status != http.StatusOK || head.Body != "" {
		t.Errorf("HEAD gave %d %q", head.Status, head.Body)
	}
	_, stranger, _ := s.NewOrganization(t, tenant.Settings{}, 1)
	for name, a := range map[string]apitest.Answer{
		"another's":   s.Do(t, http.MethodGet, path, "", "X-API-Key: "+stranger.Reveal()),
		"unknown":     s.Do(t, http.MethodGet, "/v1/requests/"+usersync.NewID(usersync.PrefixRequest), ""),
		"no id":       s.Do(t, http.MethodGet, "/v1/requests/1", ""),
		"retry":       s.Do(t, http.MethodPost, "/v1/requests/"+usersync.NewID(usersync.PrefixRequest)+"/retry", ""),
		"other retry": s.Do(t, http.MethodPost, path+"/retry", "", "X-API-Key: "+stranger.Reveal()),
	} {
		if a.Status != http.StatusNotFound || a.Body != `{"error":"Request not found"}` {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := s.Do(t, http.MethodGet, "/v1/requests/%00", ""); a.Status != http.StatusNotFound {
		t.Errorf("NUL as id gave %d %s", a.Status, a.Body)
	}
}

func TestPreferWaitAnswersWhenTheWorkIsDone(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	answer := make(chan apitest.Answer, 1)
	go func() {
		answer <- s.Do(t, http.MethodPost, "/v1/user-sync", john, "Prefer: respond-async, Wait=\"99\"")
	}()
	step := request.Step{Name: request.StepColleagues, Status: request.StepSkipped, Reason: colleague.ReasonPersonalEmail}
	deadline := time.After(20 * time.Second)
	for {
		s.Finish(t, step) // until the call's task is there
		select {
		case got := <-answer:
			checkWaited(t, s, got)
			return
		case <-deadline:
			t.Fatal("the call still waits")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func checkWaited(t *testing.T, s *apitest.Server, got apitest.Answer) {
	t.Helper()
	if got.Status != http.StatusOK || got.Header.Get("Preference-Applied") != "wait=30" {
		t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
	}
	shown := s.Do(t, http.MethodGet, got.Header.Get("Location"), "")
	if shown.Body != got.Body {
		t.Errorf("the answer is\n%s\nand GET shows\n%s", got.Body, shown.Body)
	}
	replay := s.Do(t, http.MethodPost, "/v1/user-sync", john, "Prefer: wait=0")
	if replay.Status != http.StatusAccepted || replay.Header.Get("Preference-Applied") != "wait=0" {
		t.Errorf("wait=0 gave %d %v", replay.Status, replay.Header)
	}
	waited := s.Do(t, http.MethodGet, replay.Header.Get("Location"), "", "Prefer: wait=1")
	if waited.Status != http.StatusOK || waited.Header.Get("Retry-After") != "1" {
		t.Errorf("a wait in vain gave %d %v", waited.Status, waited.Header)
	}
}

func TestRetryRunsOnlyWhatFailed(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	var made accepted
	s.Do(t, http.MethodPost, "/v1/user-sync", john).JSON(t, &made)
	path := "/v1/requests/" + made.RequestID + "/retry"
	if a := s.Do(t, http.MethodPost, path, ""); a.Status != http.StatusConflict {
		t.Errorf("a retry of what has not failed gave %d %s; want 409", a.Status, a.Body)
	}
	s.Finish(t, request.Step{Name: request.StepColleagues, Status: request.StepFailed, ErrorCode: usersync.CodeInternal, ErrorMessage: "It failed."})
	a := s.Do(t, http.MethodPost, path, "")
	if a.Status != http.StatusAccepted || !strings.Contains(a.Body, `"status":"queued"`) || a.Header.Get("Location") != "/v1/requests/"+made.RequestID {
		t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
	}
	if a := s.Do(t, http.MethodPost, path, ""); a.Status != http.StatusConflict {
		t.Errorf("a second retry gave %d; want 409", a.Status)
	}
}

type list struct {
	Items      []struct{ RequestID, Email, Status string }
	NextCursor string
}

func TestRequestsAreListedNewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	if a := s.Do(t, http.MethodGet, "/v1/requests", ""); a.Body != `{"items":[],"nextCursor":""}` {
		t.Errorf("an empty list is %s", a.Body)
	}
	var want []string
	for i := range 5 {
		var made accepted
		s.Do(t, http.MethodPost, "/v1/user-sync", fmt.Sprintf(`{"user":{"email":"u%d@example.com","country":"US"}}`, i)).JSON(t, &made)
		want = append([]string{made.RequestID}, want...)
	}
	var got []string
	path := "/v1/requests?limit=2&status=queued&kind=user-sync&since=2020-01-01T00:00:00Z"
	for cursor, pages := "", 1; ; pages++ {
		var page list
		s.Do(t, http.MethodGet, path+"&cursor="+cursor, "").JSON(t, &page)
		for _, item := range page.Items {
			got = append(got, item.RequestID)
		}
		if cursor = page.NextCursor; cursor == "" || pages > 5 {
			break
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	var one list
	s.Do(t, http.MethodGet, "/v1/requests?email=U3%40EXAMPLE.com", "").JSON(t, &one)
	if len(one.Items) != 1 || one.Items[0].Email != "u3@example.com" {
		t.Errorf("by e-mail: %+v", one)
	}
	_, stranger, _ := s.NewOrganization(t, tenant.Settings{}, 1)
	if a := s.Do(t, http.MethodGet, "/v1/requests", "", "X-API-Key: "+stranger.Reveal()); a.Body != `{"items":[],"nextCursor":""}` {
		t.Errorf("another organization sees %s", a.Body)
	}
}

func TestListRefusesWrongParameters(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	for query, want := range map[string]string{
		"limit=0":       "limit must be a whole number from 1 to 500",
		"limit=501":     "limit must be a whole number from 1 to 500",
		"limit=x":       "limit must be a whole number from 1 to 500",
		"cursor=x":      "cursor must be the nextCursor of an earlier page",
		"cursor=b3JnXw": "cursor must be the nextCursor of an earlier page",
		"status=done":   "status is not a status of requests",
		"email=x":       "email must be an e-mail address",
		"since=today":   "since must be a time like 2026-11-22T10:00:00Z",
		"kind=%00":      "The query string holds NUL or is not UTF-8.",
		"kind=%ff":      "The query string holds NUL or is not UTF-8.",
		"kind=%zz":      "The query string is malformed.",
	} {
		a := s.Do(t, http.MethodGet, "/v1/requests?"+query, "")
		if a.Status != http.StatusBadRequest || a.Body != `{"error":"`+want+`"}` {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
}

type batchReply struct {
	Success bool
	Status  string
	Results []struct{ RequestID, UserID, Error string }
}

func TestBatchAnswersUserByUserInOrder(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	body := `{"users":[{"email":"a@example.com","country":"US"},{"email":"a"},null,{"email":"b@example.com","country":"DE","firstName":7},
		"x",{"email":"A@example.com","country":"US"}]}`
	first := s.Do(t, http.MethodPost, "/v1/user-sync/batch", body, "Idempotency-Key: batch")
	if first.Status != http.StatusAccepted {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	var got batchReply
	first.JSON(t, &got)
	if !got.Success || got.Status != "processing" || len(got.Results) != 6 {
		t.Fatalf("%s", first.Body)
	}
	for i, want := range []string{"", "User email is invalid", "User email is required", "users[3].firstName must be a string", "users[4] must be an object", ""} {
		if got.Results[i].Error != want || (want == "") != (got.Results[i].RequestID != "") {
			t.Errorf("result %d is %+v, want error %q", i, got.Results[i], want)
		}
	}
	if got.Results[0].UserID != got.Results[5].UserID || got.Results[0].RequestID == got.Results[5].RequestID {
		t.Errorf("the same address gave %+v and %+v", got.Results[0], got.Results[5])
	}
	replay := s.Do(t, http.MethodPost, "/v1/user-sync/batch", body, "Idempotency-Key: batch")
	if replay.Body != first.Body || replay.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the replay is\n%s\nafter\n%s", replay.Body, first.Body)
	}
}

func TestBatchTakesAThousandUsersAndNoMore(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	// Most are refused, and some of them long, so that the test weighs little on
	// the database and much on the bounds.
	users := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"jobTitle":%q}`, strings.Repeat("x", 1500))
			if i%100 == 99 {
				list[i] = fmt.Sprintf(`{"email":"u%d@example.com","country":"US"}`, i)
			}
		}
		return `{"users":[` + strings.Join(list, ",") + `]}`
	}
	var got batchReply
	full := s.Do(t, http.MethodPost, "/v1/user-sync/batch", users(1000))
	full.JSON(t, &got)
	if full.Status != http.StatusAccepted || len(got.Results) != 1000 || got.Results[999].RequestID == "" {
		t.Errorf("%d, %d results: %.300s", full.Status, len(got.Results), full.Body)
	}
	for name, test := range map[string]struct{ body, want string }{
		"1,001":      {users(1001), `{"error":"users must hold at most 1,000 users"}`},
		"none":       {`{"users":[]}`, `{"error":"users must be a list of 1 to 1,000 users"}`},
		"missing":    {`{}`, `{"error":"users must be a list of 1 to 1,000 users"}`},
		"no body":    {``, `{"error":"users must be a list of 1 to 1,000 users"}`},
		"no list":    {`{"users":{}}`, `{"error":"users must be an array"}`},
		"all refuse": {`{"users":[{},{"email":"x"}]}`, `{"success":false,"error":"No user could be accepted.","results":[{"error":"User email is required"},{"error":"User email is invalid"}]}`},
	} {
		a := s.Do(t, http.MethodPost, "/v1/user-sync/batch", test.body)
		if a.Status != http.StatusBadRequest || a.Body != test.want {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

func TestInternalErrorShowsAnIDAndNothingElse(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, handlers().Dialect())
	s.Do(t, http.MethodGet, "/v1/requests", "") // the caller is known for a second
	apitest.Must(t, s.Store.Close())
	a := s.Do(t, http.MethodGet, "/v1/requests/"+usersync.NewID(usersync.PrefixRequest), "")
	id := a.Header.Get("X-Request-Id")
	want := `{"success":false,"error":"Internal server error","details":"Request ` + id + ` failed; quote this id."}`
	if a.Status != http.StatusInternalServerError || a.Body != want {
		t.Errorf("%d %s, want 500 %s", a.Status, a.Body, want)
	}
}

func FuzzUserSyncBody(f *testing.F) {
	for _, seed := range []string{john, `{`, `{"user":{"email":"\ud83d\ude00","attributes":{"a":[1]}}}`, `[{}]`, `{"user":1e999}`, "\xff", `{"a":{}}x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sent, err := readUserBody(body)
		if err == nil && len(body) > 0 && !json.Valid(body) {
			t.Fatalf("%q was read, but it is no JSON", body)
		}
		if err != nil {
			if usersync.CodeOf(err) != usersync.CodeInvalid {
				t.Fatalf("%q gave %v", body, err)
			}
			return
		}
		user, err := sent.check()
		if err != nil {
			return
		}
		if _, err := json.Marshal(user); err != nil || user.Email.IsZero() || user.Country == "" {
			t.Fatalf("%q gave %+v, %v", body, user, err)
		}
	})
}

func BenchmarkUserSyncDecode(b *testing.B) {
	body := []byte(john)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		sent, err := readUserBody(body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := sent.check(); err != nil {
			b.Fatal(err)
		}
	}
}
