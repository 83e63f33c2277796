package brevo_test

import (
	"encoding/json"
	"fmt"
	"io"
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
	"usersync/internal/connector/published"
	"usersync/internal/usersync"
)

var spec = published.Spec{
	Files: []string{"brevo/brevo-subset.json"},
	// The reports of an import have addresses that an answer names.
	Except: []string{"GET /reports/{id}/{what}"},
}

var platform = connectortest.Of(brevo.Platform, fake.New, connectortest.Options{Spec: spec, OneCallEach: true})

func TestMain(m *testing.M) { connectortest.Main(m) }

func TestConnector(t *testing.T) { platform.Run(t) }

func TestEveryAnswerHasItsMeaning(t *testing.T) {
	t.Parallel()
	platform.WantMeanings(t, []connectortest.Meaning{
		{Name: "invalid_parameter", Status: 400, Code: usersync.CodeRejected, Says: "Invalid email address", Body: `{"code":"invalid_parameter","message":"Invalid email address"}`},
		{Name: "missing_parameter", Status: 400, Code: usersync.CodeRejected, Body: `{"code":"missing_parameter","message":"email is missing"}`},
		{Name: "out_of_range", Status: 400, Code: usersync.CodeRejected, Body: `{"code":"out_of_range","message":"Limit exceeds max value"}`},
		{Name: "duplicate_parameter", Status: 400, Code: usersync.CodeRejected, Says: "another Contact",
			Body: `{"code":"duplicate_parameter","message":"Unable to create contact, ext_id is already associated with another Contact","metadata":{"duplicate_identifiers":["ext_id"]}}`},
		{Name: "duplicate_request", Status: 400, Code: usersync.CodeRejected, Body: `{"code":"duplicate_request","message":"Request already processed"}`},
		{Name: "bad_request", Status: 400, Code: usersync.CodeRejected, Body: `{"code":"bad_request","message":"Input must be a valid JSON object"}`},
		{Name: "not_enough_credits", Status: 400, Code: usersync.CodeDisconnected, Body: `{"code":"not_enough_credits","message":"Insufficient credits"}`},
		{Name: "account_under_validation", Status: 400, Code: usersync.CodeDisconnected, Body: `{"code":"account_under_validation","message":"wait"}`},
		{Name: "permission_denied as 400", Status: 400, Code: usersync.CodeDisconnected, Body: `{"code":"permission_denied","message":"no"}`},
		{Name: "unauthorized", Status: 401, Code: usersync.CodeDisconnected, Says: "Key not found", Body: `{"code":"unauthorized","message":"Key not found"}`},
		{Name: "an address of ours is not allowed", Status: 401, Code: usersync.CodeDisconnected, Body: `{"code":"unauthorized","message":"We have detected you are using an unrecognised IP address"}`},
		{Name: "no credit", Status: 402, Code: usersync.CodeDisconnected, Body: `{"code":"not_enough_credits","message":"no"}`},
		{Name: "no credit without a word", Status: 402, Code: usersync.CodeDisconnected},
		{Name: "permission_denied", Status: 403, Code: usersync.CodeDisconnected, Body: `{"code":"permission_denied","message":"no"}`},
		{Name: "document_not_found", Status: 404, Code: usersync.CodeRejected, Body: `{"code":"document_not_found","message":"Contact does not exist"}`},
		{Name: "method_not_allowed", Status: 405, Code: usersync.CodeRejected, Body: `{"code":"method_not_allowed"}`},
		{Name: "not_acceptable", Status: 406, Code: usersync.CodeRejected, Body: `{"code":"not_acceptable"}`},
		{Name: "too large", Status: 413, Code: usersync.CodeRejected},
		{Name: "unprocessable_entity", Status: 422, Code: usersync.CodeRejected, Body: `{"code":"unprocessable_entity"}`},
		{Name: "too early", Status: 425, Code: usersync.CodeUnavailable},
		{Name: "too many calls", Status: 429, Code: usersync.CodeRateLimited, Wait: 42 * time.Second, Header: http.Header{"X-Sib-Ratelimit-Reset": {"42"}}, Body: `{"message":"slow down"}`},
		{Name: "too many calls, told twice", Status: 429, Code: usersync.CodeRateLimited, Wait: 7 * time.Second, Header: http.Header{"X-Sib-Ratelimit-Reset": {"42"}, "Retry-After": {"7"}}},
		{Name: "redirect", Status: 301, Code: usersync.CodeRejected},
	})
}

func serve(t *testing.T) (*connectortest.Account, *fake.Fake) {
	t.Helper()
	a := platform.Serve(t)
	return a, a.Fake.(*fake.Fake)
}

func TestTenPeopleAreOneImportAndNineAreNot(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open(`{"list":"7"}`)
	a.Costs(18, "9 people", func() {
		for _, r := range a.Push(c, connectortest.People(t, 9)...) {
			if r.Status != connector.Added {
				t.Errorf("got %+v", r)
			}
		}
	})
	all := connectortest.People(t, brevo.Platform.Batch)
	var results []connector.Result
	a.Costs(2, "a page of contacts and an import", func() { results = a.Push(c, all...) })
	for _, r := range a.Confirm(c, all, results) {
		if r.Status != connector.Synced || r.Details != "User synced to the 'active-clients' list" {
			t.Fatalf("got %+v", r)
		}
	}
	if n := a.Fake.People().Len(); n != len(all) {
		t.Errorf("%d people arrived", n)
	}
}

