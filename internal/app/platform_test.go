package app_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connectors/fakes"
	"usersync/internal/delivery"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/platform"
	"usersync/internal/receipt"
	"usersync/internal/request"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// shownPlatform is a fake of a platform that an organization is connected to.
type shownPlatform struct {
	customer
	name       string
	server     *fakeplatform.Server
	fake       fakeplatform.Platform
	connection platform.Connection
}

// serve serves a fake of a platform and returns what is needed to connect to it.
func (n customer) serve(t *testing.T, name string) *shownPlatform {
	t.Helper()
	fake := fakeOf(t, name)
	p := &shownPlatform{customer: n, name: name, fake: fake, server: fakeplatform.New(fake)}
	listener := httptest.NewServer(p.server)
	t.Cleanup(func() {
		listener.CloseClientConnections() // what hangs goes on hanging otherwise
		listener.Close()
	})
	p.connection = connectionTo(t, fake, listener.URL)
	return p
}

// connect connects the organization to a fake of its own.
func (n customer) connect(t *testing.T, name string) *shownPlatform {
	t.Helper()
	p := n.serve(t, name)
	p.connection.Credentials = ownCredentials(t, p.fake)
	p.connection = n.create(t, p.connection)
	return p
}

// fakeOf returns a new fake of a platform.
func fakeOf(t *testing.T, name string) fakeplatform.Platform {
	t.Helper()
	all := fakes.New()
	i := slices.IndexFunc(all, func(p fakeplatform.Platform) bool { return p.Name() == name })
	if i < 0 {
		t.Fatalf("there is no fake of %s", name)
	}
	return all[i]
}

// connectionTo is a connection to a fake that is served below url.
func connectionTo(t *testing.T, fake fakeplatform.Platform, url string) platform.Connection {
	t.Helper()
	cfg := fake.Config()
	settings := map[string]any{}
	must(t, json.Unmarshal(cfg.Settings, &settings))
	settings["baseUrl"] = url + "/" + fake.Name()
	text, err := json.Marshal(settings)
	must(t, err)
	return platform.Connection{Platform: fake.Name(), Name: fake.Name(), Settings: text, Credentials: usersync.NewSecret(string(cfg.Credentials))}
}

func (n customer) create(t *testing.T, c platform.Connection) platform.Connection {
	t.Helper()
	c, err := platform.CreateConnection(t.Context(), n.app.Store.Org(n.org.ID), "test", c)
	must(t, err)
	return c
}

// ownCredentials are credentials that a fake accepts. Each HTTP destination gets a
// secret header of its own, because destinations with the same credentials are one
// account with common limits.
func ownCredentials(t *testing.T, fake fakeplatform.Platform) usersync.Secret {
	t.Helper()
	given := fake.Config().Credentials
	if fake.Name() != "http" {
		return usersync.NewSecret(string(given))
	}
	credentials := map[string]any{}
	must(t, json.Unmarshal(given, &credentials))
	credentials["headers"] = map[string]string{"X-Receiver": rand.Text()}
	text, err := json.Marshal(credentials)
	must(t, err)
	return usersync.NewSecret(string(text))
}

// sync submits one user and returns the request.
func (n customer) sync(t *testing.T, in usersync.UserInput, address string) string {
	t.Helper()
	var err error
	in.Email, err = identity.ParseEmail(address)
	must(t, err)
	if in.Country == "" {
		in.Country = "US"
	}
	a := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindUserSync, Salt: n.org.Salt,
		User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}}
	must(t, n.app.Batcher.Submit(t.Context(), &intake.Submission{Organization: n.org.ID, KeyID: n.key.ID, Items: []*intake.Acceptance{a}}))
	return a.RequestID
}

// step waits until a platform step has a status and returns it.
func (p *shownPlatform) step(t *testing.T, req string, want request.StepStatus) request.StepView {
	t.Helper()
	var got request.StepView
	apptest.Eventually(t, "the step is "+string(want), func() bool {
		for _, s := range p.report(t, req).Steps {
			if s.ConnectionID == p.connection.ID {
				got = s
			}
		}
		return got.Status == want
	})
	return got
}

func (n customer) until(t *testing.T, req string, want request.Status) *request.View {
	t.Helper()
	var r *request.View
	apptest.Eventually(t, "the request is "+string(want), func() bool {
		r = n.report(t, req)
		return r.Status == want
	})
	return r
}

