package tenant_test

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// A key that ends later overlaps with its successor; a second end may bring the
// first forward, and never puts it off.
func TestTheEndOfAKeyIsBroughtForwardAndNeverPutOff(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 0, func(t *testing.T, n roomtest.Tenant) {
		org := n.Org(n.Organization.ID)
		now := time.Now()
		for _, step := range []struct{ when, want time.Duration }{{2 * time.Hour, 2 * time.Hour}, {time.Hour, time.Hour}, {3 * time.Hour, time.Hour}} {
			k, err := tenant.RevokeKey(t.Context(), org, "test", n.Key.ID, now.Add(step.when))
			if err != nil {
				t.Fatal(err)
			}
			if !k.ValidAt(now.Add(step.want-time.Second)) || k.ValidAt(now.Add(step.want)) {
				t.Errorf("revoked in %v, the key ends at %v, want in %v", step.when, k.RevokedAt, step.want)
			}
		}
		kept, err := tenant.GetKey(t.Context(), org, n.Key.ID)
		if err != nil || kept.ValidAt(now.Add(time.Hour)) {
			t.Errorf("%+v %v", kept, err)
		}
	})
}

func TestAKeyIsKnownToItsOrganizationOnly(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		n, other := roomtest.New(t, s, 0), roomtest.New(t, s, 0)
		stranger := s.Org(other.Organization.ID)
		if _, err := tenant.GetKey(t.Context(), stranger, n.Key.ID); !errors.Is(err, tenant.ErrNoKey) {
			t.Errorf("another organization reads the key: %v", err)
		}
		if _, err := tenant.RevokeKey(t.Context(), stranger, "test", n.Key.ID, time.Now()); !errors.Is(err, tenant.ErrNoKey) {
			t.Errorf("another organization revokes the key: %v", err)
		}
		list, err := tenant.ListKeys(t.Context(), stranger, "", 10)
		if err != nil || len(list) != 1 || list[0].ID != other.Key.ID {
			t.Errorf("%+v %v", list, err)
		}
	})
}

// The key itself is stored nowhere: its hash finds the caller.
func TestACallerIsFoundByTheHashOfTheKeyAlone(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		k, secret, err := tenant.CreateKey(t.Context(), s, "test", n.Organization.ID, tenant.Key{Name: "reader", Scopes: []tenant.Scope{tenant.ScopeRead}})
		if err != nil {
			t.Fatal(err)
		}
		_, unlinked, err := tenant.CreateKey(t.Context(), s, "test", "", tenant.Key{Name: "unlinked"})
		if err != nil {
			t.Fatal(err)
		}
		for column, text := range roomtest.Texts(t, db) {
			if text == secret.Reveal() {
				t.Errorf("the key stands in %s", column)
			}
		}
		c, ok, err := tenant.FindCaller(t.Context(), s, tenant.HashKey(secret))
		if err != nil || !ok || c.Key.ID != k.ID || c.Organization.ID != n.Organization.ID || c.Org.ID() != n.Organization.ID ||
			!c.Key.Allows(tenant.ScopeRead) || c.Key.Allows(tenant.ScopeManage) {
			t.Errorf("%+v %v %v", c, ok, err)
		}
		if c, ok, err = tenant.FindCaller(t.Context(), s, tenant.HashKey(unlinked)); err != nil || !ok || c.Organization.ID != "" || !c.Key.Allows(tenant.ScopeManage) {
			t.Errorf("a key that is not linked is %+v %v %v", c, ok, err)
		}
		if _, ok, err = tenant.FindCaller(t.Context(), s, tenant.HashKey(usersync.NewSecret("usk_unknown"))); ok || err != nil {
			t.Errorf("an unknown key is %v %v", ok, err)
		}
	})
}

// Whoever has revoked a key can rely on it: what the key was writing is written by then.
func TestARevocationWaitsForWhatItsKeyIsWriting(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		guarded := s.Org(n.Organization.ID).Guarded(func(ctx context.Context, tx *store.Tx) error {
			return tenant.HoldKey(ctx, tx, n.Key.ID, tenant.ScopeManage)
		})
		var written atomic.Bool
		done := make(chan error, 1)
		err := guarded.Tx(t.Context(), func(*store.Tx) error {
			go func() {
				_, err := tenant.RevokeKey(t.Context(), s.Org(n.Organization.ID), "test", n.Key.ID, time.Now())
				if !written.Load() {
					err = errors.Join(err, errors.New("the revocation was done before the transaction"))
				}
				done <- err
			}()
			if s.Engine == store.Postgres {
				roomtest.Eventually(t, "the revocation waits", func() bool {
					var waiting int
					err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&waiting)
					return err != nil || waiting > 0
				})
			}
			written.Store(true) // the commit follows, and the revocation waits for it
			return nil
		})
		if err := errors.Join(err, <-done); err != nil {
			t.Error(err)
		}
		if err := guarded.Tx(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, tenant.ErrInvalidKey) {
			t.Errorf("a transaction after the revocation: %v", err)
		}
	})
}
