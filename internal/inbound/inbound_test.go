package inbound_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/consent"
	"usersync/internal/delivery"
	"usersync/internal/erasure"
	"usersync/internal/event"
	"usersync/internal/inbound"
	"usersync/internal/outbox"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/tenant"
	"usersync/internal/usersync"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fixture is an organization with a connection, whose tasks the test works itself.
type fixture struct {
	roomtest.Tenant
	org        *store.Org
	connection string
	service    inbound.Service
	// resolver is what the platform says of its ids; failing has it answer nothing.
	addresses map[string]string
	failing   bool
}

// named is a platform that only says who is meant by an id.
type named struct {
	connector.Connector
	*fixture
}

func (n named) Resolve(_ context.Context, remotes []string) (map[string]string, error) {
	if n.failing {
		return nil, usersync.Errorf(usersync.CodeUnavailable, "away")
	}
	out := maps.Clone(n.addresses)
	maps.DeleteFunc(out, func(id, _ string) bool { return !slices.Contains(remotes, id) })
	return out, nil
}

func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	roomtest.Each(t, 10, func(t *testing.T, n roomtest.Tenant) {
		f := &fixture{Tenant: n, org: n.Org(n.Organization.ID), connection: n.Connect(t).ID}
		f.service = inbound.Service{Store: n.Store, Open: func(context.Context, string, string) (connector.Connector, error) { return named{fixture: f}, nil }}
		test(t, f)
	})
}

func (f *fixture) user(t *testing.T, address string) string {
	t.Helper()
	a := f.Acceptance(address)
	f.Accept(t, f.Submission(a))
	return a.UserID
}

// now is when calls come in these tests.
var now = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

func left(address string, at time.Time) connector.Signal {
	return connector.Signal{Email: address, Channel: usersync.ChannelEmail, Status: usersync.Unsubscribed, Reason: "manual", At: at}
}

func came(address string, at time.Time) connector.Signal {
	s := left(address, at)
	s.Status = usersync.Subscribed
	return s
}

func (f *fixture) tell(t *testing.T, told ...connector.Signal) {
	t.Helper()
	_, err := inbound.Accept(t.Context(), f.org, f.connection, told, now)
	must(t, err)
}

// claims takes the tasks that take signals in.
func (f *fixture) claims(t *testing.T) (out []usersync.Claim) {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), f.Store, queue.Push, "", outbox.Shares{Slots: 1000, Key: 100}, 100)
	must(t, err)
	for _, e := range taken {
		c, ok, err := outbox.Claim(t.Context(), f.Store, e.ID, e.Generation)
		must(t, err)
		if ok && e.Kind == inbound.TakeIn.Name {
			out = append(out, c)
		}
	}
	return out
}

func (f *fixture) work(t *testing.T) {
	t.Helper()
	handler := f.service.Handler()
	for _, c := range f.claims(t) {
		must(t, handler.Work(t.Context(), c))
	}
}

func (f *fixture) consent(t *testing.T, user string) usersync.Consent {
	t.Helper()
	all, err := consent.Of(t.Context(), f.org, user)
	must(t, err)
	return all[user][usersync.ChannelEmail]
}

func (f *fixture) events(t *testing.T, user string) (types []event.Type) {
	t.Helper()
	list, err := event.List(t.Context(), f.org, event.Filter{UserID: user, Limit: 100})
	must(t, err)
	for _, e := range list {
		if e.Type == event.UserSubscribed || e.Type == event.UserUnsubscribed {
			types = append(types, e.Type)
		}
	}
	return types
}

func TestTheNewestStatementCountsInWhateverOrderTheyCome(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ann := f.user(t, "ann@acme.example")
		f.tell(t, came("ann@acme.example", now.Add(-time.Hour)))
		f.work(t)
		f.tell(t, left("ANN@acme.example", now.Add(-2*time.Hour)), left("nobody@acme.example", now.Add(-time.Minute)))
		f.work(t)
		if c := f.consent(t, ann); c.Status != usersync.Subscribed || c.ConnectionID != f.connection || c.Source != "mailchimp" {
			t.Errorf("an older statement counts: %+v", c)
		}
		f.tell(t, left("ann@acme.example", now.Add(-time.Minute)), came("ann@acme.example", now.Add(-30*time.Minute)))
		f.work(t)
		if c := f.consent(t, ann); c.Status != usersync.Unsubscribed || !c.At.Equal(now.Add(-time.Minute)) {
			t.Errorf("the newest statement does not count: %+v", c)
		}
		if got, want := f.events(t, ann), []event.Type{event.UserUnsubscribed, event.UserSubscribed}; !slices.Equal(got, want) {
			t.Errorf("events are %v, want %v", got, want)
		}
	})
}

func TestACallThatComesAgainChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ann := f.user(t, "ann@acme.example")
		must1(delivery.CreateEndpoint(t.Context(), f.org, "test", delivery.Endpoint{URL: "https://x.example/", EventTypes: []string{"user.unsubscribed"}}, usersync.NewSecret("whsec_x")))(t)
		for range 3 {
			f.tell(t, left("ann@acme.example", now.Add(-time.Hour)), left("ann@acme.example", now.Add(-time.Hour)))
			f.tell(t, left("ann@acme.example", now.Add(-time.Hour)))
			f.work(t)
		}
		if got := f.events(t, ann); len(got) != 1 {
			t.Errorf("told %d times: %v", len(got), got)
		}
		if n := f.count(t, "messages"); n != 1 {
			t.Errorf("%d messages, want one", n)
		}
		if n := f.count(t, "signals"); n != 0 {
			t.Errorf("%d signals are left", n)
		}
	})
}

func must1[T any](_ T, err error) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		must(t, err)
	}
}

func (f *fixture) count(t *testing.T, table string) (n int) {
	t.Helper()
	must(t, f.Tx(t.Context(), func(tx *store.Tx) error { return tx.GORM().Raw("SELECT count(*) FROM " + table).Scan(&n).Error }))
	return n
}

// A platform whose clock is ahead must not overrule what a user says tomorrow.
func TestWhatIsToHappenOnlyLaterCountsAsToldNow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ann := f.user(t, "ann@acme.example")
		f.tell(t, left("ann@acme.example", now.AddDate(1, 0, 0)), left("ann@acme.example", time.Unix(0, 0)))
		f.work(t)
		if c := f.consent(t, ann); c.Status != usersync.Unsubscribed || !c.At.Equal(now) {
			t.Errorf("%+v", c)
		}
	})
}

func TestAPlatformIsAskedWhoIsMeantByAnID(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ann, bob := f.user(t, "ann@acme.example"), f.user(t, "bob@acme.example")
		f.addresses, f.failing = map[string]string{"17": "Ann@acme.example", "18": "stranger@acme.example"}, true
		told := func(s connector.Signal) connector.Signal {
			s.Email = ""
			return s
		}
		a, b, c, d := left("", now.Add(-time.Hour)), left("", now.Add(-time.Hour)), left("", now.Add(-time.Hour)), left("", now.Add(-time.Hour))
		a.Remote, b.Remote, c.Remote, d.UserID = "17", "18", "19", bob
		f.tell(t, told(a), told(b), told(c), told(d))
		claims := f.claims(t)
		if err := f.service.Handler().Work(t.Context(), claims[0]); usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Fatalf("a platform that cannot be asked: %v", err)
		}
		if n := f.count(t, "signals"); n != 4 {
			t.Fatalf("%d signals are kept, want 4", n)
		}
		f.failing = false
		must(t, f.service.Handler().Work(t.Context(), claims[0]))
		for _, u := range []string{ann, bob} {
			if c := f.consent(t, u); c.Status != usersync.Unsubscribed {
				t.Errorf("%+v", c)
			}
		}
		if n := f.count(t, "consents"); n != 2 {
			t.Errorf("%d consents, want 2", n)
		}
	})
}

