package pusher_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/outbound"
	"usersync/internal/platform"
	"usersync/internal/pusher"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// served is a platform behind a real server: a push is one call that names its people.
type served struct {
	*model
	client *connector.Client
	url    string
}

func (s served) call(ctx context.Context, path string, body any) error {
	_, err := s.client.JSON(ctx, http.MethodPost, s.url+path, nil, body)
	return err
}

func (s served) Check(ctx context.Context) (connector.Facts, error) {
	return connector.Facts{}, s.call(ctx, "/check", nil)
}

func (s served) Push(ctx context.Context, people []connector.Profile) ([]connector.Result, error) {
	var names []string
	for _, p := range people {
		names = append(names, p.Email.Display())
	}
	if err := s.call(ctx, "/push", names); err != nil {
		return nil, err
	}
	results := make([]connector.Result, len(people))
	for i := range results {
		results[i] = connector.Result{Status: connector.Synced, Details: "User synced"}
	}
	return results, nil
}

// serve has the pusher of an order speak to a server.
func (o *order) serve(answer http.HandlerFunc) (calls *atomic.Int64) {
	o.t.Helper()
	calls = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		answer(w, r)
	}))
	o.t.Cleanup(server.Close)
	redis, err := embedded.Start()
	must(o.t, err)
	o.t.Cleanup(redis.Close)
	client, err := queue.Connect(queue.Options{URL: redis.URL(), Log: slog.New(slog.DiscardHandler)})
	must(o.t, err)
	o.t.Cleanup(func() { _ = client.Close() })
	http := &outbound.Client{Guard: &outbound.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	o.t.Cleanup(http.Close)
	type none struct{}
	type settings struct {
		List string `json:"list,omitempty" role:"list" help:"The list."`
	}
	kind := connector.Define(connector.Platform{Name: "model", Batch: 64}, func(_ none, s settings, _ connector.Facts, c *connector.Client) (connector.Connector, error) {
		path := server.URL
		if s.List != "" {
			path += "/" + s.List
		}
		return served{o.model, c, path}, nil
	})
	pushes := &pusher.Pusher{Store: o.store, Queue: client, Log: slog.New(slog.DiscardHandler),
		FindPlatform: func(string) (connector.Platform, bool) { return kind, true }, Hub: &connector.Hub{HTTP: http}}
	o.pusher = pushes.Handler()
	return calls
}

// An answer that no person can cause pauses the connection with that reason, and the users
// wait: nobody is failed, and hundreds of people do not take hundreds of calls.
func TestWhatEverybodyIsRefusedForIsNotThePersonsFault(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"another region": http.StatusMovedPermanently, "a version that is gone": http.StatusGone,
		"a method": http.StatusMethodNotAllowed, "a size": http.StatusRequestEntityTooLarge} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachOrder(t, func(t *testing.T, o *order) {
				calls := o.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
				o.change(50)
				must(t, o.pusher.Work(t.Context(), o.take()))
				c := o.connection()
				if c.Status != platform.ConnectionDisconnected || !strings.Contains(c.Reason, "refuses every call") {
					t.Errorf("the connection is %s: %q", c.Status, c.Reason)
				}
				if n := calls.Load(); n > 3 {
					t.Errorf("%d calls for 50 people", n)
				}
				o.serve(func(http.ResponseWriter, *http.Request) {})
				o.resume()
				o.drain()
				if due := o.pushed(); due != 50 {
					t.Errorf("%d of 50 users were pushed once it was repaired", due)
				}
			})
		})
	}
}

// pushed counts users whose newest state the platform has.
func (o *order) pushed() (n int) {
	o.t.Helper()
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) error {
		return tx.GORM().Raw(`SELECT count(*) FROM pushes WHERE connection_id = ? AND pushed_version = wanted_version AND pushed_hash <> ''`, o.conn).Scan(&n).Error
	}))
	return n
}

// One person may cause such an answer, by an address that the platform reads as another
// path. Then the others arrive.
func TestOnePersonWhoCausesSuchAnAnswerFailsAlone(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		o.serve(func(w http.ResponseWriter, r *http.Request) {
			var names []string
			_ = json.NewDecoder(r.Body).Decode(&names) // a check has no body
			if strings.Contains(strings.Join(names, " ")+" ", "u7@") {
				w.WriteHeader(http.StatusMovedPermanently)
			}
		})
		o.change(len(o.users))
		for range 6 {
			if c, ok := o.claim(); ok {
				must(t, o.pusher.Work(t.Context(), c))
			}
		}
		if c := o.connection(); c.Status != platform.ConnectionActive {
			t.Errorf("the connection is %s: %s", c.Status, c.Reason)
		}
		if n := o.pushed(); n != len(o.users)-1 {
			t.Errorf("%d of %d arrived", n, len(o.users))
		}
	})
}

// A list that only one request names must not cost the organization its connection.
func TestOneBadArgumentNeverDisconnects(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		status string
	}{
		"the list is wrong": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/mistyped") {
				w.WriteHeader(http.StatusForbidden)
			}
		}, platform.ConnectionActive},
		"the credentials are wrong": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, platform.ConnectionDisconnected},
		"nobody can tell": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/mistyped") {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		}, platform.ConnectionActive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachOrder(t, func(t *testing.T, o *order) {
				o.serve(c.answer)
				o.wantOnce(usersync.PlatformSync{List: "mistyped"})
				must(t, o.pusher.Work(t.Context(), o.take()))
				if got := o.connection(); got.Status != c.status {
					t.Errorf("the connection is %s: %s", got.Status, got.Reason)
				}
			})
		})
	}
}

// wantOnce has one user pushed with what a request overrides.
func (o *order) wantOnce(in usersync.PlatformSync) {
	o.t.Helper()
	input, err := json.Marshal(in)
	must(o.t, err)
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) error {
		var id string
		if err := tx.GORM().Raw(`SELECT id FROM requests WHERE organization_id = ? ORDER BY id LIMIT 1`, o.org.ID()).Scan(&id).Error; err != nil {
			return err
		}
		if err := tx.GORM().Exec(`UPDATE requests SET input = ? WHERE id = ?`, string(input), id).Error; err != nil {
			return err
		}
		return platform.WantPushes(o.t.Context(), tx, o.org.ID(), []platform.Want{{ConnectionID: o.conn, UserID: o.users[0], RequestID: id,
			Position: 1, Mode: usersync.PushOnce, Version: 1, Rank: platform.RankOrdinary}})
	}))
}
