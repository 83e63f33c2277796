package brevo_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/brevo"
	"usersync/internal/connector/brevo/fake"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/outbound"
	"usersync/internal/usersync"
)

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, brevo.Kind, func() fakeplatform.Platform { return fake.New() })
}

func serve(t *testing.T) (*connectortest.Account, *fake.Fake) {
	t.Helper()
	f := fake.New()
	return connectortest.Serve(t, brevo.Kind, f), f
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
		{name: "invalid_parameter", status: 400, want: usersync.CodeRejected, says: "Invalid email address", body: `{"code":"invalid_parameter","message":"Invalid email address"}`},
		{name: "missing_parameter", status: 400, want: usersync.CodeRejected, body: `{"code":"missing_parameter","message":"email is missing"}`},
		{name: "out_of_range", status: 400, want: usersync.CodeRejected, body: `{"code":"out_of_range","message":"Limit exceeds max value"}`},
		{name: "duplicate_parameter", status: 400, want: usersync.CodeRejected, says: "another Contact",
			body: `{"code":"duplicate_parameter","message":"Unable to create contact, ext_id is already associated with another Contact","metadata":{"duplicate_identifiers":["ext_id"]}}`},
		{name: "duplicate_request", status: 400, want: usersync.CodeRejected, body: `{"code":"duplicate_request","message":"Request already processed"}`},
		{name: "bad_request", status: 400, want: usersync.CodeRejected, body: `{"code":"bad_request","message":"Input must be a valid JSON object"}`},
		{name: "not_enough_credits", status: 400, want: usersync.CodeDisconnected, body: `{"code":"not_enough_credits","message":"Insufficient credits"}`},
		{name: "account_under_validation", status: 400, want: usersync.CodeDisconnected, body: `{"code":"account_under_validation","message":"wait"}`},
		{name: "permission_denied as 400", status: 400, want: usersync.CodeDisconnected, body: `{"code":"permission_denied","message":"no"}`},
		{name: "unauthorized", status: 401, want: usersync.CodeDisconnected, says: "Key not found", body: `{"code":"unauthorized","message":"Key not found"}`},
		{name: "an address of ours is not allowed", status: 401, want: usersync.CodeDisconnected, body: `{"code":"unauthorized","message":"We have detected you are using an unrecognised IP address"}`},
		{name: "no credit", status: 402, want: usersync.CodeDisconnected, body: `{"code":"not_enough_credits","message":"no"}`},
		{name: "no credit without a word", status: 402, want: usersync.CodeDisconnected},
		{name: "permission_denied", status: 403, want: usersync.CodeDisconnected, body: `{"code":"permission_denied","message":"no"}`},
		{name: "document_not_found", status: 404, want: usersync.CodeRejected, body: `{"code":"document_not_found","message":"Contact does not exist"}`},
		{name: "method_not_allowed", status: 405, want: usersync.CodeRejected, body: `{"code":"method_not_allowed"}`},
		{name: "not_acceptable", status: 406, want: usersync.CodeRejected, body: `{"code":"not_acceptable"}`},
		{name: "too large", status: 413, want: usersync.CodeRejected},
		{name: "unprocessable_entity", status: 422, want: usersync.CodeRejected, body: `{"code":"unprocessable_entity"}`},
		{name: "too early", status: 425, want: usersync.CodeUnavailable},
		{name: "too many calls", status: 429, want: usersync.CodeRateLimited, wait: 42 * time.Second, header: http.Header{"X-Sib-Ratelimit-Reset": {"42"}}, body: `{"message":"slow down"}`},
		{name: "too many calls, told twice", status: 429, want: usersync.CodeRateLimited, wait: 7 * time.Second, header: http.Header{"X-Sib-Ratelimit-Reset": {"42"}, "Retry-After": {"7"}}},
		{name: "internal error", status: 500, want: usersync.CodeUnavailable},
		{name: "bad gateway", status: 502, want: usersync.CodeUnavailable, body: "<html>"},
		{name: "unavailable", status: 503, want: usersync.CodeUnavailable},
		{name: "timeout", status: 504, want: usersync.CodeUnavailable},
		{name: "redirect", status: 301, want: usersync.CodeRejected},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.header == nil {
				c.header = http.Header{}
			}
			got := brevo.Kind.Classify(&outbound.Response{Status: c.status, Header: c.header, Body: []byte(c.body)})
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

func confirm(t *testing.T, c connector.Connector, job string, people []connector.Profile) []connector.Result {
	t.Helper()
	results, err := c.(connector.Confirmer).Confirm(t.Context(), job, people)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestTenPeopleAreOneImportAndNineAreNot(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open(`{"list":"7"}`)
	before := a.Server.State("brevo").Calls
	for _, r := range a.Push(c, people(t, 9)...) {
		if r.Status != connector.Added {
			t.Errorf("got %+v", r)
		}
	}
	if calls := a.Server.State("brevo").Calls - before; calls != 18 {
		t.Errorf("9 people took %d calls", calls)
	}
	before = a.Server.State("brevo").Calls
	all := people(t, brevo.Kind.Batch)
	results := a.Push(c, all...)
	if calls := a.Server.State("brevo").Calls - before; calls != 1 {
		t.Errorf("an import took %d calls", calls)
	}
	for _, r := range confirm(t, c, results[0].Job, all) {
		if r.Status != connector.Synced || r.Details != "User synced to the 'active-clients' list" {
			t.Fatalf("got %+v", r)
		}
	}
	if n := a.Fake.People().Len(); n != len(all) {
		t.Errorf("%d people arrived", n)
	}
}

func TestWithoutImportsFiftyComeAndTheOthersWait(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	results, err := a.Open(`{"list":"7","importFrom":501,"callsPerSecond":10000}`).Push(t.Context(), people(t, 60))
	if usersync.CodeOf(err) != usersync.CodeRateLimited || usersync.AsError(err).RetryAfter <= 0 || len(results) != 60 {
		t.Fatalf("got %d results, %v", len(results), err)
	}
	for i, r := range results {
		if (r.Status == connector.Added) != (i < 50) {
			t.Errorf("person %d: %+v", i, r)
		}
	}
}

func TestAnImportTellsWhoWasLeftOut(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open(`{"list":"7","importFrom":2,"sendUserId":true}`)
	some := people(t, 3)
	a.Fake.People().Put(some[0].Email.Key(), func(one *fakeplatform.Person, _ bool) { one.Refused = true })
	a.Fake.People().Put("other@example.org", func(one *fakeplatform.Person, _ bool) { one.Fields["ext_id"] = some[1].UserID })
	results := confirm(t, c, a.Push(c, some...)[0].Job, some)
	for i, want := range []string{"Brevo says that the address is not valid.", "Another contact at Brevo has this user's id.", "User synced to the 'active-clients' list"} {
		if r := results[i]; r.Details != want || (r.Status == connector.Failed) != (i < 2) {
			t.Errorf("got %+v, want %q", r, want)
		}
	}
}

func TestAnImportThatBreaksOffIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"failed", "cancelled"} {
		a, f := serve(t)
		c := a.Open("")
		some := people(t, 2)
		job := a.Push(c, some...)[0].Job
		f.End(end)
		if _, err := c.(connector.Confirmer).Confirm(t.Context(), job, some); usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Errorf("%s: %v", end, err)
		}
		if _, err := c.(connector.Confirmer).Confirm(t.Context(), "1", some); usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Errorf("an import that is not known: %v", err)
		}
	}
}

