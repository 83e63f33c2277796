package app_test

import (
	"net/http"
	"strconv"
	"sync"
	"testing"

	"usersync/internal/app/apptest"
	"usersync/internal/idempotency"
)

// walkKeys calls every described management write with an Idempotency-Key that came
// with another body, and with a key whose first call has not ended. So no route can
// ignore the header. The calls run at once, because those of the second sort wait. It
// returns how many parts it has.
func (s *stage) walkKeys(t *testing.T) (parts int) {
	t.Helper()
	for body, want := range map[string]int{"another body": http.StatusUnprocessableEntity, "{}": http.StatusConflict} {
		parts++
		t.Run("idempotency/"+strconv.Itoa(want), func(t *testing.T) {
			t.Parallel()
			defer s.played.Add(1)
			p := s.begin(t, "idempotency")
			var calls sync.WaitGroup
			defer calls.Wait()
			for _, op := range s.client.Writes() {
				key := "taken-" + strconv.Itoa(want)
				p.take(t, op, key, body)
				calls.Go(func() { p.repeat(t, op, key, want) })
			}
		})
	}
	return parts
}

// take writes a key as if an earlier call had come with it.
func (p *play) take(t *testing.T, op apptest.Write, key, body string) {
	t.Helper()
	organization, salt := p.org.ID, p.org.Salt
	if op.Operator {
		organization, salt = "", nil
	}
	taken := idempotency.NewKey(salt, idempotency.Said{Method: op.Method, Path: op.Path, Key: key, Body: []byte(body)})
	_, mine, err := idempotency.Take(t.Context(), p.app.Store.Org(organization), taken)
	must(t, err)
	if !mine {
		t.Fatal("a new key is taken")
	}
}

// repeat makes a call whose key was taken by an earlier one.
func (p *play) repeat(t *testing.T, op apptest.Write, key string, want int) {
	t.Helper()
	header := http.Header{"X-Api-Key": {p.vars["key"]}, "Content-Type": {"application/json"}, "Idempotency-Key": {key}}
	if op.Operator {
		header.Set("Authorization", "Bearer "+p.vars["admin"])
	}
	a := p.client.Do(t, apptest.Call{Method: op.Method, Path: op.Path, Header: header, Body: []byte("{}")})
	if a.Status != want {
		t.Errorf("%s %s: got %d %s, want %d", op.Method, op.Path, a.Status, a.Body, want)
	}
}
