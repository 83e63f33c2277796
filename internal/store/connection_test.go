package store_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/usersync"
)

const secretKey = "mc-0123456789abcdef-us21"

func (n tenant) connect(t *testing.T) usersync.Connection {
	t.Helper()
	c, err := n.Org(n.org.ID).CreateConnection(t.Context(), "key_1", usersync.Connection{
		Platform: "mailchimp", Name: "Newsletter", Settings: json.RawMessage(`{"list":"8d"}`),
		Credentials: usersync.NewSecret(`{"apiKey":"` + secretKey + `"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// woken returns the connections whose task is ready, and sends those tasks.
func (n tenant) woken(t *testing.T) []string {
	t.Helper()
	ready, err := n.TakeReady(t.Context(), "push", "", 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	lanes := []string{}
	for _, e := range ready {
		lanes = append(lanes, e.Lane)
		c, ok, err := n.Claim(t.Context(), e.ID, e.Generation)
		if err != nil || !ok || e.Kind != "platform.push" || string(c.Args) != `{"connection":"`+e.Lane+`"}` || c.Organization != n.org.ID {
			t.Fatalf("claim %+v of %+v: %v %v", c, e, ok, err)
		}
		if err := n.Tx(t.Context(), func(tx *store.Tx) error { return tx.Rearm(t.Context(), c, c.Args, time.Now().AddDate(100, 0, 0)) }); err != nil {
			t.Fatal(err)
		}
	}
	return lanes
}

// actions are what the audit log says of an object, oldest first.
func (n tenant) actions(t *testing.T, object string) []string {
	t.Helper()
	list, err := n.Audit(t.Context(), n.org.ID, "", 100)
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
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 0)
		org, ctx := n.Org(n.org.ID), t.Context()
		c := n.connect(t)
		if c.Status != usersync.ConnectionActive || !strings.Contains(c.Credentials.Reveal(), secretKey) || string(c.Settings) != `{"list":"8d"}` {
			t.Errorf("made %+v", c)
		}
		if woken := n.woken(t); len(woken) != 0 {
			t.Errorf("%v runs and nobody woke it", woken)
		}
		state, err := n.OutboxState(ctx)
		if err != nil || state.Scheduled != 0 || state.Ready != 0 { // it sleeps for good, which is no delay
			t.Fatalf("outbox %+v %v", state, err)
		}
		rename := func(c *usersync.Connection) ([]string, error) {
			c.Name = "Main"
			return []string{"name"}, nil
		}
		fresh := func(c *usersync.Connection) ([]string, error) {
			c.Credentials = usersync.NewSecret(`{"apiKey":"other"}`)
			return []string{"credentials.apiKey"}, nil
		}
		nothing := func(*usersync.Connection) ([]string, error) { return nil, nil }
		for _, step := range []struct {
			name  string
			do    func() (usersync.Connection, error)
			wakes bool
			want  string
		}{
			{"rename", func() (usersync.Connection, error) { return org.UpdateConnection(ctx, "key_1", c.ID, rename) }, false, usersync.ConnectionActive},
			{"pause", func() (usersync.Connection, error) { return org.PauseConnection(ctx, "key_1", c.ID) }, true, usersync.ConnectionPaused},
			{"pause again", func() (usersync.Connection, error) { return org.PauseConnection(ctx, "key_1", c.ID) }, false, usersync.ConnectionPaused},
			{"new credentials", func() (usersync.Connection, error) { return org.UpdateConnection(ctx, "key_1", c.ID, fresh) }, true, usersync.ConnectionPaused},
			{"the same credentials", func() (usersync.Connection, error) { return org.UpdateConnection(ctx, "key_1", c.ID, nothing) }, false, usersync.ConnectionPaused},
			{"resume", func() (usersync.Connection, error) { return org.ResumeConnection(ctx, "key_1", c.ID) }, true, usersync.ConnectionActive},
			{"resume again", func() (usersync.Connection, error) { return org.ResumeConnection(ctx, "key_1", c.ID) }, false, usersync.ConnectionActive},
			{"delete", func() (usersync.Connection, error) {
				return usersync.Connection{Status: "gone"}, org.DeleteConnection(ctx, "key_1", c.ID)
			}, true, "gone"},
		} {
			got, err := step.do()
			if err != nil || got.Status != step.want {
				t.Fatalf("%s: %q %v", step.name, got.Status, err)
			}
			if woken := n.woken(t); (len(woken) == 1) != step.wakes {
				t.Errorf("%s woke %v", step.name, woken)
			}
		}
		want := []string{
			"key_1 connection.create platform,name,credentials,settings", "key_1 connection.update name", "key_1 connection.pause status",
			"key_1 connection.update credentials.apiKey", "key_1 connection.resume status", "key_1 connection.delete ",
		}
		if got := n.actions(t, c.ID); !slices.Equal(got, want) {
			t.Errorf("the audit log says %q", got)
		}
		if _, err := org.Connection(ctx, c.ID); !errors.Is(err, store.ErrNoConnection) {
			t.Errorf("a deleted connection: %v", err)
		}
		if list, err := org.Connections(ctx, "", 10); err != nil || len(list) != 0 {
			t.Errorf("a deleted connection is listed: %v %v", list, err)
		}
	})
}

func TestConnectionOfAnotherOrganizationIsNotThere(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		n, other, ctx := newTenant(t, s, 0), newTenant(t, s, 0), t.Context()
		c := n.connect(t)
		stranger := s.Org(other.org.ID)
		_, shown := stranger.Connection(ctx, c.ID)
		_, paused := stranger.PauseConnection(ctx, "key_2", c.ID)
		_, resumed := stranger.ResumeConnection(ctx, "key_2", c.ID)
		_, changed := stranger.UpdateConnection(ctx, "key_2", c.ID, func(c *usersync.Connection) ([]string, error) {
			c.Name = "stolen"
			return []string{"name"}, nil
		})
		for _, err := range []error{shown, paused, resumed, changed, stranger.DeleteConnection(ctx, "key_2", c.ID)} {
			if !errors.Is(err, store.ErrNoConnection) {
				t.Errorf("got %v", err)
			}
		}
		locked := s.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.LockConnection(ctx, other.org.ID, c.ID)
			return err
		})
		if !errors.Is(locked, store.ErrNoConnection) {
			t.Errorf("locked: %v", locked)
		}
		if list, err := stranger.Connections(ctx, "", 10); err != nil || len(list) != 0 {
			t.Errorf("listed %v %v", list, err)
		}
		if got, err := s.Org(n.org.ID).Connection(ctx, c.ID); err != nil || got.Name != "Newsletter" || got.Status != usersync.ConnectionActive {
			t.Errorf("it is %+v %v", got, err)
		}
		if woken := n.woken(t); len(woken) != 0 {
			t.Errorf("a stranger woke %v", woken)
		}
	})
}

func TestOnlyTheRefusedCredentialsAreDisconnected(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		n := newTenant(t, open(), 0)
		org, ctx := n.Org(n.org.ID), t.Context()
		c := n.connect(t)
		disconnect := func(c usersync.Connection) (done bool) {
			err := n.Tx(ctx, func(tx *store.Tx) error {
				_, err := tx.LockConnection(ctx, n.org.ID, c.ID)
				if err == nil {
					done, err = tx.Disconnect(ctx, c, "API Key Invalid")
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		read := func() usersync.Connection {
			t.Helper()
			got, err := org.Connection(ctx, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		_, err := org.UpdateConnection(ctx, "key_1", c.ID, func(c *usersync.Connection) ([]string, error) {
			c.Credentials = usersync.NewSecret(`{"apiKey":"newer"}`)
			return []string{"credentials.apiKey"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if disconnect(c) || read().Status != usersync.ConnectionActive {
			t.Error("a refusal of the old credentials counts against the new")
		}
		if !disconnect(read()) {
			t.Error("the refused credentials are still used")
		}
		if got := read(); got.Status != usersync.ConnectionDisconnected || got.Reason != "API Key Invalid" {
			t.Errorf("it is %s for %q", got.Status, got.Reason)
		}
		if disconnect(read()) {
			t.Error("it was disconnected twice, and its owner told twice")
		}
		if _, err := org.PauseConnection(ctx, "key_1", c.ID); err != nil {
			t.Fatal(err)
		}
		if got := read(); got.Status != usersync.ConnectionPaused || got.Reason != "" {
			t.Errorf("paused it is %s for %q", got.Status, got.Reason)
		}
		if disconnect(read()) {
			t.Error("what its owner paused was disconnected")
		}
		want := "push connection.disconnect status,reason"
		if got := n.actions(t, c.ID); !slices.Contains(got, want) {
			t.Errorf("the audit log says %q", got)
		}
	})
}

func TestResumedConnectionPushesWhatWasNotPushed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := newTenant(t, s, 0)
		c := n.connect(t)
		for user, pushed := range map[string]string{"user_a": "7", "user_b": "8"} {
			_, err := db.ExecContext(t.Context(), `INSERT INTO pushes (connection_id, user_id, organization_id, wanted_version, pushed_version)
					VALUES ('`+c.ID+`', '`+user+`', '`+n.org.ID+`', 8, `+pushed+`)`)
			if err != nil {
				t.Fatal(err)
			}
		}
		org := n.Org(n.org.ID)
		_, paused := org.PauseConnection(t.Context(), "key_1", c.ID)
		_, resumed := org.ResumeConnection(t.Context(), "key_1", c.ID)
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
	onBoth(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := newTenant(t, s, 0)
		c := n.connect(t)
		for where, text := range texts(t, db) {
			if strings.Contains(text, secretKey) {
				t.Errorf("%s holds the key in clear", where)
			}
		}
		if err := n.Org(n.org.ID).DeleteConnection(t.Context(), "key_1", c.ID); err != nil {
			t.Fatal(err)
		}
		for where, text := range texts(t, db) {
			if strings.HasPrefix(where, "connections.credentials") && text != "" {
				t.Errorf("%s is still there", where)
			}
		}
	})
}
