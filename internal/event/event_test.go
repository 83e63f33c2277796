package event_test

import (
	"errors"
	"testing"

	"usersync/internal/event"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// A worker that does its work again writes the same ids: what it told stays told once.
func TestAnEventIsKeptOnceAndForItsOrganizationOnly(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 0, func(t *testing.T, n roomtest.Tenant) {
		other := roomtest.New(t, n.Store, 0)
		org := n.Org(n.Organization.ID)
		told := event.Event{ID: usersync.NewID(usersync.PrefixEvent), Type: event.UserUpdated, Source: "user-sync", UserID: "user_1", Cause: "req_1",
			Attributes: map[string]any{"fields": "first"}}
		again := told
		again.Attributes = map[string]any{"fields": "again"}
		for _, e := range []event.Event{told, again} {
			if err := n.Tx(t.Context(), func(tx *store.Tx) error { return event.Save(t.Context(), tx, org.ID(), []event.Event{e}) }); err != nil {
				t.Fatal(err)
			}
		}
		list, err := event.List(t.Context(), org, event.Filter{Limit: 10})
		if err != nil || len(list) != 1 || list[0].Attributes["fields"] != "first" || list[0].Cause != "req_1" || list[0].CreatedAt.IsZero() {
			t.Errorf("%+v %v", list, err)
		}
		if _, err := event.Get(t.Context(), n.Org(other.Organization.ID), told.ID); !errors.Is(err, event.ErrNotFound) {
			t.Errorf("another organization reads the event: %v", err)
		}
		if list, err = event.List(t.Context(), n.Org(other.Organization.ID), event.Filter{UserID: "user_1", Limit: 10}); err != nil || len(list) != 0 {
			t.Errorf("another organization lists %+v %v", list, err)
		}
	})
}

// The three statements behind List agree on order, pages and what they leave out.
func TestEventsAreListedByUserAndTypeNewestFirst(t *testing.T) {
	t.Parallel()
	roomtest.Each(t, 0, func(t *testing.T, n roomtest.Tenant) {
		org := n.Org(n.Organization.ID)
		var ids []string
		var events []event.Event
		for _, typ := range []event.Type{event.UserCreated, "page.viewed", event.UserUpdated, "page.viewed"} {
			ids = append(ids, usersync.NewID(usersync.PrefixEvent))
			events = append(events, event.Event{ID: ids[len(ids)-1], Type: typ, UserID: "user_1"})
		}
		events[3].UserID = "user_2"
		if err := n.Tx(t.Context(), func(tx *store.Tx) error { return event.Save(t.Context(), tx, org.ID(), events) }); err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct {
			filter event.Filter
			want   []int
		}{
			"all":                 {event.Filter{}, []int{3, 2, 1, 0}},
			"before":              {event.Filter{Before: ids[2]}, []int{1, 0}},
			"a common type":       {event.Filter{Type: event.UserUpdated}, []int{2}},
			"a rare type":         {event.Filter{Type: "page.viewed"}, []int{3, 1}},
			"a rare type, before": {event.Filter{Type: "page.viewed", Before: ids[3]}, []int{1}},
			"a user":              {event.Filter{UserID: "user_1"}, []int{2, 1, 0}},
			"a user and a type":   {event.Filter{UserID: "user_1", Type: "page.viewed"}, []int{1}},
		} {
			test.filter.Limit = 10
			list, err := event.List(t.Context(), org, test.filter)
			if err != nil || len(list) != len(test.want) {
				t.Errorf("%s: %d events, %v", name, len(list), err)
				continue
			}
			for i, e := range list {
				if e.ID != ids[test.want[i]] {
					t.Errorf("%s: place %d has %+v", name, i, e)
				}
			}
		}
	})
}