func TestUserIsPushedToThePlatformAndTheWebhookTellsOfIt(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "http")
		receiver := apptest.NewReceiver(t)
		n.endpoint(t, receiver)
		id := n.sync(t, usersync.UserInput{FirstName: "Ada"}, "ada@acme.example.com")
		s := p.step(t, id, request.StepSynced)
		if s.Attempts != 1 || s.Platform != "http" || !strings.HasPrefix(s.Details, "User ") {
			t.Errorf("step %+v", s)
		}
		n.until(t, id, request.Succeeded)
		if one, ok := p.fake.People().Get("ada@acme.example.com"); !ok || one.Writes != 1 {
			t.Errorf("the platform has %+v", one)
		}
		apptest.Eventually(t, "the webhook arrived", func() bool { return len(receiver.Got()) == 1 })
		if body := string(receiver.Got()[0].Body); !strings.Contains(body, `"status":"synced"`) {
			t.Errorf("webhook %s", body)
		}
		again := n.sync(t, usersync.UserInput{FirstName: "Ada"}, "ada@acme.example.com")
		p.step(t, again, request.StepUnchanged)
		if calls := p.server.State("http").Calls; calls != 1 {
			t.Errorf("%d calls for the same content twice", calls)
		}
	})
}

func TestOutageIsRetriedAndAThrottleIsNoAttempt(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "http")
		p.server.Break("http", fakeplatform.Fault{Status: 429, RetryAfter: "1", Times: 1}, fakeplatform.Fault{Status: 503, Times: 1})
		id := n.sync(t, usersync.UserInput{}, "ada@acme.example.com")
		s := p.step(t, id, request.StepRetrying)
		if s.Error == nil || s.Error.Owner != usersync.OwnerPlatform || s.NextAttemptAt.IsZero() {
			t.Errorf("step %+v", s)
		}
		if s := p.step(t, id, request.StepSynced); s.Attempts != 2 {
			t.Errorf("%d attempts, want the one that failed and the one that did not", s.Attempts)
		}
		n.until(t, id, request.Succeeded)
	})
}

func TestRefusalFailsTheStepAndRetryMakesThatStepAlone(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		n.people(t, "bob@acme.example.com", "eve@acme.example.com")
		good, bad := n.connect(t, "http"), n.connect(t, "http")
		bad.server.Break("http", fakeplatform.Fault{Status: 422})
		id := n.sync(t, usersync.UserInput{}, "ada@acme.example.com")
		if s := bad.step(t, id, request.StepFailed); s.Error.Code != usersync.CodeRejected {
			t.Errorf("step %+v", s)
		}
		n.until(t, id, request.PartiallySucceeded)
		bad.server.Break("http")
		org := n.app.Store.Org(n.org.ID)
		_, err := intake.Retry(t.Context(), org, id, usersync.NewID(usersync.PrefixRequest), nil)
		must(t, err)
		n.app.Relay.Wake()
		n.until(t, id, request.Succeeded)
		if r := n.report(t, id); r.Credits.Charged != 1 || r.Colleagues.Found != 2 {
			t.Errorf("after the retry %+v %+v", r.Credits, r.Colleagues)
		}
		n.verify(t, 9)
		if calls := good.server.State("http").Calls; calls != 1 {
			t.Errorf("%d calls to the platform that had not failed", calls)
		}
	})
}

func TestRefusedCredentialsPauseTheConnectionUntilThereAreNewOnes(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "http")
		receiver := apptest.NewReceiver(t)
		n.subscribe(t, receiver, delivery.MessageDisconnected)
		p.server.Break("http", fakeplatform.Fault{Status: 401})
		id := n.sync(t, usersync.UserInput{}, "ada@acme.example.com")
		if s := p.step(t, id, request.StepSkipped); s.Reason != platform.ReasonConnectionDisconnected {
			t.Errorf("step %+v", s)
		}
		n.until(t, id, request.Processing)
		apptest.Eventually(t, "the owner was told", func() bool { return len(receiver.Got()) == 1 })
		if body := string(receiver.Got()[0].Body); !strings.Contains(body, p.connection.ID) {
			t.Errorf("webhook %s", body)
		}
		skipped := n.sync(t, usersync.UserInput{}, "bob@acme.example.com")
		p.step(t, skipped, request.StepSkipped)
		calls := p.server.State("http").Calls
		p.server.Break("http")
		_, err := platform.ResumeConnection(t.Context(), n.app.Store.Org(n.org.ID), "test", p.connection.ID)
		must(t, err)
		n.app.Relay.Wake()
		apptest.Eventually(t, "both users were pushed", func() bool { return p.fake.People().Len() == 2 })
		if more := p.server.State("http").Calls - calls; more != 2 {
			t.Errorf("%d calls after the resume", more)
		}
		n.until(t, id, request.Succeeded)
		n.until(t, skipped, request.Succeeded)
	})
}

