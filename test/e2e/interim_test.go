//go:build unix

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usersync/internal/seal"
	"usersync/internal/store"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

func (n *tenant) subscribeByStore(t *testing.T) bool {
	r, err := n.http.Get(n.bases[0] + "/v1/webhook-endpoints")
	must(t, err)
	r.Body.Close()
	if r.StatusCode != http.StatusNotFound {
		return false
	}
	t.Log("webhook-endpoints is not served yet: through the store")
	set := map[string]string{}
	for _, line := range n.env {
		k, v, _ := strings.Cut(line, "=")
		set[k] = v
	}
	keys := set["SEALING_KEYS"]
	if keys == "" {
		b, err := os.ReadFile(filepath.Join(set["DATA_DIR"], "sealing-keys"))
		must(t, err)
		keys = strings.TrimSpace(string(b))
	}
	k, err := seal.ParseKeys(usersync.NewSecret(keys))
	must(t, err)
	s, err := store.Open(t.Context(), store.Options{URL: usersync.NewSecret(set["DATABASE_URL"]), Dir: set["DATA_DIR"], MaxConns: 2})
	must(t, err)
	defer s.Close()
	secret := webhooksig.NewSecret()
	ep, err := s.Org(n.organization).CreateEndpoint(t.Context(), "e2e", k, usersync.Endpoint{URL: n.url, EventTypes: []string{"*"}}, secret)
	must(t, err)
	n.endpoint = ep.ID
	n.signed(secret)
	return true
}
