package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/provision"
	"usersync/internal/scim"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// identityProvider calls as Okta and Entra ID do, with a key of the scope scim alone.
type identityProvider struct {
	customer
	client *apptest.Client
	key    string
}

func newIdentityProvider(t *testing.T, n customer) identityProvider {
	t.Helper()
	_, secret, err := tenant.CreateKey(t.Context(), n.app.Store, "test", n.org.ID, tenant.Key{Name: "scim", Scopes: []tenant.Scope{tenant.ScopeSCIM}})
	must(t, err)
	return identityProvider{n, n.app.Client(t), secret.Reveal()}
}

// call makes a call, and returns the status with the id in the answer.
func (p identityProvider) call(t *testing.T, method, path, body string) (status int, id string) {
	t.Helper()
	a := p.client.Do(t, apptest.Call{Method: method, Path: "/scim/v2" + path, Body: []byte(body),
		Header: http.Header{"Authorization": {"Bearer " + p.key}, "Content-Type": {"application/scim+json"}}})
	var said struct{ ID string }
	_ = json.Unmarshal(a.Body, &said) // where there is an id
	return a.Status, said.ID
}

func (p identityProvider) must(t *testing.T, method, path, body string) string {
	t.Helper()
	status, id := p.call(t, method, path, body)
	if status >= 300 {
		t.Fatalf("%s %s: %d", method, path, status)
	}
	return id
}

// patch is the body of a PATCH with one operation.
func patch(operation string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + operation + `]}`
}

// Whom an identity provider provisions is pushed to every platform; whoever is deactivated
// or deleted is taken off all of them, and comes back when they are active again.
func TestPlatformsFollowWhoIsProvisioned(t *testing.T) {
	t.Parallel()
	each(t, 0, func(t *testing.T, n customer) {
		idp := newIdentityProvider(t, n)
		mails, receiver := n.connect(t, "brevo"), n.serve(t, "http")
		receiver.connection.Settings = []byte(strings.Replace(string(receiver.connection.Settings), `"plan"`, `"groups"`, 1))
		receiver.connection = n.create(t, receiver.connection)
		at := func(address string) func() bool {
			return func() bool {
				_, one := mails.fake.People().Get(address)
				_, two := receiver.fake.People().Get(address)
				return one && two
			}
		}
		off := func(address string) func() bool {
			return func() bool {
				_, one := mails.fake.People().Get(address)
				_, two := receiver.fake.People().Get(address)
				return !one && !two
			}
		}
		told := func() string {
			p, _ := receiver.fake.People().Get("ann@acme.example.com")
			text, _ := json.Marshal(p.Fields) // what came as JSON
			return string(text)
		}
		ann := idp.must(t, http.MethodPost, "/Users", `{"userName":"ann@acme.example.com","name":{"givenName":"Ann"}}`)
		apptest.Eventually(t, "the platforms have the user", at("ann@acme.example.com"))

		idp.must(t, http.MethodPatch, "/Users/"+ann, patch(`{"op":"Replace","path":"name.givenName","value":"Anna"}`))
		apptest.Eventually(t, "the platforms have the other name", func() bool { return strings.Contains(told(), `"Anna"`) })

		group := idp.must(t, http.MethodPost, "/Groups", `{"displayName":"Sales","members":[{"value":"`+ann+`"}]}`)
		apptest.Eventually(t, "the platforms have the group", func() bool { return strings.Contains(told(), `"Sales"`) })
		idp.must(t, http.MethodPatch, "/Groups/"+group, patch(`{"op":"replace","value":{"displayName":"Support"}}`))
		apptest.Eventually(t, "the platforms have the group's other name", func() bool { return strings.Contains(told(), `"Support"`) })

		idp.must(t, http.MethodPatch, "/Users/"+ann, patch(`{"op":"Replace","path":"active","value":"False"}`))
		apptest.Eventually(t, "whoever is deactivated is taken off", off("ann@acme.example.com"))
		idp.must(t, http.MethodPatch, "/Users/"+ann, patch(`{"op":"Replace","path":"title","value":"Chief"}`))
		idp.must(t, http.MethodPatch, "/Groups/"+group, patch(`{"op":"Replace","path":"displayName","value":"Sales"}`))
		n.quiet(t)
		if !off("ann@acme.example.com")() {
			t.Error("a change of somebody who is not active brought them back")
		}
		idp.must(t, http.MethodPatch, "/Users/"+ann, patch(`{"op":"Replace","path":"active","value":"True"}`))
		apptest.Eventually(t, "whoever is reactivated is back", at("ann@acme.example.com"))

		idp.must(t, http.MethodPatch, "/Users/"+ann, patch(`{"op":"Replace","path":"userName","value":"roe@acme.example.com"}`))
		apptest.Eventually(t, "the platforms have the other address", at("roe@acme.example.com"))
		if _, there := mails.fake.People().Get("ann@acme.example.com"); there {
			t.Error("the platform has the former address still")
		}
		idp.must(t, http.MethodDelete, "/Users/"+ann, "")
		apptest.Eventually(t, "whoever is deleted is taken off", off("roe@acme.example.com"))
		u, err := user.Get(t.Context(), n.app.Store.Org(n.org.ID), ann)
		if err != nil || !u.Removed || u.Attributes["groups"] != nil {
			t.Errorf("%+v %v", u, err)
		}
		if again := idp.must(t, http.MethodPost, "/Users", `{"userName":"roe@acme.example.com"}`); again != ann {
			t.Errorf("the user came back as %s, was %s", again, ann)
		}
		apptest.Eventually(t, "whoever is provisioned again is back", at("roe@acme.example.com"))
	})
}

