package brevo_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/connector/brevo/fake"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

const confirmed = `{"list":"7","importFrom":2,"doubleOptInTemplate":3,"doubleOptInUrl":"https://example.com/thanks"}`

// agreed returns a person who said at a time that they want e-mail.
func agreed(p connector.Profile, at time.Time) connector.Profile {
	p.Consents = usersync.Consents{usersync.ChannelEmail: {Status: usersync.Subscribed, At: usersync.Time{Time: at}}}
	return p
}

func TestWhoAgreedIsAskedOnceAndOnTheListWhenTheyHaveConfirmed(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t, spec.Validate(t, "brevo"))
	f, c := a.Fake.(*fake.Fake), a.Open(confirmed)
	s, _ := ability.SubscriberOf(c)
	people := []connector.Profile{agreed(connectortest.Ada(t), time.Now()), connectortest.Grace(t)}
	address := people[0].Email.Display()
	onList := func() bool {
		one, _ := f.People().Get(address)
		return slices.Contains(one.Lists, "7")
	}
	subscribe := func(want string) {
		t.Helper()
		results, err := s.Subscribe(t.Context(), people[:1])
		if err != nil || results[0].Status != connector.Updated || results[0].Details != want {
			t.Fatalf("%+v, %v, want %q", results, err, want)
		}
		people[0].Remote = results[0].Remote
	}
	for round := range 3 { // pushed again, as other fields change
		for i, r := range a.Push(c, people...) {
			if people[i].Remote = r.Remote; !strings.Contains(r.Details, "not added to the 'active-clients' list") {
				t.Fatalf("%+v", r)
			}
		}
		if f.People().Len() != 2 || onList() {
			t.Fatalf("%d people, on the list %v before they have confirmed", f.People().Len(), onList())
		}
		subscribe([]string{"Brevo asks them to confirm", "Brevo has asked them to confirm"}[min(round, 1)])
	}
	people[0] = agreed(people[0], time.Now().Add(time.Second)) // they agree once more
	subscribe("Brevo asks them to confirm")
	if n, none := f.Asked(address), f.Asked(people[1].Email.Display()); n != 2 || none != 0 {
		t.Errorf("%d e-mails for two consents, %d for who did not agree", n, none)
	}
	f.Confirm(address)
	if r := a.Push(c, people[:1]...)[0]; r.Status != connector.Updated || !strings.Contains(r.Details, "in the 'active-clients' list") || !onList() {
		t.Errorf("%+v", r)
	}
	subscribe("")
	if _, err := c.Remove(t.Context(), people[0]); err != nil || f.People().Len() != 1 {
		t.Errorf("removed: %v, %d people", err, f.People().Len())
	}
}

// So many people are looked up by pages of all contacts.
func TestWhoIsOnTheListHasConfirmedAlsoInALargePush(t *testing.T) {
	t.Parallel()
	a, people := platform.Serve(t), connectortest.People(t, 20)
	before := a.Open(`{"list":"7"}`)
	a.Confirm(before, people, a.Push(before, people...))
	for i, r := range a.Push(a.Open(confirmed), people...) {
		if strings.Contains(r.Details, "has not confirmed") {
			t.Fatalf("person %d: %+v", i, r)
		}
	}
}

func TestWhoHasLeftIsNotAskedToConfirm(t *testing.T) {
	t.Parallel()
	for _, how := range []fakeplatform.Leaving{fakeplatform.LeftList, fakeplatform.LeftAll} {
		a := platform.Serve(t, spec.Validate(t, "brevo"))
		f, c := a.Fake.(*fake.Fake), a.Open(confirmed)
		s, _ := ability.SubscriberOf(c)
		ada := connectortest.Ada(t)
		a.Push(c, ada)
		f.Leave(ada.Email.Display(), how)
		a.Push(c, ada)
		results, err := s.Subscribe(t.Context(), []connector.Profile{agreed(ada, time.Now())})
		if err != nil || results[0].Status != connector.Skipped || f.Asked(ada.Email.Display()) != 0 || !f.Gone(ada.Email.Display(), how) {
			t.Errorf("%+v, %v, %d e-mails", results, err, f.Asked(ada.Email.Display()))
		}
	}
}

func TestWithoutATemplateNobodyIsAsked(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	if _, asks := ability.SubscriberOf(a.Open(`{"list":"7"}`)); asks {
		t.Error("a connection without a template asks people to confirm")
	}
	for _, settings := range []string{`{"list":"7","doubleOptInTemplate":3}`, `{"list":"7","doubleOptInUrl":"https://example.com/"}`, `{"list":"7","doubleOptInTemplate":3,"doubleOptInUrl":"thanks"}`} {
		if _, err := a.Kind.Open(connector.Config{Credentials: a.Fake.Config().Credentials, Settings: []byte(settings)}, nil); usersync.CodeOf(err) != usersync.CodeInvalid {
			t.Errorf("%s: %v", settings, err)
		}
	}
}
