package app_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
)

// TestTokensOfEventsAreForEventsAndEnd tries tokens that were signed with the right key and
// say something else, and such that were not.
func TestTokensOfEventsAreForEventsAndEnd(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		n := newTenant(t, a, 0)
		client := a.Client(t)
		right, _ := a.Keys.Derive(a.Keys.FirstID(), "tokens of the events dialect")
		other, _ := a.Keys.Derive(a.Keys.FirstID(), "something else")
		hour := time.Now().Add(time.Hour)
		for name, c := range map[string]struct {
			claims jwt.RegisteredClaims
			method jwt.SigningMethod
			key    any
			kid    string
			want   int
		}{
			"good":               {claims(n.key.ID, "events", hour), jwt.SigningMethodHS256, right, a.Keys.FirstID(), http.StatusCreated},
			"over":               {claims(n.key.ID, "events", time.Now().Add(-time.Second)), jwt.SigningMethodHS256, right, a.Keys.FirstID(), http.StatusUnauthorized},
			"for something else": {claims(n.key.ID, "manage", hour), jwt.SigningMethodHS256, right, a.Keys.FirstID(), http.StatusUnauthorized},
			"of no key":          {claims("key_none", "events", hour), jwt.SigningMethodHS256, right, a.Keys.FirstID(), http.StatusUnauthorized},
			"of a key that is no key": {claims("key_00000000000000000000000000", "events", hour), jwt.SigningMethodHS256, right, a.Keys.FirstID(),
				http.StatusUnauthorized},
			"signed otherwise":   {claims(n.key.ID, "events", hour), jwt.SigningMethodHS256, other, a.Keys.FirstID(), http.StatusUnauthorized},
			"signed longer":      {claims(n.key.ID, "events", hour), jwt.SigningMethodHS512, right, a.Keys.FirstID(), http.StatusUnauthorized},
			"signed by an other": {claims(n.key.ID, "events", hour), jwt.SigningMethodHS256, right, "other", http.StatusUnauthorized},
			"not signed":         {claims(n.key.ID, "events", hour), jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, a.Keys.FirstID(), http.StatusUnauthorized},
		} {
			token := jwt.NewWithClaims(c.method, c.claims)
			token.Header["kid"] = c.kid
			text, err := token.SignedString(c.key)
			must(t, err)
			got := client.Do(t, apptest.Call{Method: http.MethodPost, Path: "/v4/events/user/update", Body: []byte(`{"email":"ann@example.com"}`),
				Header: http.Header{"Authorization": {"Bearer " + text}, "Content-Type": {"application/json"}}})
			if got.Status != c.want {
				t.Errorf("a token that is %s: %d, want %d", name, got.Status, c.want)
			}
		}
	})
}

func claims(subject, audience string, until time.Time) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{Subject: subject, Audience: jwt.ClaimStrings{audience}, ExpiresAt: jwt.NewNumericDate(until)}
}
