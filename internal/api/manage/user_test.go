package manage_test

import (
	"slices"
	"strings"
	"testing"

	"usersync/internal/tenant"
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
	keys := map[tenant.Scope]string{}
	for _, scope := range tenant.Scopes {
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
	if tried != 10 {
		t.Errorf("tried %d routes", tried)
	}
}

func scopesOf(method, path string) []tenant.Scope {
	switch {
	case method == "PATCH":
		return []tenant.Scope{tenant.ScopeManage, tenant.ScopeAll}
	case method != "GET":
		return []tenant.Scope{tenant.ScopeErase, tenant.ScopeAll}
	case strings.HasPrefix(path, "/v1/erasures"):
		return []tenant.Scope{tenant.ScopeErase, tenant.ScopeManage, tenant.ScopeAll}
	case strings.HasPrefix(path, "/v1/events"):
		return []tenant.Scope{tenant.ScopeRead, tenant.ScopeManage, tenant.ScopeEvents, tenant.ScopeAll}
	}
	return []tenant.Scope{tenant.ScopeRead, tenant.ScopeManage, tenant.ScopeAll}
}
