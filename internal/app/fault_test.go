package app_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/delivery"
	"usersync/internal/outbox"
	"usersync/internal/request"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// send hands in n users of one company each and returns their request ids.
func (n customer) send(t *testing.T, count int) []string {
	t.Helper()
	ids := make([]string, count)
	for i := range ids {
		id, err := n.submit(t.Context(), fmt.Sprintf("user%d@company%d.example.com", i, i))
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
	}
	return ids
}

func (n customer) statuses(t *testing.T, ids []string) map[request.Status]int {
	t.Helper()
	reports, err := request.List(t.Context(), n.app.Store.Org(n.org.ID), ids)
	if err != nil {
		t.Fatal(err)
	}
	by := map[request.Status]int{}
	for _, r := range reports {
		by[r.Status]++
	}
	return by
}

func (n customer) succeed(t *testing.T, ids []string) {
	t.Helper()
	apptest.Eventually(t, fmt.Sprintf("%d requests succeeded", len(ids)), func() bool {
		return n.statuses(t, ids)[request.Succeeded] == len(ids)
	})
}

// wipe deletes everything that the environment has in Redis, as FLUSHALL would on a
// server of its own.
func wipe(t *testing.T, e *apptest.Environment) {
	t.Helper()
	option, err := redis.ParseURL(e.Config.RedisURL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(option)
	defer func() { _ = client.Close() }()
	iter := client.Scan(t.Context(), 0, "*"+e.Namespace+"*", 1000).Iterator()
	for iter.Next(t.Context()) {
		if err := client.Del(t.Context(), iter.Val()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := iter.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestWipedRedisLosesNothing(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "deployed")
	a := e.Start(t, app.API)
	n := newTenant(t, a, 100)
	ids := n.send(t, 30)
	apptest.Eventually(t, "tasks are on the queue", func() bool {
		state, err := outbox.Count(t.Context(), a.Store)
		return err == nil && state.Sent > 0
	})
	wipe(t, e)
	e.Start(t, app.Worker)
	n.succeed(t, ids)
}

func TestAcceptsWhileRedisIsAwayAndWorksWhenItIsBack(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "deployed")
	u, err := url.Parse(e.Config.RedisURL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	proxy := apptest.NewProxy(t, u.Host)
	u.Host = proxy.Addr()
	e.Config.RedisURL = usersync.NewSecret(u.String())
	a := e.Start(t, app.All)
	n := newTenant(t, a, 100)
	n.succeed(t, n.send(t, 5))
	proxy.Cut()
	ids := n.send(t, 20)
	proxy.Resume(t)
	n.succeed(t, ids)
}

func TestEmbeddedRestartTakesUpWhatWasAccepted(t *testing.T) {
	t.Parallel()
	e := apptest.New(t, "embedded")
	first := e.Start(t, app.API) // accepts, works nothing
	n := newTenant(t, first, 100)
	ids := n.send(t, 20)
	first.Stop(t)
	n.app = e.Start(t, app.All)
	n.succeed(t, ids)
}

// admin runs a statement beside the program.
func admin(t *testing.T, e *apptest.Environment, statement string) {
	t.Helper()
	if _, err := database(t, e).ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// database opens the environment's database beside the program.
func database(t *testing.T, e *apptest.Environment) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", storetest.File(e.Config.DataDir, "?_pragma=busy_timeout(10000)")
	if e.Engine == "deployed" {
		driver, dsn = "pgx", e.Config.DatabaseURL.Reveal()+"&search_path="+e.Schema
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// poison makes the outcome of one request impossible to write.
func poison(t *testing.T, e *apptest.Environment, id string) (cure func()) {
	t.Helper()
	if e.Engine == "embedded" {
		admin(t, e, `CREATE TRIGGER poison BEFORE INSERT ON steps WHEN NEW.request_id = '`+id+`' BEGIN SELECT RAISE(ABORT, 'poison'); END`)
		return func() { admin(t, e, `DROP TRIGGER poison`) }
	}
	admin(t, e, `ALTER TABLE steps ADD CONSTRAINT poison CHECK (request_id <> '`+id+`') NOT VALID`)
	return func() { admin(t, e, `ALTER TABLE steps DROP CONSTRAINT poison`) }
}

func TestPoisonedRequestDoesNotStopItsBatch(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.API)
		n := newTenant(t, a, 100)
		ids := n.send(t, 10)
		cure := poison(t, e, ids[4])
		if e.Engine == "embedded" {
			a.Stop(t)
			n.app = e.Start(t, app.All)
		} else {
			e.Start(t, app.Worker)
		}
		n.succeed(t, slices.Concat(ids[:4], ids[5:]))
		if got := n.report(t, ids[4]).Status; got.Final() {
			t.Errorf("the poisoned request is %s", got)
		}
		cure()
		n.succeed(t, ids)
	})
}

func TestFailedDeliveryIsTriedAgainWithTheSameIDAndBytes(t *testing.T) {
	t.Parallel()
	each(t, 100, func(t *testing.T, n customer) {
		r := apptest.NewReceiver(t)
		r.Answer(func(w http.ResponseWriter, call int) {
			switch call {
			case 1:
				w.Header().Set("Location", "https://example.com/")
				w.WriteHeader(http.StatusFound) // a redirect is a failure
			default:
				w.WriteHeader(http.StatusOK)
			}
		})
		n.endpoint(t, r)
		id := n.send(t, 1)[0]
		apptest.Eventually(t, "delivered at the second attempt", func() bool {
			w := n.report(t, id).Webhooks
			return len(w) == 1 && w[0].Status == delivery.Delivered && w[0].Attempts == 2
		})
		got := r.Got()
		if len(got) != 2 || got[0].ID != got[1].ID || string(got[0].Body) != string(got[1].Body) {
			t.Errorf("%d calls, not all alike", len(got))
		}
	})
}

func TestGoneEndpointIsDisabled(t *testing.T) {
	t.Parallel()
	each(t, 100, func(t *testing.T, n customer) {
		r := apptest.NewReceiver(t)
		r.Answer(func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusGone) })
		n.endpoint(t, r)
		n.send(t, 1)
		apptest.Eventually(t, "disabled", func() bool {
			list, err := delivery.ListEndpoints(t.Context(), n.app.Store.Org(n.org.ID), "", 10)
			return err == nil && list[0].Status == delivery.EndpointDisabled
		})
	})
}

