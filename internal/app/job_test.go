package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/person"
	"usersync/internal/pipeline"
	"usersync/internal/store"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// tenant is an organization that sends users.
type tenant struct {
	app *apptest.Running
	org usersync.Organization
	key usersync.Key
}

func newTenant(t *testing.T, a *apptest.Running, credits int64) tenant {
	t.Helper()
	o, err := a.Store.CreateOrganization(t.Context(), "test", usersync.Organization{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store.TopUp(t.Context(), "test", o.ID, credits, "first"); err != nil {
		t.Fatal(err)
	}
	k, _, err := a.Store.CreateKey(t.Context(), "test", o.ID, usersync.Key{Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	return tenant{a, o, k}
}

func (n tenant) endpoint(t *testing.T, r *apptest.Receiver) usersync.Secret {
	t.Helper()
	secret := webhooksig.NewSecret()
	_, err := n.app.Store.Org(n.org.ID).CreateEndpoint(t.Context(), "test", usersync.Endpoint{URL: r.URL, EventTypes: []string{"user_sync.completed"}}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (n tenant) people(t *testing.T, addresses ...string) {
	t.Helper()
	var list []store.NewPerson
	for i, a := range addresses {
		email, err := person.ParseEmail(a)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, store.NewPerson{Email: email, Name: fmt.Sprintf("Given%d Family%d", i, i), Person: pipeline.PersonOf(usersync.UserInput{Email: email})})
	}
	if err := n.app.Store.Org(n.org.ID).SavePeople(t.Context(), n.org.Salt, list); err != nil {
		t.Fatal(err)
	}
}

func (n tenant) submit(ctx context.Context, address string) (string, error) {
	email, err := person.ParseEmail(address)
	if err != nil {
		return "", err
	}
	in := usersync.UserInput{Email: email, Country: "US"}
	a := &store.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: usersync.KindUserSync, Salt: n.org.Salt,
		User: store.NewUser{UserInput: in, Person: pipeline.PersonOf(in)}}
	err = n.app.Door.Submit(ctx, &store.Submission{Organization: n.org.ID, KeyID: n.key.ID, Items: []*store.Acceptance{a}})
	return a.RequestID, err
}

func (n tenant) report(t *testing.T, id string) *usersync.Report {
	t.Helper()
	r, err := n.app.Store.Org(n.org.ID).Report(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestIsWorkedBilledAndDelivered(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		n := newTenant(t, a, 10)
		r := apptest.NewReceiver(t)
		secret := n.endpoint(t, r)
		n.people(t, "ann@acme.example.com", "bob@acme.example.com", "eve@other.example.org", "info@acme.example.com")
		id, err := n.submit(t.Context(), "john@acme.example.com")
		if err != nil {
			t.Fatal(err)
		}
		apptest.Eventually(t, "delivered", func() bool {
			report := n.report(t, id)
			return len(report.Webhooks) == 1 && report.Webhooks[0].Status == usersync.DeliveryDelivered
		})
		report := n.report(t, id)
		if report.Status != usersync.RequestSucceeded || report.Credits.Charged != 1 || *report.Credits.Balance != 9 || report.Colleagues.Found != 2 {
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
