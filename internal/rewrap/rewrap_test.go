package rewrap_test

import (
	"database/sql"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"usersync/internal/delivery"
	"usersync/internal/destination"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/idempotency"
	"usersync/internal/platform"
	"usersync/internal/rewrap"
	"usersync/internal/roomtest"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// sealedUnder returns the columns that hold something sealed under a key.
func sealedUnder(t *testing.T, db *sql.DB, key string) []string {
	t.Helper()
	found := map[string]bool{}
	for where, text := range roomtest.Texts(t, db) {
		if strings.Contains(text, "v1."+key+".") {
			column, _, _ := strings.Cut(where, " ")
			found[column] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// rotation is a database with something sealed in every place there is.
type rotation struct {
	o          store.Options
	db         *sql.DB
	old        *store.Store // seals with k1
	n          roomtest.Tenant
	endpoint   delivery.Endpoint
	connection platform.Connection
	answer     idempotency.Key
	followUp   catalog.FollowUp
}

// One key each; the texts are base64 of 32 bytes.
const (
	k1 = "k1:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
	k2 = "k2:MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI="
)

func sealingKeys(t *testing.T, list string) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys(usersync.NewSecret(list))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// with opens the same database with other keys.
func (r rotation) with(t *testing.T, keys store.Sealer) *store.Store {
	t.Helper()
	o := r.o
	o.Seal = keys
	return storetest.Open(t, o)
}

func newRotation(t *testing.T, engine string) rotation {
	t.Helper()
	r := rotation{o: storetest.Options(t, engine)}
	keys := sealingKeys(t, k1)
	r.old = r.with(t, keys)
	r.db = roomtest.SQLOf(t, r.o)
	r.n = roomtest.New(t, r.old, 0)
	org, ctx := r.old.Org(r.n.Organization.ID), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := tenant.Update(ctx, r.old.Org(r.n.Organization.ID), "test", func(o *tenant.Organization) ([]string, error) {
		o.Settings.SMTP = &usersync.SMTP{Host: "mail.example.com", Password: usersync.MaskedSecret{Secret: usersync.NewSecret("smtp password")}}
		return []string{"settings.smtp.password"}, nil
	})
	must(err)
	r.endpoint, err = delivery.CreateEndpoint(ctx, org, "test", delivery.Endpoint{URL: "https://hooks.example.com/", EventTypes: []string{"*"}}, usersync.NewSecret("first"))
	must(err)
	_, err = delivery.RotateSecret(ctx, org, "test", r.endpoint.ID, func(string) usersync.Secret { return usersync.NewSecret("second") })
	must(err)
	r.connection = r.n.Connect(t)
	r.answer = idempotency.Key{Scope: "POST /v1/webhook-endpoints", Key: "one", BodyHash: "h"}
	_, mine, err := idempotency.Take(ctx, r.old.Org(r.n.Organization.ID), r.answer)
	must(err)
	if !mine {
		t.Fatal("a new key is taken")
	}
	must(idempotency.Keep(ctx, r.old, r.n.Organization.ID, r.answer, []byte("an answer")))
	r.followUp, err = catalog.Create(ctx, org, "test", followup.Definition{Name: "f", Trigger: followup.Trigger{Type: followup.UserUpdate}, Actions: []followup.Action{
		{Type: followup.SendWebhook, Method: "GET", URL: "https://hooks.example.com/", Headers: map[string]string{"X-Token": "header value"}},
	}}, catalog.Active)
	must(err)
	removal, err := keys.Seal([]byte("ann@acme.example.com"), platform.RemovalPlace(r.n.Organization.ID, r.connection.ID, "user_1"))
	must(err)
	_, err = r.db.ExecContext(ctx, `INSERT INTO pushes (connection_id, user_id, organization_id, removal)
		VALUES ('`+r.connection.ID+`', 'user_1', '`+r.n.Organization.ID+`', '`+removal+`'), ('`+r.connection.ID+`', 'user_2', '`+r.n.Organization.ID+`', '')`)
	must(err)
	return r
}

// wantReadable fails the test unless a store opens every secret.
func (r rotation) wantReadable(t *testing.T, s *store.Store) {
	t.Helper()
	org, ctx := s.Org(r.n.Organization.ID), t.Context()
	o, err := tenant.Get(ctx, s, r.n.Organization.ID)
	if err != nil || o.Settings.SMTP.Password.Reveal() != "smtp password" {
		t.Errorf("settings: %v", err)
	}
	e, err := delivery.GetEndpoint(ctx, org, r.endpoint.ID)
	if err != nil || len(e.Secrets) != 2 || e.Secrets[0].Reveal() != "second" || e.Secrets[1].Reveal() != "first" {
		t.Errorf("endpoint: %v", err)
	}
	c, err := platform.GetConnection(ctx, org, r.connection.ID)
	if err != nil || !strings.Contains(c.Credentials.Reveal(), roomtest.SecretKey) {
		t.Errorf("connection: %v", err)
	}
	headers, err := catalog.HeadersOf(ctx, org, r.followUp.ID, 1, "actions[0]", "https://hooks.example.com/")
	if err != nil || headers["X-Token"] != "header value" {
		t.Errorf("headers: %v", err)
	}
	answer, _, err := idempotency.Take(ctx, s.Org(r.n.Organization.ID), r.answer)
	if err != nil || string(answer) != "an answer" {
		t.Errorf("kept answer: %v", err)
	}
}

func silent(rewrap.Rewrapped) {}

func onBothRotating(t *testing.T, test func(t *testing.T, r rotation)) {
	t.Helper()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, newRotation(t, engine))
		})
	}
}

