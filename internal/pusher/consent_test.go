package pusher_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/consent"
	"usersync/internal/platform"
	"usersync/internal/store"
	"usersync/internal/usersync"
)

// wishful is a platform that can be told what people want.
type wishful struct {
	*model
	log []string
}

func (w *wishful) note(what string, people []connector.Profile, result connector.Result) ([]connector.Result, error) {
	results := make([]connector.Result, len(people))
	for i, p := range people {
		w.log, results[i] = append(w.log, what+" "+p.UserID), result
	}
	return results, nil
}

func (w *wishful) Push(_ context.Context, people []connector.Profile) ([]connector.Result, error) {
	return w.note("push", people, connector.Result{Status: connector.Updated, Details: "User updated"})
}

func (w *wishful) Unsubscribe(_ context.Context, people []connector.Profile) ([]connector.Result, error) {
	return w.note("unsubscribe", people, connector.Result{Status: connector.Updated})
}

func (w *wishful) Subscribe(_ context.Context, people []connector.Profile) ([]connector.Result, error) {
	return w.note("subscribe", people, connector.Result{Status: connector.Updated, Details: "told"})
}

// say stores what a user said, and has the connection follow.
func (o *order) say(user string, c usersync.Consent) {
	o.t.Helper()
	must(o.t, o.store.Tx(o.t.Context(), func(tx *store.Tx) error {
		if _, err := consent.Save(o.t.Context(), tx, o.org.ID(), []consent.Statement{{UserID: user, Channel: usersync.ChannelEmail, Consent: c}}); err != nil {
			return err
		}
		return platform.PushAgain(o.t.Context(), tx, o.org.ID(), []string{user}, "")
	}))
}

// Who does not want mail is told of before the platform gets anything else of them, and
// who agreed once it has them. What a platform has told itself it is not told.
func TestWishesAreToldAroundAPush(t *testing.T) {
	t.Parallel()
	eachOrder(t, func(t *testing.T, o *order) {
		w := &wishful{model: o.model}
		o.platform = w
		o.change(1)
		must(t, o.pusher.Work(t.Context(), o.take()))
		if len(w.log) != 1 || !strings.HasPrefix(w.log[0], "push ") {
			t.Fatalf("without a wish: %v", w.log)
		}
		user := strings.TrimPrefix(w.log[0], "push ")
		at := time.Now().Add(-time.Hour)
		said := func(status usersync.ConsentStatus, connection string) usersync.Consent {
			at = at.Add(time.Minute)
			return usersync.Consent{Status: status, Source: "test", ConnectionID: connection, At: usersync.Time{Time: at}}
		}
		for _, c := range []struct {
			said usersync.Consent
			want []string
		}{
			{said(usersync.Unsubscribed, ""), []string{"unsubscribe", "push"}},
			{said(usersync.Subscribed, ""), []string{"push", "subscribe"}},
			{said(usersync.Unsubscribed, o.conn), []string{"push"}},
			{said(usersync.Unknown, ""), []string{"push"}},
		} {
			w.log = nil
			o.say(user, c.said)
			o.travel()
			must(t, o.pusher.Work(t.Context(), o.take()))
			var got []string
			for _, line := range w.log {
				what, _, _ := strings.Cut(line, " ")
				got = append(got, what)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("after %s by %q: %v, want %v", c.said.Status, c.said.ConnectionID, got, c.want)
			}
		}
	})
}
