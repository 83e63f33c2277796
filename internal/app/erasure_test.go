package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/colleague/hunter/huntertest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/erasure"
	operations "usersync/internal/management"
	"usersync/internal/outbox"
	"usersync/internal/receipt"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// erase erases whoever has an address.
func (n customer) erase(t *testing.T, address string) erasure.Erasure {
	t.Helper()
	service := &operations.Service{Store: n.app.Store}
	e, err := service.EraseEmail(t.Context(), "test", n.app.Store.Org(n.org.ID), n.org.Salt, address)
	must(t, err)
	n.app.Relay.Wake()
	return e
}

func (n customer) erased(t *testing.T, e erasure.Erasure) erasure.Erasure {
	t.Helper()
	apptest.Eventually(t, "the erasure is done", func() bool {
		var err error
		e, err = erasure.Get(t.Context(), n.app.Store.Org(n.org.ID), e.ID)
		must(t, err)
		return e.Status == receipt.Succeeded
	})
	return e
}

// quiet waits until no task is left.
func (n customer) quiet(t *testing.T) {
	t.Helper()
	apptest.Eventually(t, "no task is left", func() bool {
		s, err := outbox.Count(t.Context(), n.app.Store)
		return err == nil && s.Ready+s.Sent+s.Scheduled+s.Parked == 0
	})
}

func (n customer) wantErased(t *testing.T, id string) {
	t.Helper()
	r := n.report(t, id)
	if r.Status != request.Failed || r.Email != "" || r.FinishedAt.IsZero() || r.Credits.Charged != 0 ||
		len(r.Steps) != 1 || r.Steps[0].Error == nil || r.Steps[0].Error.Message != "The user was erased." {
		t.Errorf("the request of an erased user is %+v", r)
	}
}

// workers starts the process that works the tasks. It runs beside the API if two
// processes can share the environment, else in its place.
func (n *customer) workers(t *testing.T, e *apptest.Environment) {
	t.Helper()
	if e.Engine == "embedded" {
		n.app.Stop(t)
		n.app = e.Start(t, app.All)
		return
	}
	e.Start(t, app.Worker)
}

func TestWaitingRequestFailsWithItsUsersErasure(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.API), 10)
		n.people(t, "ann@acme.example.com", "bob@acme.example.com")
		id, err := n.submit(t.Context(), "john@acme.example.com")
		must(t, err)
		erasure := n.erase(t, "john@acme.example.com")
		n.wantErased(t, id) // at once: no worker is up
		n.workers(t, e)
		n.erased(t, erasure)
		n.quiet(t)
		n.wantErased(t, id)
		if b, err := credit.Balance(t.Context(), n.app.Store.Org(n.org.ID)); err != nil || b != 10 {
			t.Errorf("balance %d, %v", b, err)
		}
	})
}

func TestRequestAcceptedWhileItsUserIsErasedFails(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.API), 10)
		ids := n.send(t, 2)
		// This is what remains if the acceptance read the user before the erasure and
		// was committed after it.
		user := n.report(t, ids[0]).UserID
		admin(t, e, `DELETE FROM users WHERE id = '`+user+`'`)
		// A worker that had loaded it before must not settle it either.
		outcome := request.Outcome{RequestID: ids[0], TaskID: usersync.DeriveID(usersync.PrefixTask, ids[0]), UserID: user,
			Status: request.Succeeded, FinishedAt: time.Now()}
		err := n.app.Store.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := request.SaveOutcomes(t.Context(), tx, n.org.ID, []request.Outcome{outcome})
			return err
		})
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("the outcome of an erased user's request is taken: %v", err)
		}
		n.workers(t, e)
		n.quiet(t)
		n.wantErased(t, ids[0])
		n.succeed(t, ids[1:])
	})
}

func TestRequestThatWaitsForCreditsEndsWithItsUsersErasure(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.API), 1)
		n.people(t, "ann@acme.example.com", "bob@acme.example.com")
		users := map[string]string{}
		var ids []string
		for _, address := range []string{"john@acme.example.com", "eve@acme.example.com"} {
			id, err := n.submit(t.Context(), address)
			must(t, err)
			ids, users[id] = append(ids, id), address
		}
		n.workers(t, e)
		apptest.Eventually(t, "one is paid, one waits", func() bool {
			by := n.statuses(t, ids)
			return by[request.Succeeded] == 1 && by[request.AwaitingCredits] == 1
		})
		if n.report(t, ids[0]).Status == request.AwaitingCredits {
			ids[0], ids[1] = ids[1], ids[0]
		}
		erasure := n.erase(t, users[ids[1]])
		n.wantErased(t, ids[1])
		n.erased(t, erasure)
		n.quiet(t) // nothing waits for credits any more
		_, err := credit.TopUp(t.Context(), n.app.Store, "test", n.org.ID, 5, "second")
		must(t, err)
		n.wantErased(t, ids[1])
		if v, err := credit.Verify(t.Context(), n.app.Store.Org(n.org.ID)); err != nil || !v.OK || v.Balance != 5 {
			t.Errorf("%+v %v", v, err)
		}
	})
}

