package pusher_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/identity"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// moving is a platform that moves contacts, at first in vain.
type moving struct {
	*wishful
	failing bool
	from    []string
}

func (m *moving) Move(_ context.Context, p connector.Profile, from usersync.Email) (connector.Result, error) {
	if m.failing {
		return connector.Result{}, usersync.Errorf(usersync.CodeUnavailable, "away")
	}
	m.log, m.from = append(m.log, "move "+p.UserID), append(m.from, from.Key()+" "+p.Email.Key())
	return ability.Moved("r1"), nil
}

// readdress gives a user another address, and has the connection follow.
func (o *order) readdress(id, to string) {
	o.t.Helper()
	email, err := identity.ParseEmail(to)
	must(o.t, err)
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) error {
		former, err := user.ChangeAddress(o.t.Context(), tx, o.org.ID(), id, email, 0)
		if err != nil {
			return err
		}
		if err := platform.NoteMove(o.t.Context(), tx, o.org.ID(), id, former.Display()); err != nil {
			return err
		}
		return platform.PushAgain(o.t.Context(), tx, o.org.ID(), []string{id}, "")
	}))
}

// A contact is moved before it is pushed, from the address that the platform has, however
// often the user moves in between, and once.
func TestAMoveComesBeforeThePush(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		m := &moving{wishful: &wishful{model: o.model}}
		o.platform = m
		o.change(1)
		must(t, o.pusher.Work(t.Context(), o.take()))
		id := strings.TrimPrefix(m.log[0], "push ")
		u, err := user.Get(t.Context(), o.org, id)
		must(t, err)
		m.log, m.failing = nil, true
		o.readdress(id, "first@other.example.com")
		o.readdress(id, "second@other.example.com")
		o.travel()
		must(t, o.pusher.Work(t.Context(), o.take()))
		if len(m.log) > 0 {
			t.Fatalf("who could not be moved is pushed: %v", m.log)
		}
		m.failing = false
		o.travel()
		must(t, o.pusher.Work(t.Context(), o.take()))
		if want := []string{"move " + id, "push " + id}; !slices.Equal(m.log, want) {
			t.Errorf("%v, want %v", m.log, want)
		}
		if want := []string{u.Email.Key() + " second@other.example.com"}; !slices.Equal(m.from, want) {
			t.Errorf("moved %v, want %v", m.from, want)
		}
		m.log = nil
		must(t, o.store.Tx(t.Context(), func(tx *store.Tx) error {
			return platform.PushAgain(t.Context(), tx, o.org.ID(), []string{id}, "")
		}))
		o.travel()
		must(t, o.pusher.Work(t.Context(), o.take()))
		if want := []string{"push " + id}; !slices.Equal(m.log, want) {
			t.Errorf("afterwards %v, want %v", m.log, want)
		}
	})
}