// Of calls that provision the same user at once, one does, and the others are told.
func TestAUserIsProvisionedOnceHoweverManyCallsAskAtOnce(t *testing.T) {
	t.Parallel()
	each(t, 0, func(t *testing.T, n customer) {
		idp := newIdentityProvider(t, n)
		statuses := make([]int, 8)
		var calls sync.WaitGroup
		for i := range statuses {
			calls.Go(func() { statuses[i], _ = idp.call(t, http.MethodPost, "/Users", `{"userName":"ann@acme.example.com"}`) })
		}
		calls.Wait()
		slices.Sort(statuses)
		if statuses[0] != http.StatusCreated || slices.ContainsFunc(statuses[1:], func(s int) bool { return s != http.StatusConflict }) {
			t.Errorf("%v", statuses)
		}
		ann := idp.must(t, http.MethodPost, "/Users", `{"userName":"bob@acme.example.com"}`)
		group := idp.must(t, http.MethodPost, "/Groups", `{"displayName":"Sales"}`)
		for i := range statuses {
			calls.Go(func() {
				idp.must(t, http.MethodPatch, "/Groups/"+group, patch(`{"op":"Add","path":"members","value":[{"value":"`+ann+`"}]}`))
				idp.must(t, http.MethodPatch, "/Users/"+ann, patch(fmt.Sprintf(`{"op":"Add","path":"roles","value":[{"value":"r%d"}]}`, i)))
			})
		}
		calls.Wait()
		u, err := provision.GetUser(t.Context(), n.app.Store.Org(n.org.ID), ann)
		must(t, err)
		if roles, _ := u.Resource()["roles"].([]any); len(roles) != len(statuses) || len(u.Groups) != 1 {
			t.Errorf("of changes at once some are lost: %v %v", roles, u.Groups)
		}
	})
}

func TestErasureReachesWhatWasProvisioned(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 0)
		idp := newIdentityProvider(t, n)
		id := idp.must(t, http.MethodPost, "/Users", `{"userName":"needle@acme.example.com","externalId":"needle","title":"needle","emails":[{"value":"needle@home.example.com"},{"value":"needle@acme.example.com","primary":true}]}`)
		group := idp.must(t, http.MethodPost, "/Groups", `{"displayName":"Sales","members":[{"value":"`+id+`"}]}`)
		idp.must(t, http.MethodPatch, "/Users/"+id, patch(`{"op":"Replace","path":"nickName","value":"needle"}`))
		n.quiet(t)
		n.erased(t, n.erase(t, "needle@acme.example.com"))
		n.quiet(t)
		wantNothingOf(t, e, "needle")
		if status, _ := idp.call(t, http.MethodGet, "/Users/"+id, ""); status != http.StatusNotFound {
			t.Errorf("whoever was erased is answered with %d", status)
		}
		g, err := provision.GetGroup(t.Context(), n.app.Store.Org(n.org.ID), group, true)
		if err != nil || len(g.Members) != 0 {
			t.Errorf("%+v %v", g, err)
		}
		if again := idp.must(t, http.MethodPost, "/Users", `{"userName":"needle@acme.example.com"}`); again == id {
			t.Error("whoever was erased came back as the same user")
		}
	})
}

