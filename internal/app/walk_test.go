package app_test

import (
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// operatorScheme is the security scheme of the operator. All others carry keys.
const operatorScheme = "adminToken"

// TestEveryRouteRefusesWhoMayNot tries every described route as every sort of wrong
// caller, and with another tenant's ids, addresses and cursors. It derives the calls
// from the description, and fails on a route that it cannot call. Each refusal is
// compared with the description, and the database must not change.
func TestEveryRouteRefusesWhoMayNot(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		w := newWalk(t, e)
		before := w.dump(t)
		for _, op := range w.operations {
			if slices.Contains(op.Schemes, tokenScheme) {
				w.withoutToken(t, op)
				continue
			}
			w.withoutRight(t, op)
			w.withTooFewScopes(t, op)
			w.withForeignIDs(t, op)
			w.withForeignQuery(t, op)
			w.withForeignFields(t, op)
			w.withUnknownQuery(t, op)
		}
		after := w.dump(t)
		for table, rows := range before {
			if got := after[table]; !slices.Equal(got, rows) {
				t.Errorf("the table %s was changed by calls that were refused:\n%s", table, difference(rows, got))
			}
		}
		for _, op := range w.operations {
			if slices.Contains(op.Schemes, tokenScheme) {
				w.withTokenAtHome(t, op)
			}
		}
		t.Logf("%d calls refused", w.refused)
		if w.refused < 20*len(w.operations)/2 {
			t.Errorf("only %d calls were refused, of %d routes", w.refused, len(w.operations))
		}
	})
}

// tokenScheme is the security scheme of look-ups, whose tokens an issuer of the
// organization signs.
const tokenScheme = "directoryToken"

// withoutToken calls a route of look-ups with everything that opens other routes, and with
// another organization's token.
func (w *walk) withoutToken(t *testing.T, op apptest.Operation) {
	t.Helper()
	c := w.lookUp(t, op)
	w.refuse(t, "nobody", op, c, http.StatusUnauthorized)
	for what, credential := range mixed(w.wrong, map[string]string{
		"the stranger's token": w.strangerToken, "the stranger's key": w.strangerKey, "the victim's own key": w.keys["*"], "the operator's token": w.admin,
	}) {
		w.refuse(t, what, op, w.carry(t, c, tokenScheme, credential), http.StatusUnauthorized)
	}
}

// lookUp returns a look-up of the victim's user, without a token.
func (w *walk) lookUp(t *testing.T, op apptest.Operation) apptest.Call {
	t.Helper()
	query := map[string]string{}
	if slices.Contains(op.InQuery, "email") {
		query["email"] = w.victim["email"]
	}
	c := w.call(t, op, w.victim, query)
	for name, v := range map[string]string{"X-SourceSystem": "CRM", "X-ClientGroupCode": "group", "X-ClientCode": "client", "X-PaperCode": "paper"} {
		if v = w.victim[v]; v == "" {
			v = "CRM"
		}
		c.Header.Set(name, v)
	}
	return c
}

// withTokenAtHome calls with the stranger's token for the stranger's organization, where
// the victim is nobody. Such look-ups are answered, and logged.
func (w *walk) withTokenAtHome(t *testing.T, op apptest.Operation) {
	t.Helper()
	c := w.lookUp(t, op)
	c.Header.Set("X-ClientGroupCode", w.stranger["group"])
	a := w.client.Do(t, w.carry(t, c, tokenScheme, w.strangerToken))
	if a.Status != http.StatusOK && a.Status != http.StatusBadRequest {
		t.Errorf("%s, the stranger at home: got %d %s", op, a.Status, a.Body)
	}
	w.showsNothing(t, "the stranger at home", op, c, a)
}

// walk is the state of the test. The victim has one of everything. The stranger has a
// key with all scopes in another organization.
type walk struct {
	env         *apptest.Environment
	store       *store.Store
	client      *apptest.Client
	description *apptest.Description
	operations  []apptest.Operation
	// victim holds the victim's things by the names of parameters and fields.
	victim, stranger map[string]string
	// victims are texts that nobody else may see.
	secret []string
	// wrong are credentials that are not valid, by what is wrong with them.
	wrong map[string]string
	// keys are the victim's, by their only scope.
	keys        map[string]string
	strangerKey string
	// strangerToken is good for look-ups in the stranger's organization.
	strangerToken string
	admin         string
	refused       int
}

