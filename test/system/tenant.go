//go:build unix

package system

import (
	"testing"

	"usersync/internal/request"
	"usersync/internal/usersync"
)

// Tenant is an organization under test, with a receiver of its webhooks. Calls go
// out by its Client.
type Tenant struct {
	*Client
	*Receiver
	Organization string
	// Endpoint is the webhook endpoint of the receiver.
	Endpoint string
	// Env is the environment of the command line.
	Env []string
}

// NewTenant returns a tenant of an organization that there is.
func NewTenant(t *testing.T, account Account, env []string, bases ...string) *Tenant {
	t.Helper()
	client := NewClient(account.Key, bases...)
	t.Cleanup(client.Leave)
	return &Tenant{Client: client, Receiver: NewReceiver(t), Organization: account.Organization, Env: env}
}

// Call makes one call that must succeed at the first API process.
func (n *Tenant) Call(t *testing.T, method, path string, body, out any) {
	t.Helper()
	Must(t, n.Ask(t.Context(), method, path, body, out))
}

// Subscribe makes the endpoint of the receiver.
func (n *Tenant) Subscribe(t *testing.T) {
	t.Helper()
	made, err := n.AddEndpoint(t.Context(), n.URL, "*")
	Must(t, err)
	n.Endpoint = made.ID
	n.Signed(usersync.NewSecret(made.Secret))
}

// TopUp adds credits by the command line, once.
func (n *Tenant) TopUp(t *testing.T, credits int) {
	t.Helper()
	Must(t, programs.TopUp(t.Context(), n.Env, n.Organization, credits))
}

// Reports returns all requests of the organization.
func (n *Tenant) Reports(t *testing.T) map[string]request.View {
	t.Helper()
	list, err := List[request.View](t.Context(), n.Client, "/v1/requests")
	Must(t, err)
	out := make(map[string]request.View, len(list))
	for _, r := range list {
		out[r.RequestID] = r
	}
	return out
}
