package session_test

import (
	"strings"
	"testing"
	"time"

	"usersync/internal/console/session"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
)

func TestASessionIsFoundByItsTokenUntilItEnds(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		m := session.NewManager(s)
		begin := func(lifetime time.Duration) string {
			m.Lifetime = lifetime
			ctx, err := m.Load(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			m.Put(ctx, "key", "key_of_somebody")
			token, _, err := m.Commit(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		keyOf := func(token string) string {
			ctx, err := m.Load(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			return m.GetString(ctx, "key")
		}
		token := begin(time.Hour)
		if got := keyOf(token); got != "key_of_somebody" {
			t.Errorf("%q", got)
		}
		var hash, data string
		if err := s.GORM(t.Context()).Raw(`SELECT token_hash, data FROM console_sessions`).Row().Scan(&hash, &data); err != nil {
			t.Fatal(err)
		}
		if hash == token || strings.Contains(data, "somebody") {
			t.Error("the row says what the cookie says, or whose the session is")
		}
		if keyOf(hash) != "" || keyOf("another") != "" {
			t.Error("a session is found by what is no token")
		}

		// A session that has ended is not found, and goes with the next change.
		ended := begin(-time.Minute)
		if keyOf(ended) != "" {
			t.Error("a session is found that has ended")
		}
		ctx, err := m.Load(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Destroy(ctx); err != nil {
			t.Fatal(err)
		}
		if keyOf(token) != "" {
			t.Error("a session is found that was ended")
		}
		begin(time.Hour)
		var rows int
		if err := s.GORM(t.Context()).Raw(`SELECT count(*) FROM console_sessions`).Row().Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if rows != 1 {
			t.Errorf("%d rows are kept", rows)
		}
	})
}