func TestAReportThatCannotBeReadIsAskedForAgain(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open("")
	some := people(t, 2)
	a.Fake.People().Put(some[0].Email.Key(), func(one *fakeplatform.Person, _ bool) { one.Refused = true })
	job := a.Push(c, some...)[0].Job
	a.Server.Break("brevo", fakeplatform.Fault{Path: "/reports/", Times: 1, Status: http.StatusForbidden})
	if _, err := c.(connector.Confirmer).Confirm(t.Context(), job, some); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	if results := confirm(t, c, job, some); results[0].Status != connector.Failed || results[1].Status != connector.Synced {
		t.Errorf("got %+v", results)
	}
}

func TestWhoLeftIsNotBroughtBack(t *testing.T) {
	t.Parallel()
	a, f := serve(t)
	c := a.Open("")
	ada, grace := connectortest.Person(t, "ada", "Ada", "Lovelace"), connectortest.Person(t, "grace", "Grace", "Hopper")
	a.Push(c, ada)
	a.Push(c, grace)
	f.People().Put(ada.Email.Key(), func(one *fakeplatform.Person, _ bool) { one.Unsubscribed = true })
	f.Leave(grace.Email.Key(), fake.ListID)
	for _, p := range []*connector.Profile{&ada, &grace} {
		p.FirstName = "New"
	}
	r := a.Push(c, ada)[0]
	if r.Status != connector.Skipped || r.Reason != usersync.ReasonUnsubscribed || a.Held(ada).Fields["FIRSTNAME"] == "New" {
		t.Errorf("got %+v, %+v", r, a.Held(ada))
	}
	want := "User updated; tags 'usersync-user' have been applied; not added to the 'active-clients' list, which they left"
	if r := a.Push(c, grace)[0]; r.Details != want || len(a.Held(grace).Lists) != 0 || a.Held(grace).Fields["FIRSTNAME"] != "New" {
		t.Errorf("got %+v, %+v", r, a.Held(grace))
	}
	// An import cannot see who left the list, but it brings nobody back to all mail.
	a.Push(c, ada, grace)
	if !a.Held(ada).Unsubscribed {
		t.Error("an import subscribed somebody again")
	}
}

func TestValuesHaveTheTypeOfTheirAttribute(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	ada := connectortest.Person(t, "ada", "Ada", "Lovelace")
	ada.Attributes = map[string]any{"seats": "12.5", "trial": "true", "size": 3.0, "on": true}
	c := a.Open(`{"list":"7","attributes":{"SEATS":"attributes.seats","TRIAL":"attributes.trial","COMPANY":"attributes.size","SMS":"attributes.on"},` +
		`"tags":["a","b"],"tagsAttribute":"LABELS"}`)
	a.Push(c, ada)
	for name, want := range map[string]any{"SEATS": 12.5, "TRIAL": true, "COMPANY": "3", "SMS": "true", "LABELS": "a,b"} {
		if got := a.Held(ada).Fields[name]; got != want {
			t.Errorf("%s is %#v, want %#v", name, got, want)
		}
	}
}