func TestErasedPersonIsNotFoundThoughASourceKnowsThem(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		n.erased(t, n.erase(t, "john@acme.example.com"))
		n.people(t, "ann@acme.example.com", "bob@acme.example.com", "john@acme.example.com")
		id, err := n.submit(t.Context(), "eve@acme.example.com")
		must(t, err)
		n.succeed(t, []string{id})
		if r := n.report(t, id); r.Colleagues.Found != 2 || r.Credits.Charged != 1 {
			t.Errorf("found %+v", r.Colleagues)
		}
		// A person who is a user again is found again.
		again, err := n.submit(t.Context(), "john@acme.example.com")
		must(t, err)
		n.succeed(t, []string{again})
		id, err = n.submit(t.Context(), "eve@acme.example.com")
		must(t, err)
		n.succeed(t, []string{id})
		if r := n.report(t, id); r.Colleagues.Found != 3 {
			t.Errorf("found %+v", r.Colleagues)
		}
	})
}

func TestDeliveryUnderWayIsNotRepeatedAfterTheErasure(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		n := newTenant(t, a, 10)
		r := apptest.NewReceiver(t)
		gone := make(chan struct{})
		release := sync.OnceFunc(func() { close(gone) })
		t.Cleanup(release)
		r.Answer(func(w http.ResponseWriter, _ int) {
			<-gone
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte("no room for john@acme.example.com"))
		})
		n.endpoint(t, r)
		id, err := n.submit(t.Context(), "john@acme.example.com")
		must(t, err)
		apptest.Eventually(t, "the first attempt is under way", func() bool { return len(r.Got()) == 1 })
		done := n.erased(t, n.erase(t, "john@acme.example.com"))
		if done.Removed.Messages != 1 {
			t.Errorf("removed %+v", done.Removed)
		}
		release()
		n.quiet(t)
		if w := n.report(t, id).Webhooks; len(w) != 1 || w[0].Status != delivery.Failed {
			t.Errorf("webhooks %+v", w)
		}
		if len(r.Got()) != 1 {
			t.Errorf("%d calls", len(r.Got()))
		}
		wantNothingOf(t, e, "john")
	})
}

// TestErasureLeavesNothing erases people while they are submitted, found and
// delivered. Then it looks for them in every column of every table.
func TestErasureLeavesNothing(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		n := newTenant(t, a, 1000)
		r := apptest.NewReceiver(t)
		n.endpoint(t, r)
		n.people(t, "ann@acme.example.com", "bob@acme.example.com", "needle0@acme.example.com", "needle1@acme.example.com")
		var mu sync.Mutex
		var ids []string
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				for k := range 8 {
					id, err := n.submit(context.Background(), fmt.Sprintf("needle%d@acme.example.com", (i+k)%4))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					ids = append(ids, id)
					mu.Unlock()
					if k%3 == 2 {
						n.erase(t, fmt.Sprintf("needle%d@acme.example.com", i%4))
					}
				}
			})
		}
		wg.Wait()
		for i := range 4 {
			n.erased(t, n.erase(t, fmt.Sprintf("needle%d@acme.example.com", i)))
		}
		n.quiet(t)
		for _, id := range ids {
			if r := n.report(t, id); !r.Status.Final() || r.Email != "" {
				t.Errorf("request %s is %s", id, r.Status)
			}
		}
		if v, err := credit.Verify(t.Context(), a.Store.Org(n.org.ID)); err != nil || !v.OK {
			t.Errorf("%+v %v", v, err)
		}
		wantNothingOf(t, e, "needle")
	})
}

// TestErasureReachesWhatCallersAndPlatformsWrite plants people where callers, platforms
// and directory services write as they like.
func TestErasureReachesWhatCallersAndPlatformsWrite(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		n := newTenant(t, a, 1000)
		o := newOwner(t, a, n)
		n.askHunter(t, "needle@private.example", "Needle", "Person")
		p, r := n.connect(t, "brevo"), apptest.NewReceiver(t)
		refusal := fakeplatform.Fault{Path: "contacts", Status: http.StatusBadRequest, Body: `{"code":"invalid_parameter","message":"Needle Person is no name"}`}

		p.server.Break("brevo", refusal)
		needle := o.post(t, "/v1/user-sync", "application/json", `{"user":{"email":"needle@acme.example","name":"Needle Person","country":"US"}}`)
		n.quiet(t)
		o.post(t, "/api/marketing/sync-users", "application/json", `{"platform":"brevo","sync_type":"selected","user_ids":["`+needle+`"]}`)
		n.quiet(t)
		p.server.Break("brevo")
		o.post(t, "/v1/webhook-endpoints", "application/json", `{"url":"`+r.URL+`"}`)
		o.post(t, "/v1/user-sync", "application/json", `{"user":{"email":"eve@acme.example","country":"US"}}`)
		o.post(t, "/v1/directory/imports", "text/csv", "email,needle@acme.example,Needle Person\nzoe@acme.example,a,b\n")
		o.client.Do(t, apptest.Call{Method: http.MethodDelete, Path: "/v1/users/needle@acme.example", Header: o.header("application/json")})
		n.quiet(t)
		found := tablesWith(t, e, "needle")
		for _, table := range []string{"users", "requests", "steps", "source_answers", "colleagues", "messages", "imports", "bulk_errors"} {
			if found[table] == nil {
				t.Errorf("nobody was planted in %s", table)
			}
		}
		for _, address := range []string{"needle@acme.example", "needle@private.example"} {
			n.erased(t, n.erase(t, address))
		}
		n.quiet(t)
		wantNothingOf(t, e, "needle")
		// The service still knows them, and is asked again.
		n.finished(t, "eve@acme.example")
		n.quiet(t)
		wantNothingOf(t, e, "needle")
		if tablesWith(t, e, "ann@acme.example")["source_answers"] == nil {
			t.Error("the service was not asked again")
		}
	})
}