func TestRewrapLeavesNothingUnderTheOldKeyInAnyColumn(t *testing.T) {
	t.Parallel()
	onBothRotating(t, func(t *testing.T, r rotation) {
		before := sealedUnder(t, r.db, "k1")
		both := r.with(t, sealingKeys(t, k2+","+k1))
		version, err := destination.Version(t.Context(), both, r.n.Organization.ID)
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		done, err := rewrap.Run(t.Context(), both, func(rewrap.Rewrapped) { told++ })
		if err != nil {
			t.Fatal(err)
		}
		var columns []string
		for _, d := range done {
			columns = append(columns, d.Column)
			if d.Values != 1 || d.Changed != 1 || d.Moved != 0 || d.Unopened != 0 {
				t.Errorf("%+v", d)
			}
		}
		slices.Sort(columns)
		if !slices.Equal(columns, before) || told != len(columns) {
			t.Errorf("rewrapped %v, told %d times; what is sealed stands in %v", columns, told, before)
		}
		if left := sealedUnder(t, r.db, "k1"); len(left) > 0 {
			t.Errorf("still under the old key: %v", left)
		}
		if now, err := destination.Version(t.Context(), both, r.n.Organization.ID); err != nil || now == version {
			t.Errorf("the organization's version is still %s, %v", now, err)
		}
		if counts, err := rewrap.SealedKeys(t.Context(), both); err != nil || len(counts) != 1 || counts["k2"] != int64(len(columns)) {
			t.Errorf("%v %v", counts, err)
		}
		r.wantReadable(t, r.with(t, sealingKeys(t, k2)))
		again, err := rewrap.Run(t.Context(), both, silent)
		if err != nil || slices.ContainsFunc(again, func(d rewrap.Rewrapped) bool { return d.Changed > 0 }) {
			t.Errorf("again: %+v %v", again, err)
		}
	})
}

// TestSealedValueOpensForNoOtherOrganization moves whole rows, with their ids, into
// another organization: no sealed value opens there.
func TestSealedValueOpensForNoOtherOrganization(t *testing.T) {
	t.Parallel()
	onBothRotating(t, func(t *testing.T, r rotation) {
		other, ctx := roomtest.New(t, r.old, 0), t.Context()
		for _, table := range []string{"webhook_endpoints", "connections", "pushes", "idempotency_keys", "follow_up_headers"} {
			result, err := r.db.ExecContext(ctx, `UPDATE `+table+` SET organization_id = '`+other.Organization.ID+`' WHERE organization_id = '`+r.n.Organization.ID+`'`)
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := result.RowsAffected(); n == 0 {
				t.Fatalf("%s has no row to move", table)
			}
		}
		_, err := r.db.ExecContext(ctx, `UPDATE pushes SET due_at = 1`)
		if err != nil {
			t.Fatal(err)
		}
		org := r.old.Org(other.Organization.ID)
		_, ofEndpoint := delivery.GetEndpoint(ctx, org, r.endpoint.ID)
		_, ofConnection := platform.GetConnection(ctx, org, r.connection.ID)
		_, ofRemoval := platform.DuePushes(ctx, org, r.connection.ID, 10)
		_, _, ofAnswer := idempotency.Take(ctx, org, r.answer)
		_, ofHeaders := catalog.HeadersOf(ctx, org, r.followUp.ID, 1, "actions[0]", "https://hooks.example.com/")
		for name, err := range map[string]error{"endpoint": ofEndpoint, "connection": ofConnection, "removal": ofRemoval, "answer": ofAnswer, "headers": ofHeaders} {
			if err == nil || !strings.Contains(err.Error(), "changed or moved") {
				t.Errorf("the value of the %s: %v", name, err)
			}
		}
	})
}

