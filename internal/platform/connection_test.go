package platform_test

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/audit"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

// woken returns the connections whose task is ready, and sends those tasks.
func woken(t *testing.T, n roomtest.Tenant) []string {
	t.Helper()
	ready, err := outbox.TakeReady(t.Context(), n.Store, "push", "", outbox.Shares{Slots: 1000, Key: 10}, 10)
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{}
	for _, e := range ready {
		keys = append(keys, e.FairnessKey)
		c, ok, err := outbox.Claim(t.Context(), n.Store, e.ID, e.Generation)
		if err != nil || !ok || e.Kind != "platform.push" || string(c.Args) != `{"connection":"`+e.FairnessKey+`"}` || c.Organization != n.Organization.ID {
			t.Fatalf("claim %+v of %+v: %v %v", c, e, ok, err)
		}
		if err := n.Tx(t.Context(), func(tx *store.Tx) error {
			return outbox.Rearm(t.Context(), tx, c, c.Args, outbox.In(24*time.Hour))
		}); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

// actions are what the audit log says of an object, oldest first.
func actions(t *testing.T, n roomtest.Tenant, object string) []string {
	t.Helper()
	list, err := audit.List(t.Context(), n.Store, n.Organization.ID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range slices.Backward(list) {
		if e.Object == object {
			out = append(out, e.Actor+" "+e.Action+" "+strings.Join(e.Fields, ","))
		}
	}
	return out
}

func TestConnectionIsMadeWithATaskThatSleepsUntilItIsWoken(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 0, func(t *testing.T, n roomtest.Tenant) {
		org, ctx := n.Org(n.Organization.ID), t.Context()
		c := n.Connect(t)
		if c.Status != platform.ConnectionActive || !strings.Contains(c.Credentials.Reveal(), roomtest.SecretKey) || string(c.Settings) != `{"list":"8d"}` {
			t.Errorf("made %+v", c)
		}
		if woken := woken(t, n); len(woken) != 0 {
			t.Errorf("%v runs and nobody woke it", woken)
		}
		state, err := outbox.Count(ctx, n.Store)
		if err != nil || state.Scheduled != 0 || state.Ready != 0 { // it sleeps for good, which is no delay
			t.Fatalf("outbox %+v %v", state, err)
		}
		rename := func(c *platform.Connection) ([]string, error) {
			c.Name = "Main"
			return []string{"name"}, nil
		}
		fresh := func(c *platform.Connection) ([]string, error) {
			c.Credentials = usersync.NewSecret(`{"apiKey":"other"}`)
			return []string{"credentials.apiKey"}, nil
		}
		nothing := func(*platform.Connection) ([]string, error) { return nil, nil }
		for _, step := range []struct {
			name  string
			do    func() (platform.Connection, error)
			wakes bool
			want  string
		}{
			{"rename", func() (platform.Connection, error) { return platform.UpdateConnection(ctx, org, "key_1", c.ID, rename) }, false, platform.ConnectionActive},
			{"pause", func() (platform.Connection, error) { return platform.PauseConnection(ctx, org, "key_1", c.ID) }, true, platform.ConnectionPaused},
			{"pause again", func() (platform.Connection, error) { return platform.PauseConnection(ctx, org, "key_1", c.ID) }, false, platform.ConnectionPaused},
			{"new credentials", func() (platform.Connection, error) { return platform.UpdateConnection(ctx, org, "key_1", c.ID, fresh) }, true, platform.ConnectionPaused},
			{"the same credentials", func() (platform.Connection, error) {
				return platform.UpdateConnection(ctx, org, "key_1", c.ID, nothing)
			}, false, platform.ConnectionPaused},
			{"resume", func() (platform.Connection, error) { return platform.ResumeConnection(ctx, org, "key_1", c.ID) }, true, platform.ConnectionActive},
			{"resume again", func() (platform.Connection, error) { return platform.ResumeConnection(ctx, org, "key_1", c.ID) }, false, platform.ConnectionActive},
			{"delete", func() (platform.Connection, error) {
				return platform.Connection{Status: "gone"}, platform.DeleteConnection(ctx, org, "key_1", c.ID)
			}, true, "gone"},
		} {
			got, err := step.do()
			if err != nil || got.Status != step.want {
				t.Fatalf("%s: %q %v", step.name, got.Status, err)
			}
			if woken := woken(t, n); (len(woken) == 1) != step.wakes {
				t.Errorf("%s woke %v", step.name, woken)
			}
		}
		want := []string{
			"key_1 connection.create platform,name,credentials,settings", "key_1 connection.update name", "key_1 connection.pause status",
			"key_1 connection.update credentials.apiKey", "key_1 connection.resume status", "key_1 connection.delete ",
		}
		if got := actions(t, n, c.ID); !slices.Equal(got, want) {
			t.Errorf("the audit log says %q", got)
		}
		if _, err := platform.GetConnection(ctx, org, c.ID); !errors.Is(err, platform.ErrNoConnection) {
			t.Errorf("a deleted connection: %v", err)
		}
		if list, err := platform.ListConnections(ctx, org, "", 10); err != nil || len(list) != 0 {
			t.Errorf("a deleted connection is listed: %v %v", list, err)
		}
	})
}

func TestConnectionOfAnotherOrganizationIsNotThere(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		n, other, ctx := roomtest.New(t, s, 0), roomtest.New(t, s, 0), t.Context()
		c := n.Connect(t)
		stranger := s.Org(other.Organization.ID)
		_, shown := platform.GetConnection(ctx, stranger, c.ID)
		_, paused := platform.PauseConnection(ctx, stranger, "key_2", c.ID)
		_, resumed := platform.ResumeConnection(ctx, stranger, "key_2", c.ID)
		_, changed := platform.UpdateConnection(ctx, stranger, "key_2", c.ID, func(c *platform.Connection) ([]string, error) {
			c.Name = "stolen"
			return []string{"name"}, nil
		})
		for _, err := range []error{shown, paused, resumed, changed, platform.DeleteConnection(ctx, stranger, "key_2", c.ID)} {
			if !errors.Is(err, platform.ErrNoConnection) {
				t.Errorf("got %v", err)
			}
		}
		locked := s.Tx(ctx, func(tx *store.Tx) error {
			_, err := platform.LockConnection(ctx, tx, other.Organization.ID, c.ID)
			return err
		})
		if !errors.Is(locked, platform.ErrNoConnection) {
			t.Errorf("locked: %v", locked)
		}
		if list, err := platform.ListConnections(ctx, stranger, "", 10); err != nil || len(list) != 0 {
			t.Errorf("listed %v %v", list, err)
		}
		if got, err := platform.GetConnection(ctx, s.Org(n.Organization.ID), c.ID); err != nil || got.Name != "Newsletter" || got.Status != platform.ConnectionActive {
			t.Errorf("it is %+v %v", got, err)
		}
		if woken := woken(t, n); len(woken) != 0 {
			t.Errorf("a stranger woke %v", woken)
		}
	})
}