func TestErasedPersonIsRemovedFromThePlatformToo(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "http")
		n.until(t, n.sync(t, usersync.UserInput{}, "Ada@acme.example.com"), request.Succeeded)
		n.until(t, n.sync(t, usersync.UserInput{}, "bob@acme.example.com"), request.Succeeded)
		erasure := n.erased(t, n.erase(t, "ada@acme.example.com"))
		if len(erasure.Platforms) != 1 || erasure.Platforms[0].Status != receipt.Removed || erasure.Platforms[0].Platform != "http" {
			t.Errorf("receipts %+v", erasure.Platforms)
		}
		if people := p.fake.People().Emails(); !slices.Equal(people, []string{"bob@acme.example.com"}) {
			t.Errorf("the platform holds %v", people)
		}
	})
}

func TestHundredUpdatesOfOneUserAreAtMostThreeCalls(t *testing.T) {
	t.Parallel()
	each(t, 1000, func(t *testing.T, n customer) {
		p := n.connect(t, "http")
		var last string
		began := time.Now()
		for i := range 100 {
			last = n.sync(t, usersync.UserInput{JobTitle: fmt.Sprintf("Engineer %d", i)}, "ada@acme.example.com")
			pace(t.Context(), began.Add(time.Duration(i)*20*time.Millisecond))
		}
		n.until(t, last, request.Succeeded)
		// There is one call at once, one every two seconds and one at the end. That
		// makes 3 if the machine keeps up with the pace.
		most := 2 + int(time.Since(began)/(2*time.Second))
		if calls := p.server.State("http").Calls; calls > most {
			t.Errorf("%d calls for 100 updates in %s, want at most %d", calls, time.Since(began), most)
		}
		one, _ := p.fake.People().Get("ada@acme.example.com")
		if text := fmt.Sprint(one.Fields); !strings.Contains(text, "Engineer 99") {
			t.Errorf("the platform has %s", text)
		}
	})
}

// pace waits until a point in time. It shapes the load of a test and synchronises
// nothing.
func pace(ctx context.Context, until time.Time) {
	select {
	case <-time.After(time.Until(until)):
	case <-ctx.Done():
	}
}

func TestPlatformThatHangsDelaysNoOtherConnectionAndNoOtherOrganization(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		hit, other := newTenant(t, a, 1000), newTenant(t, a, 1000)
		var hung []*shownPlatform
		for range 4 {
			p := hit.connect(t, "http")
			p.server.Break("http", fakeplatform.Fault{HangMS: 60_000})
			hung = append(hung, p)
		}
		beside, healthy := hit.connect(t, "http"), other.connect(t, "http")
		first := hit.sync(t, usersync.UserInput{}, "first@acme.example.com")
		beside.step(t, first, request.StepSynced)
		apptest.Eventually(t, "every platform that hangs has a call", func() bool {
			return !slices.ContainsFunc(hung, func(p *shownPlatform) bool { return p.server.State("http").AtOnce == 0 })
		})
		var slowest time.Duration
		for i := range 40 {
			hit.sync(t, usersync.UserInput{}, fmt.Sprintf("u%d@acme.example.com", i))
			began := time.Now()
			id := other.sync(t, usersync.UserInput{}, fmt.Sprintf("u%d@globex.example.com", i))
			healthy.step(t, id, request.StepSynced)
			slowest = max(slowest, time.Since(began))
		}
		if slowest > 10*time.Second { // a call that hangs takes longer
			t.Errorf("a push to a healthy platform took %s", slowest)
		}
		apptest.Eventually(t, "the healthy connection beside them has everybody", func() bool { return beside.fake.People().Len() == 41 })
		t.Logf("slowest push to a healthy platform: %s", slowest)
		for _, p := range hung {
			if p.server.State("http").AtOnce > 10 {
				t.Errorf("%d calls at once to one platform that hangs", p.server.State("http").AtOnce)
			}
			p.server.Break("http")
		}
	})
}
