package roomtest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"usersync/internal/credit"
	"usersync/internal/intake"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// SecretKey is the API key of the connection that Connect makes.
const SecretKey = "mc-0123456789abcdef-us21"

// Connect makes a connection to a platform.
func (n Tenant) Connect(t *testing.T) platform.Connection {
	t.Helper()
	c, err := platform.CreateConnection(t.Context(), n.Org(n.Organization.ID), "key_1", platform.Connection{
		Platform: "mailchimp", Name: "Newsletter", Settings: json.RawMessage(`{"list":"8d"}`),
		Credentials: usersync.NewSecret(`{"apiKey":"` + SecretKey + `"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Tenant is an organization with a key, ready to accept requests for.
type Tenant struct {
	*store.Store
	Organization tenant.Organization
	Key          tenant.Key
	FairnessKey  string
}

// New makes an organization with a key and, where it is to have any, credits.
func New(t testing.TB, s *store.Store, credits int64) Tenant {
	t.Helper()
	o, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	if credits > 0 {
		if _, err := credit.TopUp(t.Context(), s, "test", o.ID, credits, "first"); err != nil {
			t.Fatal(err)
		}
	}
	k, _, err := tenant.CreateKey(t.Context(), s, "test", o.ID, tenant.Key{Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	return Tenant{Store: s, Organization: o, Key: k, FairnessKey: o.ID}
}

// Each runs a test on both engines, each time with an organization in a database of
// its own.
func Each(t *testing.T, credits int64, test func(t *testing.T, n Tenant)) {
	t.Helper()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) { test(t, New(t, open(), credits)) })
}

// Acceptance is a user-sync of somebody at a company.
func (n Tenant) Acceptance(email string) *intake.Acceptance {
	in := usersync.UserInput{Email: usersync.NewEmail(email, email), Country: "US", FirstName: "F"}
	return &intake.Acceptance{
		RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindUserSync, Salt: n.Organization.Salt,
		User: intake.NewUser{UserInput: in, Identity: user.Identity{Key: email, Company: "acme.example"}},
	}
}

// Submission hands in requests together.
func (n Tenant) Submission(items ...*intake.Acceptance) *intake.Submission {
	return &intake.Submission{Organization: n.Organization.ID, KeyID: n.Key.ID, Items: items}
}

// Plan makes one task for each organization.
func Plan(items []*intake.Acceptance) []usersync.Task {
	var tasks []usersync.Task
	for _, a := range items {
		a.TaskID = usersync.DeriveID(usersync.PrefixTask, a.RequestID)
		tasks = append(tasks, usersync.Task{ID: a.TaskID, Organization: a.Organization(), Kind: "k", Queue: "q", FairnessKey: a.Organization(), Args: []byte(`{}`)})
	}
	return tasks
}

// Accept accepts submissions.
func (n Tenant) Accept(t *testing.T, subs ...*intake.Submission) {
	t.Helper()
	if err := intake.AcceptPlanned(t.Context(), n.Store, subs, Plan); err != nil {
		t.Fatal(err)
	}
}

// Patience is how long a test waits for what must happen.
const Patience = 20 * time.Second

// Eventually waits for a condition, and fails the test when it does not come.
func Eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("it never came to this: %s", what)
		case <-tick.C:
		}
	}
}

// ClaimAll takes and claims every ready task of queue q.
func ClaimAll(t *testing.T, s *store.Store, share int) []usersync.Claim {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), s, "q", "", outbox.Shares{Slots: 1000, Key: share}, 100)
	if err != nil {
		t.Fatal(err)
	}
	var claims []usersync.Claim
	for _, e := range taken {
		c, ok, err := outbox.Claim(t.Context(), s, e.ID, e.Generation)
		if err != nil || !ok {
			t.Fatalf("claim: %v %v", ok, err)
		}
		claims = append(claims, c)
	}
	return claims
}
