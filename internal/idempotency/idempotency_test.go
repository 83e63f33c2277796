package idempotency_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"usersync/internal/idempotency"
	"usersync/internal/roomtest"
	"usersync/internal/store"
)

const secretAnswer = `{"key":"usk_0123456789"}`

func take(t *testing.T, s *store.Store, organization string, k idempotency.Key) (answer string, mine bool) {
	t.Helper()
	kept, mine, err := idempotency.Take(t.Context(), s.Org(organization), k)
	if err != nil {
		t.Fatal(err)
	}
	return string(kept), mine
}

func TestAKeyBelongsToTheFirstCallAndRepeatsItsAnswer(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		k := idempotency.Key{Scope: "POST /v1/keys", Key: "one", BodyHash: "h"}
		if _, mine := take(t, s, "org_1", k); !mine {
			t.Fatal("the first call does not get the key")
		}
		if answer, mine := take(t, s, "org_1", k); mine || answer != "" {
			t.Errorf("the second call gets %q %v while the first one runs", answer, mine)
		}
		if _, mine := take(t, s, "org_2", k); !mine {
			t.Error("another organization does not get a key of its own")
		}
		if err := idempotency.Keep(t.Context(), s, "org_1", k, []byte(secretAnswer)); err != nil {
			t.Fatal(err)
		}
		// A call that ends late neither changes nor removes what was kept.
		if err := errors.Join(idempotency.Keep(t.Context(), s, "org_1", k, []byte("late")), idempotency.Drop(t.Context(), s, "org_1", k)); err != nil {
			t.Fatal(err)
		}
		if answer, mine := take(t, s, "org_1", k); mine || answer != secretAnswer {
			t.Errorf("a replay gets %q %v", answer, mine)
		}
		for column, text := range roomtest.Texts(t, db) {
			if strings.Contains(text, secretAnswer) {
				t.Errorf("the answer is readable in %s", column)
			}
		}
		k.BodyHash = "another"
		if _, _, err := idempotency.Take(t.Context(), s.Org("org_1"), k); !errors.Is(err, idempotency.ErrReused) {
			t.Errorf("another body gets %v", err)
		}
	})
}

func TestAKeyWithoutAnAnswerIsFreeAgain(t *testing.T) {
	t.Parallel()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		given, left := idempotency.Key{Scope: "s", Key: "given back", BodyHash: "h"}, idempotency.Key{Scope: "s", Key: "left", BodyHash: "h"}
		take(t, s, "org_1", given)
		take(t, s, "org_1", left)
		if err := idempotency.Drop(t.Context(), s, "org_1", given); err != nil {
			t.Fatal(err)
		}
		if _, mine := take(t, s, "org_1", given); !mine {
			t.Error("a key that was given back is not free")
		}
		if _, mine := take(t, s, "org_1", left); mine {
			t.Error("a key is taken from a call that may still run")
		}
		roomtest.Execute(t, db, `UPDATE idempotency_keys SET created_at = created_at - $1 WHERE key = 'left'`, (2 * time.Minute).Microseconds())
		if _, mine := take(t, s, "org_1", left); !mine {
			t.Error("a key whose call died is not free after its time")
		}
	})
}