// TestRewrapBindsValuesOfFormerBuildsToTheirOrganization seals values for the places
// that did not name the organization. Run binds them, under an old key as well as under
// the first, and does it once.
func TestRewrapBindsValuesOfFormerBuildsToTheirOrganization(t *testing.T) {
	t.Parallel()
	onBothRotating(t, func(t *testing.T, r rotation) {
		both := r.with(t, sealingKeys(t, k2+","+k1))
		for _, key := range []string{k1, k2} {
			for place, value := range map[string]struct{ plain, table, column, condition string }{
				"webhook_endpoints/" + r.endpoint.ID + "/secret":  {"second", "webhook_endpoints", "secret", "id = '" + r.endpoint.ID + "'"},
				"connections/" + r.connection.ID + "/credentials": {`{"apiKey":"` + roomtest.SecretKey + `"}`, "connections", "credentials", "id = '" + r.connection.ID + "'"},
				"pushes/" + r.connection.ID + "/user_1/removal":   {"ann@acme.example.com", "pushes", "removal", "user_id = 'user_1'"},
			} {
				sealed, err := sealingKeys(t, key).Seal([]byte(value.plain), place)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.db.ExecContext(t.Context(), `UPDATE `+value.table+` SET `+value.column+` = '`+sealed+`' WHERE `+value.condition); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range []int64{1, 0} {
				done, err := rewrap.Run(t.Context(), both, silent)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range done {
					if former := slices.Contains([]string{"webhook_endpoints.secret", "connections.credentials", "pushes.removal"}, d.Column); former && d.Changed != want || d.Unopened > 0 {
						t.Errorf("%+v, want %d changed", d, want)
					}
				}
			}
			r.wantReadable(t, r.with(t, sealingKeys(t, k2)))
		}
	})
}

// places are the functions that name the place of a sealed value, with the
// columns it is written to.
var places = map[string][]string{
	"SecretsPlace":     {"organizations.secrets"},
	"SecretPlace":      {"webhook_endpoints.secret", "webhook_endpoints.old_secret"},
	"CredentialsPlace": {"connections.credentials"},
	"RemovalPlace":     {"pushes.removal"},
	"AnswerPlace":      {"idempotency_keys.acceptance"},
	"HeadersPlace":     {"follow_up_headers.sealed"},
}

// TestEverySealedColumnIsRewrapped reads the sources of all packages: whoever seals
// for a new place has to name its column here, and then Run has to know it.
func TestEverySealedColumnIsRewrapped(t *testing.T) {
	t.Parallel()
	sealing := sealedPlaces(t)
	for _, name := range sealing {
		// Sessions end within hours, and whoever's is not opened signs in again.
		if places[name] == nil && name != "sessionPlace" {
			t.Errorf("something is sealed for %s: add its columns to this test and to sealedColumns", name)
		}
	}
	if !slices.Contains(sealing, "CredentialsPlace") || !slices.Contains(sealing, "SecretPlace") || !slices.Contains(sealing, "HeadersPlace") {
		t.Errorf("found only %v", sealing)
	}
	done, err := rewrap.Run(t.Context(), storetest.Open(t, storetest.Options(t, "sqlite")), silent)
	if err != nil {
		t.Fatal(err)
	}
	var rewrapped, want []string
	for _, d := range done {
		rewrapped = append(rewrapped, d.Column)
	}
	for _, columns := range places {
		want = append(want, columns...)
	}
	slices.Sort(rewrapped)
	slices.Sort(want)
	if !slices.Equal(rewrapped, want) {
		t.Errorf("rewrapped are %v, sealed %v", rewrapped, want)
	}
}

// sealedPlaces returns what names the places in the calls of Seal in the sources of
// all packages.
func sealedPlaces(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	var files []string
	for _, pattern := range []string{"../*/*.go", "../*/*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(filepath.ToSlash(file), "../rewrap/") {
			continue // rewrap seals for the places of the others
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Seal" && len(call.Args) == 2 {
				found[placeName(call)] = true
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// placeName is the function that makes the second argument of a call.
func placeName(call *ast.CallExpr) string {
	if place, ok := call.Args[1].(*ast.CallExpr); ok {
		if name, ok := place.Fun.(*ast.Ident); ok {
			return name.Name
		}
	}
	return "a place without a function"
}

// racing writes a value of its own between the moment that a value is read and
// the moment that it is written back.
type racing struct {
	*seal.Keys
	race func(place string)
}

func (r racing) Rewrap(sealed, place string) (string, bool, error) {
	out, changed, err := r.Keys.Rewrap(sealed, place)
	r.race(place)
	return out, changed, err
}

func TestValueThatChangesMeanwhileIsNotOverwritten(t *testing.T) {
	t.Parallel()
	onBothRotating(t, func(t *testing.T, r rotation) {
		race := func(place string) {
			if !strings.HasPrefix(place, "connections/") {
				return
			}
			_, err := platform.UpdateConnection(t.Context(), r.old.Org(r.n.Organization.ID), "key_1", r.connection.ID, func(c *platform.Connection) ([]string, error) {
				c.Credentials = usersync.NewSecret(`{"apiKey":"newer"}`)
				return []string{"credentials.apiKey"}, nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		done, err := rewrap.Run(t.Context(), r.with(t, racing{sealingKeys(t, k2+","+k1), race}), silent)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range done {
			if moved := d.Column == "connections.credentials"; (d.Moved == 1) != moved || (d.Changed == 0) != moved {
				t.Errorf("%+v", d)
			}
		}
		c, err := platform.GetConnection(t.Context(), r.old.Org(r.n.Organization.ID), r.connection.ID)
		if err != nil || c.Credentials.Reveal() != `{"apiKey":"newer"}` {
			t.Errorf("the newer value is gone: %v", err)
		}
	})
}

func TestKeysRotateWhileTheServiceWrites(t *testing.T) {
	t.Parallel()
	onBothRotating(t, func(t *testing.T, r rotation) {
		rotating, service := r.with(t, sealingKeys(t, k2+","+k1)), r.with(t, sealingKeys(t, k1+","+k2))
		const rounds = 20
		var ids, last [3]string
		var writers sync.WaitGroup
		for i := range last {
			ids[i] = r.n.Connect(t).ID
			writers.Go(func() { last[i] = write(t, service.Org(r.n.Organization.ID), ids[i], rounds) })
		}
		running := make(chan struct{})
		go func() { writers.Wait(); close(running) }()
		for busy := true; busy; {
			select {
			case <-running:
				busy = false
			default:
			}
			if _, err := rewrap.Run(t.Context(), rotating, silent); err != nil {
				t.Fatal(err)
			}
		}
		counts, err := rewrap.SealedKeys(t.Context(), rotating)
		if err != nil || counts["k1"] != 0 {
			t.Errorf("%v %v", counts, err)
		}
		newest := r.with(t, sealingKeys(t, k2))
		r.wantReadable(t, newest)
		for i, id := range ids {
			c, err := platform.GetConnection(t.Context(), newest.Org(r.n.Organization.ID), id)
			if err != nil || c.Credentials.Reveal() != last[i] || last[i] == "" {
				t.Errorf("the last value of connection %d is lost: %v", i, err)
			}
		}
	})
}

// write changes the credentials of a connection again and again, each time
// finding what it wrote before, and returns the last.
func write(t *testing.T, org *store.Org, id string, rounds int) (last string) {
	for i := range rounds {
		next := fmt.Sprintf(`{"apiKey":"%d of %s"}`, i, id)
		_, err := platform.UpdateConnection(t.Context(), org, "key_1", id, func(c *platform.Connection) ([]string, error) {
			if found := c.Credentials.Reveal(); last != "" && found != last {
				t.Errorf("found %q, want %q", found, last)
			}
			c.Credentials = usersync.NewSecret(next)
			return []string{"credentials.apiKey"}, nil
		})
		if err != nil {
			t.Error(err)
			return ""
		}
		last = next
	}
	return last
}

func TestValueWhoseKeyIsMissingIsToldAndStopsNothing(t *testing.T) {
	t.Parallel()
	onBothRotating(t, func(t *testing.T, r rotation) {
		other := "k3" + k2[2:]
		newer := r.with(t, sealingKeys(t, other))
		e, err := delivery.CreateEndpoint(t.Context(), newer.Org(r.n.Organization.ID), "test", delivery.Endpoint{URL: "https://hooks.example.com/", EventTypes: []string{"*"}}, usersync.NewSecret("third"))
		if err != nil {
			t.Fatal(err)
		}
		done, err := rewrap.Run(t.Context(), r.with(t, sealingKeys(t, k2+","+other)), silent)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range done {
			if d.Unopened != 1 || !strings.Contains(fmt.Sprint(d.Err), `key "k1", which is missing`) {
				t.Errorf("%+v", d)
			}
			if d.Column == "webhook_endpoints.secret" && d.Changed != 1 {
				t.Errorf("what could be opened was not: %+v", d)
			}
		}
		if _, err := delivery.GetEndpoint(t.Context(), r.with(t, sealingKeys(t, k2)).Org(r.n.Organization.ID), e.ID); err != nil {
			t.Error(err)
		}
	})
}
