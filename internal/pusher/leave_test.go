package pusher_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/intake"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// listed is a platform with one list, off which people can be taken.
type listed struct{ *wishful }

func (*listed) Belonging() connector.Target { return connector.Target{Place: "the 'all' list"} }

func (l *listed) Leave(_ context.Context, people []connector.Profile, _ ability.Departure) ([]connector.Result, error) {
	return l.note("leave", people, ability.Left(""))
}

// ask has a user pushed, or taken off the list, as a request of a rank does.
func (o *order) ask(id string, in usersync.PlatformSync, rank int) {
	o.t.Helper()
	u, err := user.Get(o.t.Context(), o.org, id)
	must(o.t, err)
	input, err := json.Marshal(in)
	must(o.t, err)
	a := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindPlatformSync, UserID: id, User: intake.NewUser{UserInput: usersync.UserInput{Email: u.Email}}, Input: input}
	sub := &intake.Submission{Organization: o.org.ID(), KeyID: o.key, Items: []*intake.Acceptance{a}}
	must(o.t, intake.AcceptPlanned(o.t.Context(), o.store, []*intake.Submission{sub}, func([]*intake.Acceptance) []usersync.Task { return nil }))
	want := platform.Want{ConnectionID: o.conn, UserID: id, RequestID: a.RequestID, Mode: in.Mode(), Version: u.Version, Rank: rank}
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) error {
		return platform.WantPushes(o.t.Context(), tx, o.org.ID(), []platform.Want{want})
	}))
	o.travel()
	must(o.t, o.pusher.Work(o.t.Context(), o.take()))
}

// Who was taken off the list is brought back only by a call about them alone.
func TestWhoWasTakenOffTheListStaysOffIt(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		l := &listed{&wishful{model: o.model}}
		o.platform = l
		o.change(1)
		must(t, o.pusher.Work(t.Context(), o.take()))
		id := strings.TrimPrefix(l.log[0], "push ")
		for _, c := range []struct {
			what string
			do   func()
			want []string
		}{
			{"a removal", func() { o.ask(id, usersync.PlatformSync{Remove: true}, platform.RankOnDemand) }, []string{"leave " + id}},
			{"what was told of them", func() { o.ask(id, usersync.PlatformSync{}, platform.RankOrdinary) }, nil},
			{"a push of many with a tag", func() { o.ask(id, usersync.PlatformSync{Force: true}, platform.RankBulk) }, nil},
			{"a call about them", func() { o.ask(id, usersync.PlatformSync{}, platform.RankOnDemand) }, []string{"push " + id}},
			{"what was told of them then", func() { o.ask(id, usersync.PlatformSync{Force: true}, platform.RankBulk) }, []string{"push " + id}},
			{"another removal", func() { o.ask(id, usersync.PlatformSync{Remove: true}, platform.RankBulk) }, []string{"leave " + id}},
			{"a call about them with a name", func() { o.ask(id, usersync.PlatformSync{FirstName: "Ann"}, platform.RankOnDemand) }, []string{"push " + id}},
			{"what was told of them at last", func() { o.ask(id, usersync.PlatformSync{Force: true}, platform.RankBulk) }, []string{"push " + id}},
		} {
			l.log = nil
			if c.do(); !slices.Equal(l.log, c.want) {
				t.Errorf("%s: %v, want %v", c.what, l.log, c.want)
			}
		}
	})
}