// A search without anything to look up by reads every user, and is refused where there are
// too many; whatever can be looked up is found however many there are.
func TestSearchesAmongManyUsersAreBounded(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.API), 0)
		idp := newIdentityProvider(t, n)
		id := idp.must(t, http.MethodPost, "/Users", `{"userName":"ann@acme.example.com","externalId":"x","emails":[{"value":"ann@home.example.com"}]}`)
		const series = `WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 10000) SELECT i FROM s`
		admin(t, e, `INSERT INTO users (id, organization_id, email_key, email, person_key, created_at, updated_at)
			SELECT 'user_many' || i, '`+n.org.ID+`', 'm' || i || '@acme.example.com', '', '', 9, 9 FROM (`+series+`) AS s`)
		admin(t, e, `INSERT INTO scim_users (user_id, organization_id, user_name, resource, created_at, updated_at)
			SELECT id, organization_id, id, '{"active":true,"userName":"x"}', 9, 9 FROM users WHERE id LIKE 'user_many%'`)
		org := n.app.Store.Org(n.org.ID)
		for filter, want := range map[string]string{
			`userName eq "ANN@acme.example.com"`: id, `externalId eq "x" and active eq true`: id, `emails.value eq "Ann@Home.example.com"`: id, `id eq "` + id + `"`: id,
			`emails[type eq "work"].value eq "ann@home.example.com"`: "",
		} {
			f, err := scim.User.ParseFilter(filter)
			must(t, err)
			page, err := provision.FindUsers(t.Context(), org, provision.Query{Filter: f, Start: 1, Count: 10})
			if err != nil || (want == "") != (page.Total == 0) || want != "" && page.Items[0].ID() != want {
				t.Errorf("%s: %+v %v", filter, page, err)
			}
		}
		f, err := scim.User.ParseFilter(`title pr`)
		must(t, err)
		if _, err := provision.FindUsers(t.Context(), org, provision.Query{Filter: f, Start: 1, Count: 10}); usersync.CodeOf(err) != usersync.CodeInvalid {
			t.Error(err)
		}
		page, err := provision.FindUsers(t.Context(), org, provision.Query{Start: 10_001, Count: 10})
		if err != nil || page.Total != 10_001 || len(page.Items) != 1 || page.Items[0].ID() != id {
			t.Errorf("%d %v", page.Total, err)
		}
	})
}

// A large group is kept and told of as a whole, and its list of members does not grow the
// answer of a list of groups beyond its bound.
func TestAGroupHasManyMembers(t *testing.T) {
	t.Parallel()
	each(t, 0, func(t *testing.T, n customer) {
		org := n.app.Store.Org(n.org.ID)
		by := func() provision.By {
			return provision.By{Org: org, Salt: n.org.Salt, Actor: n.key.ID, RequestID: usersync.NewID(usersync.PrefixRequest)}
		}
		var members []any
		for i := range 1200 { // more than are told at a time
			u, err := provision.CreateUser(t.Context(), by(), scim.Resource{"userName": fmt.Sprintf("u%d@acme.example.com", i)})
			must(t, err)
			members = append(members, map[string]any{"value": u.ID()})
		}
		large, err := provision.CreateGroup(t.Context(), by(), scim.Resource{"displayName": "Everybody", "members": members})
		must(t, err)
		_, err = provision.CreateGroup(t.Context(), by(), scim.Resource{"displayName": "Nobody"})
		must(t, err)
		must(t, provision.ChangeGroup(t.Context(), by(), large.ID(), func(r scim.Resource) (scim.Resource, error) {
			r["displayName"] = "All"
			return r, nil
		}))
		page, err := provision.FindGroups(t.Context(), org, provision.Query{Start: 1, Count: 10}, true)
		if err != nil || page.Total != 2 || len(page.Items) != 2 || len(page.Items[0].Members) != len(members) || page.Items[1].Members == nil {
			t.Errorf("%d of %d %v", len(page.Items), page.Total, err)
		}
		for _, m := range []any{members[0], members[1199]} {
			one, _ := m.(map[string]any)
			u, err := user.Get(t.Context(), org, fmt.Sprint(one["value"]))
			if err != nil || fmt.Sprint(u.Attributes["groups"]) != "[All]" {
				t.Errorf("%v %v", u.Attributes, err)
			}
		}
		must(t, provision.DeleteGroup(t.Context(), by(), large.ID()))
		u, err := user.Get(t.Context(), org, page.Items[0].Members[7])
		if err != nil || u.Attributes["groups"] != nil {
			t.Errorf("%v %v", u.Attributes, err)
		}
	})
}
