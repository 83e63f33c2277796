package app_test

import (
	"net/http"
	"slices"
	"testing"

	"usersync/internal/app/apptest"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// end is a way in which a key ends, as another process writes it into the database.
type end struct {
	name, set string
	want      int
}

var ends = []end{
	{"was revoked", `revoked_at = 1`, http.StatusUnauthorized},
	{"has expired", `expires_at = 1`, http.StatusUnauthorized},
	{"has lost its scopes", `scopes = '["nothing"]'`, http.StatusForbidden},
}

// goodBodies are those of calls whose described examples ask for nothing.
var goodBodies = map[string]string{
	"POST /v1/user-sync/batch":       `{"users":[{"email":"john@victim.example.com","country":"US"}]}`,
	"POST /api/marketing/sync-users": `{"platform":"http","sync_type":"all"}`,
}

// TestNothingIsWrittenForAKeyThatHasEnded ends keys behind the back of a process that
// remembers them, and tries every described call that writes. The database must not
// change.
func TestNothingIsWrittenForAKeyThatHasEnded(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		w := newWalk(t, e)
		before := w.dump(t)
		tried := 0
		for _, op := range w.operations {
			if !writes(op) {
				continue
			}
			tried++
			for _, end := range ends {
				w.withEndedKey(t, op, end)
			}
		}
		if tried < 25 {
			t.Errorf("only %d calls write", tried)
		}
		admin(t, e, `DELETE FROM audit WHERE object IN (SELECT id FROM api_keys WHERE name = 'ends')`)
		admin(t, e, `DELETE FROM api_keys WHERE name = 'ends'`)
		after := w.dump(t)
		delete(before, "acceptance") // counts commits, also those that accept nothing
		for table, rows := range before {
			if got := after[table]; !slices.Equal(got, rows) {
				t.Errorf("the table %s was changed for keys that had ended:\n%s", table, difference(rows, got))
			}
		}
	})
}

// writes reports whether a call with an API key writes. A dry run does not.
func writes(op apptest.Operation) bool {
	byKey := len(op.Schemes) > 0 && !slices.Contains(op.Schemes, operatorScheme) && !slices.Contains(op.Schemes, tokenScheme)
	return byKey && (op.Method != http.MethodGet || slices.Contains(op.InQuery, "dryRun"))
}

// withEndedKey makes a call with a key that has ended, while the process remembers it as
// it was. That it does is seen from a call that reads, made after the one that writes.
func (w *walk) withEndedKey(t *testing.T, op apptest.Operation, end end) {
	t.Helper()
	query := map[string]string{}
	if slices.Contains(op.InQuery, "dryRun") {
		query["dryRun"] = "false"
	}
	if op.Method == http.MethodGet {
		query["email"] = w.victim["email"]
	}
	for range 20 {
		k, secret, err := tenant.CreateKey(t.Context(), w.store, "test", w.victim["organizationId"], tenant.Key{Name: "ends"})
		must(t, err)
		w.read(t, secret)
		admin(t, w.env, `UPDATE api_keys SET `+end.set+` WHERE id = '`+k.ID+`'`)
		c := w.carry(t, w.call(t, op, w.victim, query), op.Schemes[0], secret.Reveal())
		if body, ok := goodBodies[op.String()]; ok {
			c.Body = []byte(body)
		}
		if op.MediaType != "text/csv" {
			c.Header.Set("Idempotency-Key", k.ID)
		}
		a := w.client.Do(t, c)
		if w.read(t, secret) != http.StatusOK {
			continue // it is remembered no more, and perhaps was not before
		}
		if a.Status != end.want {
			t.Errorf("%s, with a key that %s: got %d %s, want %d", op, end.name, a.Status, a.Body, end.want)
		}
		return
	}
	t.Errorf("%s: the key was never remembered for as long as the call took", op)
}

// read makes a call that reads and returns its status.
func (w *walk) read(t *testing.T, key usersync.Secret) int {
	t.Helper()
	return w.client.Do(t, apptest.Call{Method: http.MethodGet, Path: "/v1/organization", Header: http.Header{"X-Api-Key": {key.Reveal()}}}).Status
}