func TestOnlyTheRefusedCredentialsAreDisconnected(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 0, func(t *testing.T, n roomtest.Tenant) {
		org, ctx := n.Org(n.Organization.ID), t.Context()
		c := n.Connect(t)
		disconnect := func(c platform.Connection) (done bool) {
			err := n.Tx(ctx, func(tx *store.Tx) error {
				_, err := platform.LockConnection(ctx, tx, n.Organization.ID, c.ID)
				if err == nil {
					done, err = platform.Disconnect(ctx, tx, c, "API Key Invalid")
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		read := func() platform.Connection {
			t.Helper()
			got, err := platform.GetConnection(ctx, org, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		_, err := platform.UpdateConnection(ctx, org, "key_1", c.ID, func(c *platform.Connection) ([]string, error) {
			c.Credentials = usersync.NewSecret(`{"apiKey":"newer"}`)
			return []string{"credentials.apiKey"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if disconnect(c) || read().Status != platform.ConnectionActive {
			t.Error("a refusal of the old credentials counts against the new")
		}
		if !disconnect(read()) {
			t.Error("the refused credentials are still used")
		}
		if got := read(); got.Status != platform.ConnectionDisconnected || got.Reason != "API Key Invalid" {
			t.Errorf("it is %s for %q", got.Status, got.Reason)
		}
		if disconnect(read()) {
			t.Error("it was disconnected twice, and its owner told twice")
		}
		if _, err := platform.PauseConnection(ctx, org, "key_1", c.ID); err != nil {
			t.Fatal(err)
		}
		if got := read(); got.Status != platform.ConnectionPaused || got.Reason != "" {
			t.Errorf("paused it is %s for %q", got.Status, got.Reason)
		}
		if disconnect(read()) {
			t.Error("what its owner paused was disconnected")
		}
		want := "push connection.disconnect status,reason"
		if got := actions(t, n, c.ID); !slices.Contains(got, want) {
			t.Errorf("the audit log says %q", got)
		}
	})
}

func TestResumedConnectionPushesWhatWasNotPushed(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		c := n.Connect(t)
		for user, pushed := range map[string]string{"user_a": "7", "user_b": "8"} {
			_, err := db.ExecContext(t.Context(), `INSERT INTO pushes (connection_id, user_id, organization_id, wanted_version, pushed_version)
					VALUES ('`+c.ID+`', '`+user+`', '`+n.Organization.ID+`', 8, `+pushed+`)`)
			if err != nil {
				t.Fatal(err)
			}
		}
		org := n.Org(n.Organization.ID)
		_, paused := platform.PauseConnection(t.Context(), org, "key_1", c.ID)
		_, resumed := platform.ResumeConnection(t.Context(), org, "key_1", c.ID)
		if err := errors.Join(paused, resumed); err != nil {
			t.Fatal(err)
		}
		var user string
		if err := db.QueryRowContext(t.Context(), `SELECT user_id FROM pushes WHERE due_at > 0`).Scan(&user); err != nil || user != "user_a" {
			t.Errorf("due is %q, %v", user, err)
		}
	})
}

func TestCredentialsAreUnreadableInTheDatabaseAndGoneWhenDeleted(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		c := n.Connect(t)
		for where, text := range roomtest.Texts(t, db) {
			if strings.Contains(text, roomtest.SecretKey) {
				t.Errorf("%s holds the key in clear", where)
			}
		}
		if err := platform.DeleteConnection(t.Context(), n.Org(n.Organization.ID), "key_1", c.ID); err != nil {
			t.Fatal(err)
		}
		for where, text := range roomtest.Texts(t, db) {
			if strings.HasPrefix(where, "connections.credentials") && text != "" {
				t.Errorf("%s is still there", where)
			}
		}
	})
}
