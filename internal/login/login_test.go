package login_test

import (
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"usersync/internal/login"
	"usersync/internal/roomtest"
	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

const person = "a-person"

func keys(t *testing.T) *seal.Keys {
	t.Helper()
	k, err := seal.ParseKeys(usersync.NewSecret("k1:" + base64.StdEncoding.EncodeToString(make([]byte, 32))))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Of many calls at once no more than a burst passes, and one that is given back is there
// again.
func TestNoMoreTriesPassThanALimitAllows(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 0, func(t *testing.T, n roomtest.Tenant) {
		limit := login.Limit{What: "test", Burst: 5, Every: time.Hour}
		org := n.Org(n.Organization.ID)
		take := func(who string) error {
			return org.Tx(t.Context(), func(tx *store.Tx) error { return login.Take(t.Context(), tx, org.ID(), limit, who) })
		}
		var all sync.WaitGroup
		var passed atomic.Int64
		for range 20 {
			all.Go(func() {
				err := take(person)
				if err == nil {
					passed.Add(1)
				} else if e := usersync.AsError(err); e.Code != usersync.CodeRateLimited || e.RetryAfter < 59*time.Minute || e.RetryAfter > time.Hour {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if passed.Load() != 5 {
			t.Errorf("%d passed, want 5", passed.Load())
		}
		if err := take("another"); err != nil {
			t.Errorf("somebody else has to wait: %v", err)
		}
		err := org.Tx(t.Context(), func(tx *store.Tx) error { return login.GiveBack(t.Context(), tx, org.ID(), limit, person) })
		if err != nil {
			t.Fatal(err)
		}
		if first, second := take(person), take(person); first != nil || usersync.CodeOf(second) != usersync.CodeRateLimited {
			t.Errorf("after one was given back: %v, %v", first, second)
		}
	})
}

// Whatever is guessed, and however many guess at once, a code is compared MaxTries times.
func TestACodeIsComparedAFewTimesAndUsedOnce(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		n := roomtest.New(t, s, 0)
		org, k := n.Org(n.Organization.ID), keys(t)
		save := func() login.Code {
			c := login.NewCode(k, person, login.ForPassword)
			if err := org.Tx(t.Context(), func(tx *store.Tx) error { return login.SaveCode(t.Context(), tx, org.ID(), c) }); err != nil {
				t.Fatal(err)
			}
			return c
		}
		try := func(p login.Purpose) (got login.Code, ok bool) {
			err := org.Tx(t.Context(), func(tx *store.Tx) (err error) {
				got, ok, err = login.Try(t.Context(), tx, org.ID(), person, p)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			return got, ok
		}
		c := save()
		if _, ok := try(login.ForVerification); ok {
			t.Error("a code of one purpose is one of another")
		}
		var all sync.WaitGroup
		var compared atomic.Int64
		for range 20 {
			all.Go(func() {
				if got, ok := try(login.ForPassword); ok {
					compared.Add(1)
					if got.Nonce != c.Nonce {
						t.Error("another code is compared")
					}
				}
			})
		}
		all.Wait()
		if compared.Load() != login.MaxTries {
			t.Errorf("the code is compared %d times, want %d", compared.Load(), login.MaxTries)
		}
		var used atomic.Int64
		for range 10 {
			all.Go(func() {
				err := org.Tx(t.Context(), func(tx *store.Tx) error {
					ok, err := login.Use(t.Context(), tx, org.ID(), c)
					if ok {
						used.Add(1)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if used.Load() != 1 {
			t.Errorf("the code is used %d times", used.Load())
		}
		save()
		roomtest.Execute(t, db, `UPDATE login_codes SET expires_at = 1 WHERE organization_id = $1`, org.ID())
		if _, ok := try(login.ForPassword); ok {
			t.Error("a code that has expired is compared")
		}
		roomtest.Execute(t, db, `INSERT INTO login_tries (organization_id, what, who, reached_at) VALUES ($1, 'x', 'y', 1)`, org.ID())
		if dropped, err := login.DropExpired(t.Context(), s, 10); err != nil || dropped != 1 {
			t.Errorf("%d are removed, %v", dropped, err)
		}
	})
}

// A code follows from the organization, the person, the purpose and the nonce, and is
// nowhere in the database.
func TestACodeFitsWhatItIsFor(t *testing.T) {
	t.Parallel()
	k := keys(t)
	c := login.NewCode(k, person, login.ForPassword)
	text, ok := c.Text(k, "org_1")
	if !ok || len(text) != 8 {
		t.Fatalf("%q", text)
	}
	other, again := c, login.NewCode(k, person, login.ForPassword)
	other.Purpose = login.ForVerification
	gone := c
	gone.KeyID = "k0"
	grouped := fmt.Sprintf(" %s-%s ", text[:4], text[4:])
	for name, fits := range map[string]struct{ got, want bool }{
		"the code":             {c.Fits(k, "org_1", usersync.NewSecret(text)), true},
		"in groups":            {c.Fits(k, "org_1", usersync.NewSecret(grouped)), true},
		"nothing":              {c.Fits(k, "org_1", usersync.Secret{}), false},
		"another organization": {c.Fits(k, "org_2", usersync.NewSecret(text)), false},
		"another purpose":      {other.Fits(k, "org_1", usersync.NewSecret(text)), false},
		"another nonce":        {again.Fits(k, "org_1", usersync.NewSecret(text)), false},
		"a key that is gone":   {gone.Fits(k, "org_1", usersync.NewSecret(text)), false},
		"nothing, without key": {gone.Fits(k, "org_1", usersync.Secret{}), false},
	} {
		if fits.got != fits.want {
			t.Errorf("%s fits: %v", name, fits.got)
		}
	}
}

// A login is read as it is once nobody else changes it.
func TestWhoWaitsForAUserReadsTheLoginThatAnotherHasSaved(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 5, func(t *testing.T, n roomtest.Tenant) {
		org := n.Org(n.Organization.ID)
		a := n.Acceptance("ann@acme.example")
		n.Accept(t, n.Submission(a))
		var all sync.WaitGroup
		var first atomic.Int64
		for i := range 10 {
			all.Go(func() {
				err := org.Tx(t.Context(), func(tx *store.Tx) error {
					l, err := login.Lock(t.Context(), tx, org.ID(), a.UserID)
					if err != nil || !l.Password.IsZero() {
						return errors.Join(err, errTaken(!l.Password.IsZero()))
					}
					return login.Save(t.Context(), tx, org.ID(), a.UserID, login.State{Password: usersync.NewSecret(fmt.Sprint("hash ", i))})
				})
				switch {
				case err == nil:
					first.Add(1)
				case !errors.Is(err, errSecond):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if first.Load() != 1 {
			t.Errorf("%d were the first", first.Load())
		}
	})
}

var errSecond = errors.New("another was first")

func errTaken(taken bool) error {
	if taken {
		return errSecond
	}
	return nil
}