func newWalk(t *testing.T, e *apptest.Environment) *walk {
	t.Helper()
	a := e.Start(t, app.All)
	s := &stage{env: e, app: a, client: a.Client(t)}
	victim, stranger, disabled := s.begin(t, "walk"), s.begin(t, "walk"), s.begin(t, "walk")
	d := describe(t)
	operations, err := d.Operations()
	must(t, err)
	w := &walk{
		env: e, store: a.Store, client: s.client, description: d, operations: operations, admin: e.Config.AdminToken.Reveal(),
		strangerKey: stranger.vars["key"], keys: map[string]string{}, wrong: map[string]string{},
	}
	for _, p := range []*play{victim, stranger} {
		p.giveLookups(t, nil)
		p.giveCredits(t, []string{"10"})
		p.giveRate(t, []string{"100000", "100000"})
		p.giveLinks(t, []string{"https://app.example.com/i", "https://app.example.com/r"})
	}
	w.victim, w.secret = w.things(t, victim)
	for _, name := range []string{"group", "client", "paper"} {
		w.victim[name] = victim.vars[name]
	}
	w.strangerToken = stranger.vars["token"]
	w.stranger = map[string]string{"organizationId": stranger.org.ID, "group": stranger.vars["group"]}
	for _, scope := range tenant.Scopes {
		w.keys[string(scope)] = victim.newKey(t, victim.org.ID, tenant.Key{Name: string(scope), Scopes: []tenant.Scope{scope}})
	}
	for _, fate := range []string{"revoked", "expired"} {
		victim.giveKey(t, []string{fate, "*", fate})
		w.wrong[fate] = victim.vars[fate]
	}
	disabled.giveDisabled(t, nil)
	w.wrong["of a disabled organization"] = disabled.vars["key"]
	w.wrong["unknown"] = victim.vars["key"] + "x"
	w.wrong["no key at all"] = "%00 ' OR 1=1 --"
	w.wrong["empty"] = ""
	customer{app: a}.quiet(t)
	return w
}

// things makes one of everything for an organization. It returns the ids, and other
// texts that only the owner may see.
func (w *walk) things(t *testing.T, p *play) (things map[string]string, secret []string) {
	t.Helper()
	p.givePeople(t, []string{"US", "ann@victim.example.com"})
	endpoint := w.make(t, p, http.MethodPost, "/v1/webhook-endpoints", `{"url":"`+p.receiver.URL+`","eventTypes":["*"]}`)
	synced := w.make(t, p, http.MethodPost, "/v1/user-sync", `{"user":{"email":"john@victim.example.com","country":"US"}}`)
	w.make(t, p, http.MethodPost, "/v1/user-sync", `{"user":{"email":"gone@victim.example.com","country":"US"}}`)
	colleague := w.make(t, p, http.MethodPost, "/v1/colleagues-create",
		`{"name":"Eve","email":"eve@victim.example.com","companyName":"Victim","toBeInvitedById":"john@victim.example.com"}`)
	imported := w.make(t, p, http.MethodPost, "/v1/directory/imports", "email\nzoe@victim.example.com\n")
	erasure := w.make(t, p, http.MethodPost, "/v1/erasures", `{"email":"gone@victim.example.com"}`)
	provisioned := w.make(t, p, http.MethodPost, "/scim/v2/Users", `{"userName":"ada@victim.example.com"}`)
	group := w.make(t, p, http.MethodPost, "/scim/v2/Groups", `{"displayName":"victim.example.com","members":[{"value":"`+provisioned["id"]+`"}]}`)
	followUp := w.make(t, p, http.MethodPost, "/v1/follow-ups", `{"name":"victim.example.com","trigger":{"type":"user/update"},"actions":[{"type":"find-colleagues"}]}`)
	keys, err := tenant.ListKeys(t.Context(), p.app.Store.Org(p.org.ID), "", 10)
	must(t, err)
	customer{app: p.app}.quiet(t)
	connection := customer{app: p.app, org: p.org}.connect(t, "http").connection
	things = map[string]string{
		"file": "start.js", "scimUserId": provisioned["id"], "scimGroupId": group["id"], "schemaId": "urn:ietf:params:scim:schemas:core:2.0:User", "resourceType": "User",
		"connectionId": connection.ID, "user_ids": synced["userId"],
		"organizationId": p.org.ID, "keyId": keys[0].ID, "endpointId": endpoint["id"], "followUpId": followUp["id"], "requestId": synced["requestId"], "userId": synced["userId"],
		"colleagueId": colleague["id"], "id": colleague["id"], "importId": imported["id"], "erasureId": erasure["id"],
		"deliveryId": w.first(t, p, "/v1/webhook-endpoints/"+endpoint["id"]+"/deliveries"), "eventId": w.first(t, p, "/v1/events"),
		"email": "john@victim.example.com", "toBeInvitedById": "john@victim.example.com", "queue": "no-such-queue", "step": "0", "secret": "no-such-secret", "taskId": "no-such-task",
	}
	for name, value := range things {
		if value == "" {
			t.Fatalf("the victim has no %s", name)
		}
	}
	for _, name := range []string{"followUpId", "endpointId", "requestId", "userId", "colleagueId", "importId", "erasureId", "deliveryId", "eventId", "keyId", "organizationId", "connectionId", "scimUserId", "scimGroupId"} {
		secret = append(secret, things[name])
	}
	return things, append(secret, "victim.example.com")
}