// pushed makes a user one whom two connections have.
func (f *fixture) pushed(t *testing.T, user string, connections ...string) {
	t.Helper()
	must(t, f.Tx(t.Context(), func(tx *store.Tx) error {
		for _, c := range connections {
			if err := platform.MarkOverridden(t.Context(), tx, f.Organization.ID, c, map[string]string{user: ""}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// due returns the connections at which the user is to be pushed again.
func (f *fixture) due(t *testing.T, connections ...string) (out []string) {
	t.Helper()
	for _, c := range connections {
		list, err := platform.DuePushes(t.Context(), f.org, c, 10)
		must(t, err)
		if len(list) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func TestOtherPlatformsFollowWhereTheOrganizationSaysSo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		other, third := f.Connect(t).ID, f.Connect(t).ID
		ann, bob := f.user(t, "ann@acme.example"), f.user(t, "bob@acme.example")
		f.pushed(t, ann, f.connection, other)
		f.pushed(t, bob, f.connection, other)
		f.tell(t, left("ann@acme.example", now.Add(-time.Hour)))
		f.work(t)
		if due := f.due(t, f.connection, other, third); len(due) > 0 {
			t.Errorf("nobody said that others follow, but %v does", due)
		}
		if got := consent.Told(f.consent(t, ann), other); got != usersync.Unknown {
			t.Errorf("the other platform would be told %q", got)
		}
		_, err := tenant.Update(t.Context(), f.org, "test", func(o *tenant.Organization) ([]string, error) {
			o.Settings.FollowUnsubscribes = true
			return []string{"settings.followUnsubscribes"}, nil
		})
		must(t, err)
		f.tell(t, left("bob@acme.example", now.Add(-time.Hour)))
		f.work(t)
		if due := f.due(t, f.connection, other, third); !slices.Equal(due, []string{other}) {
			t.Errorf("%v follow, want %s alone: it has the user, and did not tell it", due, other)
		}
		said := f.consent(t, bob)
		if consent.Told(said, other) != usersync.Unsubscribed || consent.Told(said, f.connection) != usersync.Unknown {
			t.Errorf("told would be %q and, who told it, %q", consent.Told(said, other), consent.Told(said, f.connection))
		}
	})
}

func TestAnErasedPersonLeavesNoSignalAndNoConsent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ann := f.user(t, "ann@acme.example")
		f.tell(t, came("ann@acme.example", now.Add(-2*time.Hour)))
		f.work(t)
		f.tell(t, left("ann@acme.example", now.Add(-time.Hour)), left("bob@acme.example", now.Add(-time.Hour)))
		_, err := erasure.Begin(t.Context(), f.org, "test", f.Organization.Salt, erasure.Subject{UserID: ann},
			func(tr erasure.Traces) usersync.Task { return erasure.Task(f.Organization.ID, tr) })
		must(t, err)
		if signals, consents := f.count(t, "signals"), f.count(t, "consents"); signals != 1 || consents != 0 {
			t.Errorf("%d signals and %d consents are left, want bob's signal alone", signals, consents)
		}
		f.work(t)
		if n := f.count(t, "consents"); n != 0 {
			t.Errorf("%d consents", n)
		}
	})
}

func TestASecretAddressLeadsToItsOrganizationAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		knock := func(connection string, secret usersync.Secret) string {
			organization, err := inbound.Knock(t.Context(), f.Store, connection, secret)
			if err != nil && !errors.Is(err, inbound.ErrNoDoor) {
				t.Fatal(err)
			}
			return organization
		}
		if knock(f.connection, usersync.Secret{}) != "" {
			t.Error("a connection without an address is open")
		}
		first, err := inbound.Open(t.Context(), f.org, "test", f.connection)
		must(t, err)
		second, err := inbound.Open(t.Context(), f.org, "test", f.connection)
		must(t, err)
		other := f.Connect(t).ID
		if knock(f.connection, second) != f.Organization.ID || knock(f.connection, first) != "" || knock(other, second) != "" || knock("con_none", second) != "" {
			t.Error("the wrong address is open")
		}
		if len(second.Reveal()) < 43 {
			t.Errorf("the secret has %d characters", len(second.Reveal()))
		}
		if _, err := inbound.Open(t.Context(), f.Org(roomtest.New(t, f.Store, 0).Organization.ID), "test", f.connection); !errors.Is(err, platform.ErrNoConnection) {
			t.Errorf("a stranger opens an address: %v", err)
		}
		must(t, platform.DeleteConnection(t.Context(), f.org, "test", f.connection))
		if knock(f.connection, second) != "" {
			t.Error("a deleted connection is open")
		}
		if err := inbound.Close(t.Context(), f.org, "test", f.connection); !errors.Is(err, platform.ErrNoConnection) {
			t.Error(err)
		}
	})
}