func TestAListThatHasGoneDisconnectsOnlyItsConnection(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	for _, n := range []int{1, 12} {
		for _, checked := range []bool{true, false} {
			facts, want := connector.Facts{}, usersync.CodeRejected
			if checked {
				facts.Labels, want = map[string]string{"list:99": "gone"}, usersync.CodeDisconnected
			}
			results, err := a.Dial(`{"list":"99"}`, facts).Push(t.Context(), people(t, n))
			if n == 1 && !checked && err == nil {
				err = results[0].Err // alone, a person who is rejected is a result
			}
			if usersync.CodeOf(err) != want {
				t.Errorf("%d people, checked %v: %+v, %v", n, checked, results, err)
			}
		}
	}
}

func TestAnAddressIsOneSegmentOfAPath(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open(`{"list":"7","callsPerSecond":10000}`)
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
	a, _ := serve(t)
	for settings, field := range map[string]string{
		`{"list":"99"}`: "settings.list",
		`{"list":"7","attributes":{"COLOUR":"attributes.colour"}}`:    "settings.attributes.COLOUR",
		`{"list":"7","attributes":{"BLACKLIST":"attributes.x"}}`:      "settings.attributes.BLACKLIST",
		`{"list":"7","tags":["vip"],"tagsAttribute":"NOTHING_THERE"}`: "settings.tagsAttribute",
	} {
		_, err := a.Dial(settings, connector.Facts{}).Check(t.Context())
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeDisconnected || len(e.Fields) != 1 || e.Fields[0].Field != field {
			t.Errorf("%s: got %v, want %s", settings, err, field)
		}
	}
	facts, err := a.Dial("", connector.Facts{}).Check(t.Context())
	if err != nil || facts.Account != fake.Organization || facts.Labels["list:7"] != fake.ListName {
		t.Errorf("got %+v, %v", facts, err)
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for settings, field := range map[string]string{
		`{}`:                                                      "settings.list",
		`{"list":"active-clients"}`:                               "settings.list",
		`{"list":"7","importFrom":-1}`:                            "settings.importFrom",
		`{"list":"7","folder":-1}`:                                "settings.folder",
		`{"list":"7","tags":["vip"]}`:                             "settings.tagsAttribute",
		`{"list":"7","tags":[""],"tagsAttribute":"T"}`:            "settings.tags",
		`{"list":"7","attributes":{"firstname":"firstName"}}`:     "settings.attributes.firstname",
		`{"list":"7","attributes":{"FIRSTNAME":"surname"}}`:       "settings.attributes.FIRSTNAME",
		`{"list":"7","attributes":{"EMAIL":"email"}}`:             "settings.attributes.EMAIL",
		`{"list":"7","attributes":{"OPT_IN":"attributes.optIn"}}`: "settings.attributes.OPT_IN",
	} {
		_, err := brevo.Kind.Open(connector.Config{Credentials: fake.New().Config().Credentials, Settings: []byte(settings)}, &connector.Client{})
		if e := usersync.AsError(err); e == nil || e.Code != usersync.CodeInvalid || len(e.Fields) == 0 || e.Fields[0].Field != field {
			t.Errorf("%s: got %v, want %s", settings, err, field)
		}
	}
}

func TestAnAudienceIsAList(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open(`{"list":"7","callsPerSecond":10000}`).(connector.AudienceMaker)
	for i := range 60 { // more than one page
		if _, _, err := c.MakeAudience(t.Context(), fmt.Sprintf("list %d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	first, patch, err := c.MakeAudience(t.Context(), fake.ListName, "")
	if err != nil || first != "7" || patch.List != "7" {
		t.Errorf("got %q, %+v, %v", first, patch, err)
	}
	last, _, err := c.MakeAudience(t.Context(), "list 59", "")
	if err != nil || last != "67" {
		t.Errorf("made again: %q, %v", last, err)
	}
	ada := connectortest.Person(t, "ada", "Ada", "Lovelace")
	a.Push(a.Open(`{"list":"`+last+`"}`), ada)
	if lists := a.Held(ada).Lists; !slices.Equal(lists, []string{last}) {
		t.Errorf("is in %v", lists)
	}
}

func TestRemovalErasesOldAddressesToo(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open("")
	ada := connectortest.Person(t, "ada", "Ada", "Lovelace")
	ada.Remote = a.Push(c, ada)[0].Remote
	ada.Email = connectortest.Person(t, "ada.lovelace", "", "").Email
	a.Push(c, ada)
	if r, err := c.Remove(t.Context(), ada); err != nil || r.Status != connector.Removed || a.Fake.People().Len() != 0 {
		t.Errorf("got %+v, %v, left are %v", r, err, a.Fake.People().Emails())
	}
}