// make makes something as the owner and returns the texts of the answer.
func (w *walk) make(t *testing.T, p *play, method, path, body string) map[string]string {
	t.Helper()
	header := http.Header{"X-Api-Key": {p.vars["key"]}, "Content-Type": {"application/json"}}
	if !strings.HasPrefix(body, "{") {
		header.Set("Content-Type", "text/csv")
	}
	a := w.client.Do(t, apptest.Call{Method: method, Path: path, Header: header, Body: []byte(body)})
	var fields map[string]any
	if a.Status >= 300 || json.Unmarshal(a.Body, &fields) != nil {
		t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
	texts := map[string]string{}
	for name, v := range fields {
		texts[name], _ = v.(string)
	}
	return texts
}

// first returns the id of the newest thing of a list.
func (w *walk) first(t *testing.T, p *play, path string) (id string) {
	t.Helper()
	must(t, until(func() error {
		a := w.client.Do(t, apptest.Call{Method: http.MethodGet, Path: path, Header: http.Header{"X-Api-Key": {p.vars["key"]}}})
		var list struct{ Items []struct{ ID string } }
		if err := json.Unmarshal(a.Body, &list); err != nil || len(list.Items) == 0 {
			return fmt.Errorf("%s has nothing: %s", path, a.Body)
		}
		id = list.Items[0].ID
		return nil
	}))
	return id
}

// call makes the call that the description gives, with the victim's things.
func (w *walk) call(t *testing.T, op apptest.Operation, values, query map[string]string) apptest.Call {
	t.Helper()
	c, err := op.Call(values, query)
	must(t, err)
	return c
}

func (w *walk) carry(t *testing.T, c apptest.Call, scheme, credential string) apptest.Call {
	t.Helper()
	c, err := w.description.Carry(c, scheme, credential)
	must(t, err)
	return c
}

// refuse makes a call that must be refused with one of the statuses. The answer must
// show nothing of the victim except what the call sent.
func (w *walk) refuse(t *testing.T, who string, op apptest.Operation, c apptest.Call, want ...int) {
	t.Helper()
	w.refused++
	a := w.client.Do(t, c)
	if !slices.Contains(want, a.Status) {
		t.Errorf("%s, %s: got %d %s, want %v", op, who, a.Status, a.Body, want)
	}
	w.showsNothing(t, who, op, c, a)
}

func (w *walk) showsNothing(t *testing.T, who string, op apptest.Operation, c apptest.Call, a apptest.Answer) {
	t.Helper()
	kept := strings.HasPrefix(op.Path, "/docs/") // the files of the description's page hold nobody's data
	if a.Header.Get("Cache-Control") != "no-store" && !kept || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s, %s: the answer may be kept or taken for something else: %v", op, who, a.Header)
	}
	for _, text := range w.secret {
		if strings.Contains(string(a.Body), text) && !strings.Contains(c.Path+string(c.Body), text) {
			t.Errorf("%s, %s: the answer shows %s: %s", op, who, text, a.Body)
		}
	}
}

