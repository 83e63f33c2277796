package consent_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"usersync/internal/consent"
	"usersync/internal/event"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// Whatever the order in which statements come, alone or together, what the newest says
// counts. Only what turns a channel on or off is told.
func TestTheNewestStatementCounts(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 5, func(t *testing.T, n roomtest.Tenant) {
		rng := rand.New(rand.NewPCG(1, 2))
		base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for round := range 20 {
			a := n.Acceptance(string(rune('a'+round)) + "@acme.example")
			n.Accept(t, n.Submission(a))
			var said []consent.Statement
			for i := range 6 {
				status := consent.Statuses[rng.IntN(2)]
				said = append(said, consent.Statement{UserID: a.UserID, Channel: usersync.ChannelEmail, Actor: "key_1",
					Consent: usersync.Consent{Status: status, Source: "test", At: usersync.Time{Time: base.Add(time.Duration(i) * time.Minute)}}})
			}
			want := said[len(said)-1].Consent
			rng.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
			cut := rng.IntN(len(said))
			for _, some := range [][]consent.Statement{said[:cut], said[cut:], said} {
				err := n.Tx(t.Context(), func(tx *store.Tx) error {
					_, err := consent.Save(t.Context(), tx, n.Organization.ID, some)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			all, err := consent.Of(t.Context(), n.Org(n.Organization.ID), a.UserID)
			if got := all[a.UserID][usersync.ChannelEmail]; err != nil || got.Status != want.Status || !got.At.Equal(want.At.Time) {
				t.Fatalf("%+v, want %+v, %v", got, want, err)
			}
			events, err := event.List(t.Context(), n.Org(n.Organization.ID), event.Filter{UserID: a.UserID, Type: types[want.Status], Limit: 10})
			if err != nil || len(events) == 0 {
				t.Fatalf("nothing tells that the user is %s: %v", want.Status, err)
			}
		}
	})
}

var types = map[usersync.ConsentStatus]event.Type{usersync.Subscribed: event.UserSubscribed, usersync.Unsubscribed: event.UserUnsubscribed}

// Who has left the organization, or is of another one, has no consent.
func TestOnlyUsersOfTheOrganizationHaveConsents(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 5, func(t *testing.T, n roomtest.Tenant) {
		a, other := n.Acceptance("ann@acme.example"), roomtest.New(t, n.Store, 0)
		n.Accept(t, n.Submission(a))
		said := func(id string) consent.Statement {
			return consent.Statement{UserID: id, Channel: usersync.ChannelEmail, Consent: usersync.Consent{Status: usersync.Subscribed, Source: "x", At: usersync.Time{Time: time.Now()}}}
		}
		err := n.Tx(t.Context(), func(tx *store.Tx) error {
			changed, err := consent.Save(t.Context(), tx, other.Organization.ID, []consent.Statement{said(a.UserID), said("user_none")})
			if len(changed) > 0 {
				t.Errorf("changed %+v", changed)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if all, err := consent.Of(t.Context(), n.Org(n.Organization.ID), a.UserID); err != nil || len(all) > 0 {
			t.Errorf("%+v, %v", all, err)
		}
	})
}