func TestOnlyContactsOffTheListAreLookedUpAlone(t *testing.T) {
	t.Parallel()
	a, f := serve(t)
	people := connectortest.People(t, 20)
	c := a.Open(`{"list":"7"}`)
	a.Confirm(c, people[:12], a.Push(c, people[:12]...))
	f.LeaveList(people[0].Email.Display(), 7)
	a.Unsubscribe(people[1])
	a.Fake.People().Put(people[19].Email.Display(), func(*fakeplatform.Person, bool) {}) // on no list
	var results []connector.Result
	a.Costs(1+2+1+1, "a page, two looks, a write alone and an import", func() { results = a.Push(c, people...) })
	for i, r := range a.Confirm(c, people, results) {
		want := connector.Synced
		if i < 2 {
			want = connector.Skipped
		}
		if r.Status != want {
			t.Errorf("person %d: %+v, want %s", i, r, want)
		}
	}
	if !f.Gone(people[0].Email.Display(), fakeplatform.LeftList) {
		t.Error("who left the list is on it again")
	}
}

func TestAnAccountOfManyContactsIsNotRead(t *testing.T) {
	t.Parallel()
	for contacts, calls := range map[int]int{1000: 2 + 1, 1001: 1 + 20 + 1} {
		a, _ := serve(t)
		for i := range contacts {
			a.Fake.People().Put(fmt.Sprintf("other-%d@example.org", i), func(*fakeplatform.Person, bool) {})
		}
		c := a.Open(`{"list":"7","callsPerSecond":500}`)
		a.Costs(calls, fmt.Sprintf("an import beside %d contacts", contacts), func() { a.Push(c, connectortest.People(t, 20)...) })
	}
}