// withoutRight calls without credentials, with credentials that are not valid, and
// with valid ones of the wrong sort or in the wrong place.
func (w *walk) withoutRight(t *testing.T, op apptest.Operation) {
	t.Helper()
	c := w.call(t, op, w.victim, nil)
	if len(op.Schemes) == 0 {
		w.everybody(t, op, c)
		return
	}
	w.refuse(t, "nobody", op, c, http.StatusUnauthorized)
	w.withHead(t, op)
	operators := slices.Contains(op.Schemes, operatorScheme)
	for _, scheme := range w.description.Schemes() {
		for what, credential := range w.wrong {
			if !slices.Contains(op.Schemes, scheme) || scheme == tokenScheme {
				continue // not looked at, whatever it is: a good one shows that
			}
			w.refuse(t, "a credential that is "+what+" by "+scheme, op, w.carry(t, c, scheme, credential), http.StatusUnauthorized)
		}
		if scheme == tokenScheme { // it stands where keys do
			w.refuse(t, "a token for look-ups", op, w.carry(t, c, scheme, w.strangerToken), http.StatusUnauthorized)
			continue
		}
		// A key opens no operator's route, and the operator's token opens no tenant's
		// route. Neither counts in a place where the route does not look for it.
		good := w.admin
		if operators || !slices.Contains(op.Schemes, scheme) && scheme != operatorScheme {
			good = w.keys["*"]
		}
		w.refuse(t, "a good credential of another sort by "+scheme, op, w.carry(t, c, scheme, good), http.StatusUnauthorized)
	}
}

// withHead calls a GET by HEAD: as nobody, and as its owner, who is answered. A
// GET that writes is not answered at all, since HEAD never writes.
func (w *walk) withHead(t *testing.T, op apptest.Operation) {
	t.Helper()
	if op.Method != http.MethodGet {
		return
	}
	query := map[string]string{}
	if slices.Contains(op.InQuery, "email") {
		query["email"] = w.victim["email"]
	}
	c := w.call(t, op, w.victim, query)
	c.Method = http.MethodHead
	refused, answered := http.StatusUnauthorized, http.StatusOK
	if op.Writes {
		refused, answered = http.StatusMethodNotAllowed, http.StatusMethodNotAllowed
	}
	w.refuse(t, "nobody by HEAD", op, c, refused)
	owner := w.keys["*"]
	if slices.Contains(op.Schemes, operatorScheme) {
		owner = w.admin
	}
	if a := w.client.Do(t, w.carry(t, c, op.Schemes[0], owner)); a.Status != answered {
		t.Errorf("%s, its owner by HEAD: got %d, want %d", op, a.Status, answered)
	}
}

// everybody calls a route that is open to everybody, without credentials. Only a GET
// may be open.
func (w *walk) everybody(t *testing.T, op apptest.Operation, c apptest.Call) {
	t.Helper()
	if slices.Contains(op.InPath, "secret") {
		w.refuse(t, "nobody who knows the secret", op, c, http.StatusNotFound)
		return
	}
	if op.Path == "/v4/authenticate" { // its key is in the body
		c.Body, c.Header = []byte(`{"access_token":"nobody's"}`), http.Header{"Content-Type": {"application/json"}}
		w.refuse(t, "nobody with a key", op, c, http.StatusUnauthorized)
		return
	}
	if op.Method != http.MethodGet {
		t.Errorf("%s is open to everybody", op)
		return
	}
	a := w.client.Do(t, c)
	if a.Status != http.StatusOK {
		t.Errorf("%s: got %d %s", op, a.Status, a.Body)
	}
	w.showsNothing(t, "everybody", op, c, a)
}

// withTooFewScopes calls with the victim's own keys that lack the scope.
func (w *walk) withTooFewScopes(t *testing.T, op apptest.Operation) {
	t.Helper()
	if len(op.Schemes) == 0 || slices.Contains(op.Schemes, operatorScheme) {
		return
	}
	c := w.call(t, op, w.victim, nil)
	for scope, key := range w.keys {
		if scope == string(tenant.ScopeAll) || slices.Contains(op.Scopes, scope) {
			continue
		}
		w.refuse(t, "a key with the scope "+scope+" alone", op, w.carry(t, c, op.Schemes[0], key), http.StatusForbidden)
	}
	for _, scope := range op.Scopes {
		if w.keys[scope] == "" {
			t.Errorf("%s takes the scope %s, which is none", op, scope)
		}
	}
}

// everybodys are the parameters of paths whose values are the same for every organization.
var everybodys = []string{"schemaId", "resourceType"}

