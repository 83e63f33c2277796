package app_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"usersync/internal/app/apptest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// walkKeys calls every described management write with an Idempotency-Key that
// came with another body, and with one whose first call has not ended: no route
// can forget the header. It returns how many parts it has.
func (s *stage) walkKeys(t *testing.T) (parts int) {
	t.Helper()
	for _, op := range s.client.Writes() {
		for hash, want := range map[string]int{"of another body": http.StatusUnprocessableEntity, emptyObject: http.StatusConflict} {
			parts++
			t.Run("idempotency/"+strings.ReplaceAll(op.Method+" "+op.Path, "/", "·"), func(t *testing.T) {
				t.Parallel()
				defer s.played.Add(1)
				s.begin(t, "idempotency").repeat(t, op, hash, want)
			})
		}
	}
	return parts
}

// emptyObject is the hash of the body {} without a query.
var emptyObject = func() string {
	sum := sha256.Sum256([]byte("{}\x00"))
	return hex.EncodeToString(sum[:])
}()

// repeat makes a call whose key was taken by an earlier one.
func (p *play) repeat(t *testing.T, op apptest.Write, hash string, want int) {
	t.Helper()
	organization, header := p.org.ID, http.Header{"X-Api-Key": {p.vars["key"]}}
	if op.Operator {
		organization, header = "", http.Header{"Authorization": {"Bearer " + p.vars["admin"]}}
	}
	key := store.Idempotency{Scope: op.Method + " " + op.Path, Key: usersync.NewID(usersync.PrefixRequest), BodyHash: hash}
	_, mine, err := p.app.Store.TakeKey(t.Context(), organization, key)
	must(t, err)
	if !mine {
		t.Fatal("a new key is taken")
	}
	header.Set("Idempotency-Key", key.Key)
	header.Set("Content-Type", "application/json")
	a := p.client.Do(t, apptest.Call{Method: op.Method, Path: op.Path, Header: header, Body: []byte("{}")})
	if a.Status != want {
		t.Errorf("got %d %s, want %d", a.Status, a.Body, want)
	}
}