// askHunter has colleagues be looked for at Hunter, which knows a person at Acme with an
// address of another domain, and somebody else.
func (n customer) askHunter(t *testing.T, address, first, last string) {
	t.Helper()
	fake := huntertest.Start(t)
	fake.Add("acme.example", address, first, last, "Engineer", "2026-03-01")
	fake.Add("acme.example", "ann@acme.example", "Ann", "Example", "Engineer", "2026-03-01")
	_, err := tenant.Update(t.Context(), n.app.Store.Org(n.org.ID), "test", func(o *tenant.Organization) ([]string, error) {
		o.Settings.ColleagueSources = []tenant.ColleagueSource{
			{Name: tenant.SourceUsers},
			{Name: tenant.SourceHunter, APIKey: usersync.MaskedSecret{Secret: usersync.NewSecret(huntertest.Key)}, URL: fake.URL()},
		}
		return []string{"settings"}, nil
	})
	must(t, err)
}

// header has an Idempotency-Key that is an address.
func (o owner) header(mediaType string) http.Header {
	return http.Header{"X-Api-Key": {o.key}, "Content-Type": {mediaType}, "Idempotency-Key": {"needle@acme.example"}}
}

// post makes something and returns the id of the user that it is about, if there is one.
func (o owner) post(t *testing.T, path, mediaType, body string) (userID string) {
	t.Helper()
	c := apptest.Call{Method: http.MethodPost, Path: path, Header: o.header(mediaType), Body: []byte(body)}
	if path == "/v1/user-sync" { // a key is for one body
		c.Header.Set("Idempotency-Key", "needle+"+strconv.Itoa(len(body))+"@acme.example")
	}
	a := o.client.Do(t, c)
	var made struct{ UserID string }
	if a.Status >= http.StatusMultipleChoices || json.Unmarshal(a.Body, &made) != nil {
		t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
	return made.UserID
}

// wantNothingOf looks for a text in every column of every table, whatever its case, and
// on SQLite in the bytes of the files.
func wantNothingOf(t *testing.T, e *apptest.Environment, text string) {
	t.Helper()
	for table, rows := range tablesWith(t, e, text) {
		t.Errorf("%s holds %s", table, strings.Join(rows, "\n"))
	}
	if e.Engine == "deployed" {
		return
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		data, err := os.ReadFile(filepath.Join(e.Config.DataDir, "usersync.db"+end))
		must(t, err)
		data = bytes.ToLower(data)
		if at := bytes.Index(data, []byte(text)); at >= 0 {
			t.Errorf("the file usersync.db%s holds %d times, first at %d of %d: %q", end, bytes.Count(data, []byte(text)), at, len(data), data[max(at-60, 0):min(at+60, len(data))])
		}
	}
}

// tablesWith returns, by table, the rows that hold a text, whatever its case.
func tablesWith(t *testing.T, e *apptest.Environment, text string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	driver, dsn, tables := "sqlite", storetest.File(e.Config.DataDir, "?_pragma=busy_timeout(10000)"),
		"SELECT name FROM sqlite_master WHERE type = 'table'"
	if e.Engine == "deployed" {
		driver, dsn, tables = "pgx", e.Config.DatabaseURL.Reveal()+"&search_path="+e.Schema,
			"SELECT table_name FROM information_schema.tables WHERE table_schema = '"+e.Schema+"'"
	}
	db, err := sql.Open(driver, dsn)
	must(t, err)
	defer func() { _ = db.Close() }()
	names := column(t, db, tables)
	if len(names) < 15 {
		t.Fatalf("only the tables %v", names)
	}
	for _, name := range names {
		for _, row := range rowsOf(t, db, name) {
			if strings.Contains(strings.ToLower(row), text) {
				out[name] = append(out[name], row)
			}
		}
	}
	return out
}

func column(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s string
		must(t, rows.Scan(&s))
		out = append(out, s)
	}
	must(t, rows.Err())
	return out
}

func rowsOf(t *testing.T, db *sql.DB, table string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table) //nolint:gosec // a table of our own schema
	must(t, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		to := make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		must(t, rows.Scan(to...))
		var text strings.Builder
		for i, v := range values {
			fmt.Fprintf(&text, "%s=%s ", columns[i], v.String)
		}
		out = append(out, text.String())
	}
	must(t, rows.Err())
	return out
}