// withForeignIDs calls with the stranger's key and the victim's ids in the path. They
// must not be found, like ids that do not exist.
func (w *walk) withForeignIDs(t *testing.T, op apptest.Operation) {
	t.Helper()
	if len(op.InPath) == 0 || len(op.Schemes) == 0 {
		return
	}
	credential, foreign := w.strangerKey, w.victim
	if slices.Contains(op.Schemes, operatorScheme) {
		// For the operator only things of another organization than that of the path
		// are foreign.
		credential, foreign = w.admin, mixed(w.victim, w.stranger)
		if len(op.InPath) == 1 {
			foreign = mixed(w.victim, map[string]string{"organizationId": usersync.NewID(usersync.PrefixOrganization)})
		}
	}
	if !slices.Contains(everybodys, op.InPath[0]) {
		w.refuse(t, "somebody else's ids", op, w.carry(t, w.call(t, op, foreign, nil), op.Schemes[0], credential), http.StatusNotFound)
	}
	hostile := map[string]string{}
	for _, name := range op.InPath {
		hostile[name] = "../" + w.victim[name] + "%00' --"
	}
	w.refuse(t, "ids that are none", op, w.carry(t, w.call(t, op, mixed(foreign, hostile), nil), op.Schemes[0], credential), http.StatusNotFound)
}

func mixed(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for name, value := range m {
			all[name] = value
		}
	}
	return all
}

// foreignQuery returns the values that the stranger asks for by each parameter of a
// query.
func (w *walk) foreignQuery() map[string][]string {
	cursors := []string{}
	for _, id := range w.secret {
		cursors = append(cursors, base64.RawURLEncoding.EncodeToString([]byte(id)))
	}
	return map[string][]string{
		"cursor": cursors, "email": {w.victim["email"]}, "userId": {w.victim["userId"]}, "organizationId": {w.victim["organizationId"]},
		"status": {"succeeded"}, "kind": {"user-sync"}, "since": {"2020-01-01T00:00:00Z"}, "type": {"user.erased"}, "limit": {"500"},
		"olderThan": {"1h"}, "include": {"colleagues"}, "connection": {w.victim["connectionId"]}, "code": {"rejected"}, "until": {"2999-01-01T00:00:00Z"}, "format": {"csv"}, "charset": {"utf-8"},
		"apiKey": {w.strangerKey}, "filterActive": {"true"}, "activeDays": {"1"}, "dryRun": {"true"}, "first_name": {"Eve"},
		"audienceName": {"Everybody"}, "audienceDescription": {"All"},
		"filter":     {`userName eq "ada@victim.example.com"`, `displayName eq "victim.example.com"`, `id eq "` + w.victim["scimUserId"] + `"`, `members eq "` + w.victim["scimUserId"] + `"`, "userName pr"},
		"startIndex": {"1"}, "count": {"100"}, "attributes": {"groups,members,emails"}, "excludedAttributes": {"id"},
		"tags": {"vip"}, "platform": {"mailchimp"}, "list_id": {"list_1"}, "remove": {"true"},
	}
}

// withForeignQuery asks every list for the victim's things by each of its parameters.
// The answer must be a page without them, or a refusal.
func (w *walk) withForeignQuery(t *testing.T, op apptest.Operation) {
	t.Helper()
	if len(op.Schemes) == 0 || slices.Contains(op.Schemes, operatorScheme) || op.Method != http.MethodGet {
		return
	}
	asked := w.foreignQuery()
	for _, name := range op.InQuery {
		if asked[name] == nil {
			t.Errorf("%s: nobody knows what of the victim's the parameter %s could ask for", op, name)
		}
		for _, value := range asked[name] {
			c := w.carry(t, w.call(t, op, w.victim, map[string]string{name: value}), op.Schemes[0], w.strangerKey)
			a := w.client.Do(t, c)
			if a.Status != http.StatusOK && a.Status != http.StatusBadRequest && a.Status != http.StatusNotFound {
				t.Errorf("%s with %s=%s: got %d %s", op, name, value, a.Status, a.Body)
			}
			w.showsNothing(t, "the stranger with "+name, op, c, a)
		}
	}
	a := w.client.Do(t, w.carry(t, w.call(t, op, w.victim, nil), op.Schemes[0], w.strangerKey))
	if len(op.InPath) == 0 && a.Status != http.StatusOK && !slices.Contains(op.InQuery, "email") {
		t.Errorf("%s: got %d %s", op, a.Status, a.Body)
	}
	w.showsNothing(t, "the stranger", op, apptest.Call{}, a)
}

// lenient are the beginnings of the paths whose calls take parameters that they do not
// know, since their clients were there first.
var lenient = []string{"/v1/user-sync", "/v1/colleagues-", "/v1/send-invitation"}

