package user_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"usersync/internal/intake"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// Two workers that merge what they read at the same time do not overwrite each other.
func TestAUserIsSavedOnlyAsItWasRead(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 5, func(t *testing.T, n roomtest.Tenant) {
		org := n.Org(n.Organization.ID)
		a := n.Acceptance("ann@acme.example")
		n.Accept(t, n.Submission(a))
		read, err := user.Get(t.Context(), org, a.UserID)
		if err != nil {
			t.Fatal(err)
		}
		save := func(name string) error {
			u := user.Update{Identity: user.Identity{Key: "ann@acme.example", Company: "acme.example"}}
			u.ID, u.Version, u.Name = read.ID, read.Version, name
			return n.Tx(t.Context(), func(tx *store.Tx) error { return user.Save(t.Context(), tx, []user.Update{u}) })
		}
		if err := save("first"); err != nil {
			t.Fatal(err)
		}
		if err := save("second"); !errors.Is(err, store.ErrStale) {
			t.Errorf("a version that is no longer there is saved: %v", err)
		}
		now, err := user.Get(t.Context(), org, a.UserID)
		if err != nil || now.Name != "first" || now.Version != read.Version+1 || now.Company != "acme.example" {
			t.Errorf("%+v %v", now, err)
		}
	})
}

func TestAUserIsKnownToItsOrganizationOnly(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, _ *sql.DB) {
		n, other := roomtest.New(t, s, 5), roomtest.New(t, s, 5)
		a := n.Acceptance("ann@acme.example")
		n.Accept(t, n.Submission(a))
		stranger := s.Org(other.Organization.ID)
		if _, err := user.Get(t.Context(), stranger, a.UserID); !errors.Is(err, user.ErrNotFound) {
			t.Errorf("another organization reads the user: %v", err)
		}
		known, err := user.ByID(t.Context(), stranger, []string{a.UserID})
		if err != nil || len(known) != 0 {
			t.Errorf("another organization reads %+v %v", known, err)
		}
		list, err := user.ByEmail(t.Context(), stranger, usersync.NewEmail("ann@acme.example", "ann@acme.example"))
		if err != nil || len(list) != 0 {
			t.Errorf("another organization finds %+v %v", list, err)
		}
		if known, err = user.ByID(t.Context(), n.Org(n.Organization.ID), []string{a.UserID, "user_unknown"}); err != nil || len(known) != 1 || known[a.UserID].ID != a.UserID {
			t.Errorf("%+v %v", known, err)
		}
	})
}

func TestUsersThatWereUpdatedSinceAreCountedAndShown(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := roomtest.New(t, s, 5), roomtest.New(t, s, 5)
		var old, recent []*intake.Acceptance
		for _, address := range []string{"a@acme.example", "b@acme.example", "c@acme.example"} {
			recent = append(recent, n.Acceptance(address))
		}
		old = append(old, n.Acceptance("old@acme.example"))
		n.Accept(t, n.Submission(append(recent, old...)...))
		other.Accept(t, other.Submission(other.Acceptance("d@acme.example")))
		roomtest.Execute(t, db, `UPDATE users SET updated_at = 1 WHERE id = $1`, old[0].UserID)
		count, first, err := user.UpdatedSince(t.Context(), n.Org(n.Organization.ID), time.Now().Add(-time.Hour), 2)
		if err != nil || count != 3 || len(first) != 2 || first[0].ID >= first[1].ID || first[0].ID == old[0].UserID || first[1].ID == old[0].UserID {
			t.Errorf("%d, first %+v, %v", count, first, err)
		}
	})
}

func TestAnErasedPersonIsRememberedByTheOrganizationThatErased(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n, other := roomtest.New(t, s, 0), roomtest.New(t, s, 0)
		ann := usersync.NewEmail("ann@acme.example", "ann@acme.example")
		when := time.Now().Truncate(time.Microsecond)
		roomtest.Execute(t, db, `INSERT INTO erased (organization_id, person, created_at) VALUES ($1, $2, $3)`,
			n.Organization.ID, usersync.KeyedID(usersync.PrefixErasure, n.Organization.Salt, ann.Key()), when.UnixMicro())
		for _, test := range []struct {
			of   roomtest.Tenant
			want time.Time
		}{{n, when}, {other, time.Time{}}} {
			at, err := user.ErasedAt(t.Context(), test.of.Org(test.of.Organization.ID), test.of.Organization.Salt, ann)
			if err != nil || at.IsZero() != test.want.IsZero() || !at.IsZero() && !at.Equal(test.want) {
				t.Errorf("erased at %v, want %v, %v", at, test.want, err)
			}
			err = s.Tx(t.Context(), func(tx *store.Tx) error {
				erased, err := user.ErasedAmong(t.Context(), tx, test.of.Organization.ID, test.of.Organization.Salt, []string{ann.Key(), "bob@acme.example"})
				if erased[ann.Key()] == test.want.IsZero() || erased["bob@acme.example"] {
					t.Errorf("erased are %v", erased)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
