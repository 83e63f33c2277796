package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/delivery"
	"usersync/internal/directory"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// customer is an organization that sends users.
type customer struct {
	app *apptest.Running
	org tenant.Organization
	key tenant.Key
}

func newTenant(t *testing.T, a *apptest.Running, credits int64) customer {
	t.Helper()
	n := roomtest.New(t, a.Store, credits)
	return customer{a, n.Organization, n.Key}
}

// each runs a test on both engines, each time with a program that does everything and
// an organization that uses it.
func each(t *testing.T, credits int64, test func(t *testing.T, n customer)) {
	t.Helper()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) { test(t, newTenant(t, e.Start(t, app.All), credits)) })
}

func (n customer) endpoint(t *testing.T, r *apptest.Receiver) usersync.Secret {
	t.Helper()
	secret := webhooksig.NewSecret()
	_, err := delivery.CreateEndpoint(t.Context(), n.app.Store.Org(n.org.ID), "test", delivery.Endpoint{URL: r.URL, EventTypes: []string{"user_sync.completed"}}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (n customer) people(t *testing.T, addresses ...string) {
	t.Helper()
	var list []directory.Person
	for i, a := range addresses {
		email, err := identity.ParseEmail(a)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, directory.Person{Email: email, Name: fmt.Sprintf("Given%d Family%d", i, i), Identity: user.IdentityOf(usersync.UserInput{Email: email})})
	}
	if err := directory.SavePeople(t.Context(), n.app.Store.Org(n.org.ID), n.org.Salt, list); err != nil {
		t.Fatal(err)
	}
}

func (n customer) submit(ctx context.Context, address string) (string, error) {
	email, err := identity.ParseEmail(address)
	if err != nil {
		return "", err
	}
	in := usersync.UserInput{Email: email, Country: "US"}
	a := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindUserSync, Salt: n.org.Salt,
		User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}}
	err = n.app.Batcher.Submit(ctx, &intake.Submission{Organization: n.org.ID, KeyID: n.key.ID, Items: []*intake.Acceptance{a}})
	return a.RequestID, err
}

func (n customer) report(t *testing.T, id string) *request.View {
	t.Helper()
	r, err := request.Get(t.Context(), n.app.Store.Org(n.org.ID), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestIsWorkedBilledAndDelivered(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		r := apptest.NewReceiver(t)
		secret := n.endpoint(t, r)
		n.people(t, "ann@acme.example.com", "bob@acme.example.com", "eve@other.example.org", "info@acme.example.com")
		id, err := n.submit(t.Context(), "john@acme.example.com")
		if err != nil {
			t.Fatal(err)
		}
		apptest.Eventually(t, "delivered", func() bool {
			report := n.report(t, id)
			return len(report.Webhooks) == 1 && report.Webhooks[0].Status == delivery.Delivered
		})
		report := n.report(t, id)
		if report.Status != request.Succeeded || report.Credits.Charged != 1 || *report.Credits.Balance != 9 || report.Colleagues.Found != 2 {
			t.Errorf("report %+v %+v", report, report.Colleagues)
		}
		got := r.Got()
		if len(got) != 1 {
			t.Fatalf("%d webhooks", len(got))
		}
		if err := webhooksig.Verify(secret, got[0].Header, got[0].Body, time.Now(), time.Minute); err != nil {
			t.Error(err)
		}
		report.Webhooks, report.Credits.Balance = nil, nil
		want, _ := json.Marshal(report)
		var body struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal(got[0].Body, &body); err != nil {
			t.Fatal(err)
		}
		if body.Type != "user_sync.completed" || string(body.Data) != string(want) {
			t.Errorf("webhook data\n%s\nwant the request as it is shown\n%s", body.Data, want)
		}
	})
}