// withUnknownQuery calls a route of ours with a parameter that it does not know: it is
// named, and nothing is done. The parameters that are described are all known.
func (w *walk) withUnknownQuery(t *testing.T, op apptest.Operation) {
	t.Helper()
	ours := strings.HasPrefix(op.Path, "/v1/") || strings.HasPrefix(op.Path, "/admin/")
	if !ours || len(op.Schemes) == 0 || slices.ContainsFunc(lenient, func(p string) bool { return strings.HasPrefix(op.Path, p) }) {
		return
	}
	owner := w.keys["*"]
	if slices.Contains(op.Schemes, operatorScheme) {
		owner = w.admin
	}
	call := func(name, value string) apptest.Answer {
		c := w.call(t, op, w.victim, nil)
		c.Path += "?" + name + "=" + url.QueryEscape(value)
		return w.client.Do(t, w.carry(t, c, op.Schemes[0], owner))
	}
	if a := call("statsu", "failed"); a.Status != http.StatusBadRequest || !strings.Contains(string(a.Body), "statsu is no parameter of this call") {
		t.Errorf("%s with a parameter that it does not know: got %d %s", op, a.Status, a.Body)
	}
	if op.Method != http.MethodGet {
		return
	}
	for _, name := range op.InQuery {
		for _, value := range w.foreignQuery()[name] {
			if a := call(name, value); strings.Contains(string(a.Body), "no parameter of this call") {
				t.Errorf("%s does not know its parameter %s", op, name)
			}
		}
	}
}

// foreignFields are the fields of bodies that name a thing of the organization.
var foreignFields = []string{"colleagueId", "id", "userId", "requestId", "connectionId", "endpointId"}

// withForeignFields names the victim's things in bodies. They must not be found.
func (w *walk) withForeignFields(t *testing.T, op apptest.Operation) {
	t.Helper()
	if len(op.Schemes) == 0 || slices.Contains(op.Schemes, operatorScheme) {
		return
	}
	for _, field := range op.Fields() {
		if !slices.Contains(foreignFields, field) || strings.HasPrefix(op.Path, "/v4/events/") { // whose ids are the caller's words
			continue
		}
		c := w.carry(t, w.call(t, op, w.victim, nil), op.Schemes[0], w.strangerKey)
		w.refuse(t, "somebody else's "+field+" in the body", op, c, http.StatusNotFound)
	}
}

// unsettled are tables that change without calls.
var unsettled = []string{"outbox", "goose_db_version", "sqlite_sequence"}

// dump returns the rows of every table as texts.
func (w *walk) dump(t *testing.T) map[string][]string {
	t.Helper()
	driver, dsn := "sqlite", storetest.File(w.env.Config.DataDir, "?_pragma=busy_timeout(10000)")
	tables := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if w.env.Engine == "deployed" {
		driver, dsn = "pgx", w.env.Config.DatabaseURL.Reveal()+"&search_path="+w.env.Schema
		tables = `SELECT tablename FROM pg_tables WHERE schemaname = '` + w.env.Schema + `'`
	}
	db, err := sql.Open(driver, dsn)
	must(t, err)
	defer func() { _ = db.Close() }()
	out := map[string][]string{}
	for _, table := range texts(t, db, tables) {
		if !slices.Contains(unsettled, table) {
			out[table] = texts(t, db, `SELECT * FROM `+table)
		}
	}
	if len(out["ledger"]) == 0 || len(out["webhook_endpoints"]) == 0 {
		t.Fatal("the database was not read")
	}
	return out
}

// texts returns the rows of a query, sorted.
func texts(t *testing.T, db *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		must(t, rows.Scan(to...))
		parts := make([]string, len(values))
		for i, v := range values {
			parts[i] = fmt.Sprintf("%s", v)
			if _, text := v.(string); !text {
				parts[i] = fmt.Sprint(v)
			}
		}
		list = append(list, strings.Join(parts, "|"))
	}
	must(t, rows.Err())
	slices.Sort(list)
	return list
}

// difference returns the rows that are in one list only.
func difference(a, b []string) string {
	var out []string
	for _, row := range a {
		if !slices.Contains(b, row) {
			out = append(out, "- "+row)
		}
	}
	for _, row := range b {
		if !slices.Contains(a, row) {
			out = append(out, "+ "+row)
		}
	}
	return strings.Join(out[:min(len(out), 10)], "\n")
}
