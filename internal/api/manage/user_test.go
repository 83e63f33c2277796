package manage_test

import (
	"slices"
	"strings"
	"testing"

	"usersync/internal/usersync"
)

// hasOwnScopes reports whether a route wants other scopes than the rest.
func hasOwnScopes(path string) bool {
	return strings.HasPrefix(path, "/v1/users") || strings.HasPrefix(path, "/v1/erasures") || strings.HasPrefix(path, "/v1/events")
}

func TestUsersErasuresAndEventsWantOneOfTheirScopes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	org := s.organization("Acme")
	keys := map[usersync.Scope]string{}
	for _, scope := range usersync.Scopes {
		_, keys[scope] = s.key(org, `["`+string(scope)+`"]`)
	}
	tried := 0
	_, tenants := routes("", "", "none")
	for _, r := range tenants {
		if !hasOwnScopes(r.Path) {
			continue
		}
		tried++
		s.wantProblem(s.tenant("", r.Method, r.Path, ""), 401, usersync.CodeUnauthorized)
		for scope, key := range keys {
			a := s.tenant(key, r.Method, r.Path, "")
			if got := a.status != 403; got != slices.Contains(scopesOf(r.Method, r.Path), scope) {
				t.Errorf("%s %s with the scope %s: %d", r.Method, r.Path, scope, a.status)
			}
		}
	}
	if tried != 9 {
		t.Errorf("tried %d routes", tried)
	}
}

func scopesOf(method, path string) []usersync.Scope {
	switch {
	case method != "GET":
		return []usersync.Scope{usersync.ScopeErase, usersync.ScopeAll}
	case strings.HasPrefix(path, "/v1/erasures"):
		return []usersync.Scope{usersync.ScopeErase, usersync.ScopeManage, usersync.ScopeAll}
	case strings.HasPrefix(path, "/v1/events"):
		return []usersync.Scope{usersync.ScopeRead, usersync.ScopeManage, usersync.ScopeEvents, usersync.ScopeAll}
	}
	return []usersync.Scope{usersync.ScopeRead, usersync.ScopeManage, usersync.ScopeAll}
}
