package console_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors/fakes"
	"usersync/internal/credit"
	"usersync/internal/delivery"
	"usersync/internal/directory"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/identity"
	"usersync/internal/importfile"
	"usersync/internal/intake"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
	"usersync/internal/webhooksig"
)

// world is a service with an organization that has something of everything.
type world struct {
	app        *apptest.Running
	adminToken string
	org        tenant.Organization
	key        tenant.Key
	secret     string
	fakes      *fakeplatform.Server
	receiver   *apptest.Receiver

	connection, endpoint, delivery, followUp, imported string
	// succeeded and failed are requests, user is that of the first.
	succeeded, failed, user string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	e := apptest.New(t, "embedded")
	w := &world{app: e.Start(t, app.All), adminToken: e.Config.AdminToken.Reveal()}
	var err error
	w.org, err = tenant.Create(t.Context(), w.app.Store, "test", tenant.Organization{Name: "Northwind Travel"})
	must(t, err)
	_, err = credit.TopUp(t.Context(), w.app.Store, "test", w.org.ID, 500, "invoice 17")
	must(t, err)
	var secret usersync.Secret
	w.key, secret, err = tenant.CreateKey(t.Context(), w.app.Store, "test", w.org.ID, tenant.Key{Name: "Marketing team"})
	must(t, err)
	w.secret = secret.Reveal()
	w.connect(t)
	w.hook(t)
	w.plan(t)
	w.know(t)
	w.work(t)
	return w
}

func (w *world) view() *store.Org { return w.app.Store.Org(w.org.ID) }

// connect connects a fake of Mailchimp.
func (w *world) connect(t *testing.T) {
	t.Helper()
	all := fakes.New()
	fake := all[slices.IndexFunc(all, func(p fakeplatform.Platform) bool { return p.Name() == "mailchimp" })]
	w.fakes = fakeplatform.New(fake)
	server := httptest.NewServer(w.fakes)
	t.Cleanup(server.Close)
	cfg, settings := fake.Config(), map[string]any{}
	must(t, json.Unmarshal(cfg.Settings, &settings))
	settings["baseUrl"] = server.URL + "/" + fake.Name()
	text, err := json.Marshal(settings)
	must(t, err)
	c, err := platform.CreateConnection(t.Context(), w.view(), "test", platform.Connection{Platform: "mailchimp", Name: "Newsletter", Settings: text, Credentials: usersync.NewSecret(string(cfg.Credentials))})
	must(t, err)
	w.connection = c.ID
}

// hook makes an endpoint and sends it a test.
func (w *world) hook(t *testing.T) {
	t.Helper()
	w.receiver = apptest.NewReceiver(t)
	e, err := delivery.CreateEndpoint(t.Context(), w.view(), "test", delivery.Endpoint{URL: w.receiver.URL, EventTypes: []string{"*"}, Description: "The shop's back end"}, webhooksig.NewSecret())
	must(t, err)
	w.endpoint = e.ID
	d, err := delivery.Test(t.Context(), w.view(), "test", e.ID, "")
	must(t, err)
	w.delivery = d.ID
}

// plan makes a follow-up of two versions.
func (w *world) plan(t *testing.T) {
	t.Helper()
	p, err := followup.Parse([]byte(`{"name":"Welcome series","trigger":{"type":"user/register"},"condition":{"field":"profile.country","equals":"DE"},
		"actions":[{"type":"add-tag","tags":["welcome"]},{"type":"wait","for":"3d"},{"type":"sync-to-platforms"}]}`))
	must(t, err)
	f, err := catalog.Create(t.Context(), w.view(), "test", p.Definition, catalog.Active)
	must(t, err)
	w.followUp = f.ID
}

// know imports a directory of people, some lines of which are wrong.
func (w *world) know(t *testing.T) {
	t.Helper()
	file := "email,name,jobTitle\nmaria.lopez@acme.example.com,Maria Lopez,Head of Marketing\ntom.berg@acme.example.com,Tom Berg,Engineer\nnobody,No Address,\n"
	made, err := (&directory.Service{Store: w.app.Store}).Receive(t.Context(), w.view(), directory.Upload{Body: strings.NewReader(file), Format: importfile.CSV, Actor: "test"})
	must(t, err)
	w.imported = made.ID
	w.app.Relay.Wake()
	apptest.Eventually(t, "the import is done", func() bool {
		i, err := directory.GetImport(t.Context(), w.view(), made.ID)
		return err == nil && i.Status.Final()
	})
}

// work has users synced, and some of them refused by the platform.
func (w *world) work(t *testing.T) {
	t.Helper()
	for _, p := range [][3]string{{"jane.doe@acme.example.com", "Jane", "Doe"}, {"ada.park@globex.example.com", "Ada", "Park"}, {"li.wei@initech.example.com", "Li", "Wei"}} {
		w.succeeded = w.sync(t, p[0], p[1], p[2])
		w.ends(t, w.succeeded, request.Succeeded)
	}
	r, err := request.Get(t.Context(), w.view(), w.succeeded)
	must(t, err)
	w.user = r.UserID
	w.fakes.Break("mailchimp", fakeplatform.Fault{Status: 400})
	for _, p := range [][3]string{{"max.frank@acme.example.com", "Max", "Frank"}, {"eve.stone@globex.example.com", "Eve", "Stone"}} {
		w.failed = w.sync(t, p[0], p[1], p[2])
		w.ends(t, w.failed, request.PartiallySucceeded)
	}
	w.fakes.Break("mailchimp")
}

// sync has a user accepted and returns the request.
func (w *world) sync(t *testing.T, address, first, last string) string {
	t.Helper()
	email, err := identity.ParseEmail(address)
	must(t, err)
	in := usersync.UserInput{Email: email, Country: "DE", FirstName: first, LastName: last, JobTitle: "Product Manager", Attributes: map[string]any{"plan": "pro", "seats": json.Number("12")}}
	a := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindUserSync, Salt: w.org.Salt,
		User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}}
	must(t, w.app.Batcher.Submit(t.Context(), &intake.Submission{Organization: w.org.ID, KeyID: w.key.ID, Items: []*intake.Acceptance{a}}))
	return a.RequestID
}

// ends waits until a request has a status.
func (w *world) ends(t *testing.T, id string, want request.Status) {
	t.Helper()
	apptest.Eventually(t, "the request is "+string(want), func() bool {
		r, err := request.Get(t.Context(), w.view(), id)
		return err == nil && r.Status == want
	})
}