func TestAnAccountThatChangesWhileItIsReadIsNotTrusted(t *testing.T) {
	t.Parallel()
	full := `{"count":501,"contacts":[` + strings.Repeat(`{"id":1,"email":"a@example.org","listIds":[]},`, 499) + `{"id":1,"email":"a@example.org","listIds":[]}]}`
	looked, read := 0, 0
	a := platform.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/contacts" && r.Method == http.MethodGet:
			body := full
			if read++; read > 1 { // one was deleted, so that another moved to the page before
				body = `{"count":500,"contacts":[]}`
			}
			_, _ = io.WriteString(w, body)
		case r.Method == http.MethodGet:
			looked++
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"processId":7}`)
		}
	}))
	c := a.Dial(`{"list":"7","maxConcurrent":1}`, connector.Facts{})
	a.Push(c, connectortest.People(t, 20)...)
	if looked != 20 || read != 2 {
		t.Errorf("%d pages were read and %d people looked up", read, looked)
	}
}

func TestAnImportTellsWhoWasLeftOut(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open(`{"list":"7","importFrom":2,"sendUserId":true,"attributes":{"SMS":"attributes.phone"}}`)
	some := connectortest.People(t, 4)
	for i := range some {
		some[i].Attributes = map[string]any{"phone": fmt.Sprintf("020 7946 000%d", i)}
	}
	a.Refuse(some[0])
	a.Fake.People().Put("other@example.org", func(one *fakeplatform.Person, _ bool) {
		one.Fields["ext_id"], one.Fields["SMS"] = some[1].UserID, "+442079460002"
	})
	results := a.Confirm(c, some, a.Push(c, some...))
	for i, want := range []string{
		"User refused: Brevo says that the address is not valid.", "User refused: Another contact at Brevo has this user's id.",
		"User refused: Another contact at Brevo has this user's telephone number.", "User synced to the 'active-clients' list",
	} {
		if r := results[i]; r.Details != want || (r.Status == connector.Failed) != (i < 3) {
			t.Errorf("got %+v, want %q", r, want)
		}
	}
}

func TestAReportThatNamesNobodyLeavesDoubtAboutEverybodyElse(t *testing.T) {
	t.Parallel()
	some := connectortest.People(t, 2)
	script := connectortest.Script{"GET /files/1": connectortest.Says(200, "EMAIL\n"+some[0].Email.Display()), "GET /files/2": connectortest.Says(200, "EMAIL\nsomebody@example.org")}
	a := platform.ServeHandler(t, script)
	at := strings.TrimSuffix(a.URL(), "/")
	script["GET /processes/7"] = connectortest.Says(200, `{"status":"completed","info":{"import":{"invalid_emails":"`+at+`/files/1","a_new_report":"`+at+`/files/2","duplicate_ext_id":null}}}`)
	results, err := a.Dial(`{"list":"7"}`, connector.Facts{}).(connector.Confirmer).Confirm(t.Context(), "7", some)
	if usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
	connectortest.WantStatuses(t, results, connector.Failed, "")
}

func TestAnImportThatBreaksOffIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"failed", "cancelled"} {
		a, f := serve(t)
		c := a.Open("")
		some := connectortest.People(t, 2)
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
	some := connectortest.People(t, 2)
	a.Refuse(some[0])
	pushed := a.Push(c, some...)
	a.Break(fakeplatform.Fault{Path: "/reports/", Times: 1, Status: http.StatusForbidden})
	if _, err := c.(connector.Confirmer).Confirm(t.Context(), pushed[0].Job, some); usersync.CodeOf(err) != usersync.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	if results := a.Confirm(c, some, pushed); results[0].Status != connector.Failed || results[1].Status != connector.Synced {
		t.Errorf("got %+v", results)
	}
}

func TestWhoLeftTheListIsUpdatedAndWhoLeftEverythingIsLeftAlone(t *testing.T) {
	t.Parallel()
	a, f := serve(t)
	c := a.Open("")
	ada, grace := connectortest.Ada(t), connectortest.Grace(t)
	a.Bring(c, &ada, &grace)
	a.Unsubscribe(ada)
	f.LeaveList(grace.Email.Key(), fake.ListID)
	ada.FirstName, grace.FirstName = "New", "New"
	for _, together := range []bool{true, false} {
		var results []connector.Result
		if together {
			results = a.Bring(c, &ada, &grace)
		} else {
			results = append(a.Bring(c, &ada), a.Bring(c, &grace)...)
		}
		a.Want(results[0], connector.Skipped, "User has unsubscribed at Brevo and was left as they are")
		a.Want(results[1], connector.Skipped, "User has left the 'active-clients' list and was updated, but not added to it again; tags 'usersync-user' have been applied")
		if a.Held(ada).Fields["FIRSTNAME"] == "New" || a.Held(grace).Fields["FIRSTNAME"] != "New" || len(a.Held(grace).Lists) != 0 {
			t.Errorf("got %+v, %+v", a.Held(ada), a.Held(grace))
		}
	}
}

func TestValuesHaveTheTypeOfTheirAttribute(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	ada := connectortest.Ada(t)
	ada.Attributes = map[string]any{"seats": "12.5", "trial": "true", "size": json.Number("3"), "on": true}
	c := a.Open(`{"list":"7","attributes":{"SEATS":"attributes.seats","TRIAL":"attributes.trial","COMPANY":"attributes.size","CITY":"attributes.on"},` +
		`"tags":["a","b"],"tagsAttribute":"LABELS"}`)
	a.Push(c, ada)
	for name, want := range map[string]any{"SEATS": json.Number("12.5"), "TRIAL": true, "COMPANY": "3", "CITY": "true", "LABELS": "a,b"} {
		if got := a.Held(ada).Fields[name]; got != want {
			t.Errorf("%s is %#v, want %#v", name, got, want)
		}
	}
}

func TestAListThatHasGoneDisconnectsOnlyItsConnection(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	for _, n := range []int{1, 12} { // by a call, and by an import
		a.WantGone(`{"list":"99"}`, "list:99", connectortest.People(t, n)...)
	}
}

func TestACheckNamesTheSettingThatIsWrong(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	a.WantDisconnected(map[string]string{
		`{"list":"99"}`: "settings.list",
		`{"list":"7","attributes":{"COLOUR":"attributes.colour"}}`:    "settings.attributes.COLOUR",
		`{"list":"7","attributes":{"BLACKLIST":"attributes.x"}}`:      "settings.attributes.BLACKLIST",
		`{"list":"7","tags":["vip"],"tagsAttribute":"NOTHING_THERE"}`: "settings.tagsAttribute",
	})
	facts, err := a.Dial("", connector.Facts{}).Check(t.Context())
	if err != nil || facts.Account != fake.Organization || facts.Labels["list:7"] != fake.ListName {
		t.Errorf("got %+v, %v", facts, err)
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	a.WantRefused(map[string]string{
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
	})
}

func TestAnAudienceIsAList(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open(`{"list":"7","callsPerSecond":10000}`)
	for i := range 59 { // more than one page
		if _, _, err := c.(connector.AudienceMaker).MakeAudience(t.Context(), fmt.Sprintf("list %d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	last := a.WantAudience(c, fake.ListName, "7", "list 59")
	ada := connectortest.Ada(t)
	a.Push(a.Open(`{"list":"`+last+`"}`), ada)
	if lists := a.Held(ada).Lists; !slices.Equal(lists, []string{last}) || last != "67" {
		t.Errorf("is in %v, not in %s", lists, last)
	}
}

func TestRemovalErasesOldAddressesToo(t *testing.T) {
	t.Parallel()
	a, _ := serve(t)
	c := a.Open("")
	ada := connectortest.Ada(t)
	ada.Remote = a.Push(c, ada)[0].Remote
	ada.Email = connectortest.Person(t, "ada.lovelace@example.org", "", "").Email
	a.Push(c, ada)
	if r, err := c.Remove(t.Context(), ada); err != nil || r.Status != connector.Removed || a.Fake.People().Len() != 0 {
		t.Errorf("got %+v, %v, left are %v", r, err, a.Fake.People().Emails())
	}
}