func TestSlowEndpointDelaysNoOther(t *testing.T) {
	t.Parallel()
	each(t, 1000, func(t *testing.T, n customer) {
		slow, quick := apptest.NewReceiver(t), apptest.NewReceiver(t)
		release := make(chan struct{})
		slow.Answer(func(http.ResponseWriter, int) { <-release })
		n.endpoint(t, slow)
		n.endpoint(t, quick)
		const count = 60
		n.send(t, count)
		apptest.Eventually(t, "the quick endpoint got everything while the slow one hangs", func() bool { return len(quick.Got()) == count })
		close(release)
	})
}

func TestShutdownBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		e.Config.ShutdownTimeout = 2 * time.Second
		a := e.Start(t, app.All)
		n := newTenant(t, a, 100)
		r := apptest.NewReceiver(t)
		hang, cancel := context.WithCancel(context.Background())
		r.Answer(func(w http.ResponseWriter, call int) {
			if call == 1 {
				<-hang.Done()
			}
			w.WriteHeader(http.StatusOK)
		})
		n.endpoint(t, r)
		id := n.send(t, 1)[0]
		apptest.Eventually(t, "the delivery is under way", func() bool { return len(r.Got()) == 1 })
		a.Stop(t)
		cancel()
		n.app = e.Start(t, app.All)
		apptest.Eventually(t, "delivered", func() bool {
			w := n.report(t, id).Webhooks
			return len(w) == 1 && w[0].Status == delivery.Delivered
		})
		if got := n.report(t, id).Webhooks[0].Attempts; got != 1 {
			t.Errorf("%d attempts counted, want 1: the one that the shutdown cut short is none", got)
		}
	})
}

func TestDeliveryToRefusedAddressNeverLeaves(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		e.Config.EgressAllow = nil
		a := e.Start(t, app.All)
		n := newTenant(t, a, 100)
		r := apptest.NewReceiver(t)
		n.endpoint(t, r)
		id := n.send(t, 1)[0]
		apptest.Eventually(t, "refused", func() bool {
			w := n.report(t, id).Webhooks
			return len(w) == 1 && w[0].Attempts == 1 && w[0].Status != delivery.Delivered
		})
		if len(r.Got()) != 0 || strings.Contains(fmt.Sprint(n.report(t, id)), "127.0.0.1") {
			t.Error("the call went out, or the address is shown")
		}
	})
}
