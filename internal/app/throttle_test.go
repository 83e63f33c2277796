package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/request"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

// manageConnection makes a call about the connection, with a key that may manage it.
func (p *shownPlatform) manageConnection(t *testing.T, client *apptest.Client, method, rest string) platform.Connection {
	t.Helper()
	_, secret, err := tenant.CreateKey(t.Context(), p.app.Store, "test", p.org.ID, tenant.Key{Name: "m", Scopes: []tenant.Scope{tenant.ScopeManage}})
	must(t, err)
	a := client.Do(t, apptest.Call{Method: method, Path: "/v1/connections/" + p.connection.ID + rest, Header: http.Header{"X-Api-Key": {secret.Reveal()}}})
	if a.Status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, rest, a.Status, a.Body)
	}
	var c platform.Connection
	must(t, json.Unmarshal(a.Body, &c))
	return c
}

func TestAPauseThatAPlatformAsksForIsBoundedShownAndLiftedAndHoldsForOneTenant(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		client := a.Client(t)
		// Both are connected to the account of the same name, each at a server of its own.
		p, other := newTenant(t, a, 10).connect(t, "activecampaign"), newTenant(t, a, 10).connect(t, "activecampaign")
		p.server.Break(p.name, fakeplatform.Fault{Status: http.StatusTooManyRequests, RetryAfter: "86400"})
		began := time.Now()
		id := p.sync(t, usersync.UserInput{FirstName: "Ada"}, "ada@acme.example.com")
		s := p.step(t, id, request.StepRetrying)
		if wait := s.NextAttemptAt.Sub(began); wait < 50*time.Minute || wait > queue.MaxPause+time.Minute {
			t.Errorf("the step is tried again after %v", wait)
		}
		var got platform.Connection
		apptest.Eventually(t, "the pause is shown", func() bool {
			got = p.manageConnection(t, client, http.MethodGet, "")
			return !got.ThrottledUntil.IsZero()
		})
		if wait := got.ThrottledUntil.Sub(began); wait < 50*time.Minute || wait > queue.MaxPause+time.Minute {
			t.Errorf("the pause ends after %v", wait)
		}
		theirs := other.sync(t, usersync.UserInput{FirstName: "Grace"}, "grace@globex.example.com")
		other.step(t, theirs, request.StepSynced)

		p.server.Break(p.name)
		calls := p.server.State(p.name).Calls
		later := p.sync(t, usersync.UserInput{FirstName: "Bob"}, "bob@acme.example.com")
		if n := p.server.State(p.name).Calls; n != calls {
			t.Errorf("%d calls during the pause", n-calls)
		}
		if got = p.manageConnection(t, client, http.MethodPost, "/resume"); !got.ThrottledUntil.IsZero() || got.Status != platform.ConnectionActive {
			t.Errorf("after resume: %+v", got)
		}
		p.step(t, id, request.StepSynced)
		p.step(t, later, request.StepSynced)
		if got = p.manageConnection(t, client, http.MethodGet, ""); !got.ThrottledUntil.IsZero() {
			t.Errorf("paused again until %v", got.ThrottledUntil)
		}
	})
}

func TestAUserWhomOurOwnLimitHoldsBackWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.serve(t, "http")
		settings := map[string]any{}
		must(t, json.Unmarshal(p.connection.Settings, &settings))
		settings["callsPerSecond"] = 0.001
		text, err := json.Marshal(settings)
		must(t, err)
		p.connection.Settings, p.connection.Credentials = text, ownCredentials(t, p.fake)
		p.connection = n.create(t, p.connection)
		first := n.sync(t, usersync.UserInput{FirstName: "Ada"}, "ada@acme.example.com")
		p.step(t, first, request.StepSynced)
		second := n.sync(t, usersync.UserInput{FirstName: "Bob"}, "bob@acme.example.com")
		var s request.StepView
		apptest.Eventually(t, "the step says that it waits for its turn", func() bool {
			s = p.step(t, second, request.StepPending)
			return s.Details != ""
		})
		if s.Error != nil || s.Attempts != 0 || s.NextAttemptAt.IsZero() || !strings.Contains(s.Details, "turn") {
			t.Errorf("the step says %+v", s)
		}
		c, err := platform.GetConnection(t.Context(), n.app.Store.Org(n.org.ID), p.connection.ID)
		must(t, err)
		if !c.ThrottledUntil.IsZero() {
			t.Errorf("the platform is said to want no calls until %v", c.ThrottledUntil)
		}
	})
}
