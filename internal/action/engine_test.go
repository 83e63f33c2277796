package action_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"usersync/internal/action"
	"usersync/internal/colleague"
	"usersync/internal/event"
	"usersync/internal/fairness"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/outbox"
	"usersync/internal/pipeline"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/reaction"
	"usersync/internal/request"
	"usersync/internal/roomtest"
	"usersync/internal/store"
	"usersync/internal/telemetry"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// desk is an organization whose events and runs a test works by itself.
type desk struct {
	roomtest.Tenant
	t        *testing.T
	db       *sql.DB
	handlers map[string]queue.Handler
}

func eachDesk(t *testing.T, test func(t *testing.T, d *desk)) {
	t.Helper()
	roomtest.Engines(t, func(t *testing.T, s *store.Store, db *sql.DB) {
		redis, err := embedded.Start()
		must(t, err)
		t.Cleanup(redis.Close)
		q, err := queue.Connect(queue.Options{URL: redis.URL(), Namespace: "t", Log: slog.New(slog.DiscardHandler)})
		must(t, err)
		t.Cleanup(func() { _ = q.Close() })
		d := &desk{Tenant: roomtest.New(t, s, 0), t: t, db: db, handlers: map[string]queue.Handler{}}
		runs := &pipeline.Service{Turns: fairness.NewTurns(&fairness.Presence{}), Store: s, Queue: q, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewMetrics(), Search: &colleague.Search{Own: []colleague.Source{colleague.Users{}}}}
		actions := &action.Service{Turns: fairness.NewTurns(&fairness.Presence{}), Store: s, Log: slog.New(slog.DiscardHandler), Doers: action.Doers(means(s))}
		for _, h := range append(runs.Handlers(), actions.Handler()) {
			d.handlers[h.Kind] = h
		}
		test(t, d)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (d *desk) org() *store.Org { return d.Org(d.Organization.ID) }

// followUp makes a follow-up from its JSON.
func (d *desk) followUp(definition string) catalog.FollowUp {
	d.t.Helper()
	p, err := followup.Parse([]byte(definition))
	must(d.t, err)
	f, err := catalog.Create(d.t.Context(), d.org(), "test", p.Definition, catalog.Active)
	must(d.t, err)
	return f
}

// report has an event of a user accepted, and returns its id.
func (d *desk) report(kind followup.EventType, address string, attributes map[string]any) string {
	d.t.Helper()
	email, err := identity.ParseEmail(address)
	must(d.t, err)
	in := usersync.UserInput{Email: email, Attributes: attributes}
	a := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindEvent, Salt: d.Organization.Salt,
		User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}, Event: &intake.NewEvent{Type: string(kind), Attributes: attributes}}
	sub := d.Submission(a)
	must(d.t, intake.Accept(d.t.Context(), d.Store, []*intake.Submission{sub}))
	if sub.Err != nil {
		d.t.Fatal(sub.Err)
	}
	return a.EventID()
}

// nobody has an event accepted that is about nobody, and returns its id.
func (d *desk) nobody(kind followup.EventType) string {
	d.t.Helper()
	a := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindEvent, Input: []byte("{}"), Event: &intake.NewEvent{Type: string(kind)}}
	sub := d.Submission(a)
	must(d.t, intake.Accept(d.t.Context(), d.Store, []*intake.Submission{sub}))
	if sub.Err != nil {
		d.t.Fatal(sub.Err)
	}
	return a.EventID()
}

// work works what is ready, in the queues of events and runs, until nothing is.
func (d *desk) work() {
	d.t.Helper()
	for d.workOnce(queue.Run)+d.workOnce(queue.Push) > 0 {
		continue
	}
}

func (d *desk) workOnce(q string) int {
	d.t.Helper()
	taken, err := outbox.TakeReady(d.t.Context(), d.Store, q, "", outbox.Shares{Slots: 1000, Key: 100}, 100)
	must(d.t, err)
	for _, e := range taken {
		c, ok, err := outbox.Claim(d.t.Context(), d.Store, e.ID, e.Generation)
		must(d.t, err)
		if ok {
			must(d.t, d.handlers[e.Kind].Work(d.t.Context(), c))
		}
	}
	return len(taken)
}

// pass lets time pass: what is scheduled is due.
func (d *desk) pass() {
	d.t.Helper()
	roomtest.Execute(d.t, d.db, `UPDATE outbox SET look_at = 1 WHERE state = 'scheduled' AND kind = 'followup.run'`)
	_, err := outbox.Promote(d.t.Context(), d.Store, 1000)
	must(d.t, err)
	d.work()
}

func (d *desk) story(event string) reaction.Story {
	d.t.Helper()
	v, err := reaction.Show(d.t.Context(), d.org(), event)
	must(d.t, err)
	return v.FollowUps
}

// statuses are those of the runs of an event.
func (d *desk) statuses(event string) (out []reaction.Status) {
	for _, r := range d.story(event).Runs {
		out = append(out, r.Status)
	}
	return out
}

func (d *desk) user(address string) user.Stored {
	d.t.Helper()
	email, err := identity.ParseEmail(address)
	must(d.t, err)
	list, err := user.ByEmail(d.t.Context(), d.org(), email)
	if err != nil || len(list) != 1 {
		d.t.Fatal(list, err)
	}
	return list[0]
}

const ann = "ann@example.com"

func TestAnEventSetsOffTheFollowUpsThatMatch(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(`{"name":"greet","trigger":{"type":"user/register"},"condition":{"field":"attributes.country","equals":"NL"},"actions":[
			{"type":"update-user","set":{"firstName":"Ann","attributes.source":"form {{.attributes.form}}","attributes.score":7},"unset":["attributes.old"]},
			{"type":"add-tag","tags":["welcome","from {{.attributes.country}}"]},
			{"type":"branch","if":{"field":"profile.tags","contains":"welcome"},"then":[{"type":"remove-tag","tags":["from NL"]}],"else":[{"type":"add-tag","tags":["never"]}]}]}`)
		d.followUp(`{"name":"other country","trigger":{"type":"user/register"},"condition":{"field":"attributes.country","equals":"BE"},"actions":[{"type":"add-tag","tags":["be"]}]}`)
		d.followUp(`{"name":"other type","trigger":{"type":"user/remove"},"actions":[{"type":"add-tag","tags":["gone"]}]}`)
		id := d.report(followup.UserRegister, ann, map[string]any{"country": "NL", "form": "7", "old": "x"})
		d.work()
		s := d.story(id)
		if len(s.Runs) != 1 || s.Runs[0].Status != reaction.Succeeded || len(s.Runs[0].Actions) != 4 || s.Runs[0].Name != "greet" {
			t.Fatalf("%+v", s)
		}
		if len(s.Unmatched) != 1 || s.Unmatched[0].Name != "other country" || !strings.Contains(s.Unmatched[0].Why, "attributes.country") {
			t.Errorf("%+v", s.Unmatched)
		}
		for i, place := range []string{"actions[0]", "actions[1]", "actions[2]", "actions[2].then[0]"} {
			if a := s.Runs[0].Actions[i]; a.Place != place || a.Status != reaction.DeedDone {
				t.Errorf("action %d: %+v", i, a)
			}
		}
		u := d.user(ann)
		_, old := u.Attributes["old"]
		if u.FirstName != "Ann" || u.Attributes["source"] != "form 7" || u.Attributes["score"] != json.Number("7") || old || !slices.Equal(u.Tags, []string{"welcome"}) {
			t.Errorf("%+v", u)
		}
	})
}

func TestAnEventWithoutFollowUpsEndsAtOnce(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		id := d.report(followup.UserUpdate, ann, map[string]any{"plan": "pro"})
		d.work()
		if s := d.story(id); len(s.Runs)+len(s.Unmatched) != 0 {
			t.Errorf("%+v", s)
		}
		if u := d.user(ann); u.Attributes["plan"] != "pro" {
			t.Errorf("%+v", u)
		}
	})
}

const waiting = `{"name":"later","trigger":{"type":"user/register"},"condition":{"field":"profile.tags","notContains":"stop"},"overlap":"%s","actions":[
	{"type":"add-tag","tags":["began"]},{"type":"wait","for":"1h"},{"type":"add-tag","tags":["ended"]}]}`

func TestAWaitGoesOnWhenItIsDue(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(fmt.Sprintf(waiting, "all"))
		id := d.report(followup.UserRegister, ann, nil)
		d.work()
		s := d.story(id)
		if s.Runs[0].Status != reaction.Waiting || s.Runs[0].DueAt.IsZero() || len(s.Runs[0].Actions) != 2 {
			t.Fatalf("%+v", s)
		}
		// A process that starts, and a Redis that was wiped, leave what waits alone.
		for _, dead := range []bool{true, false} {
			_, err := outbox.UnsendAll(t.Context(), d.Store, dead)
			must(t, err)
		}
		d.work()
		if !slices.Equal(d.user(ann).Tags, []string{"began"}) {
			t.Errorf("%v before the wait is over", d.user(ann).Tags)
		}
		d.pass()
		if s := d.story(id); s.Runs[0].Status != reaction.Succeeded || len(s.Runs[0].Actions) != 3 || !slices.Equal(d.user(ann).Tags, []string{"began", "ended"}) {
			t.Errorf("%+v, %v", s, d.user(ann).Tags)
		}
	})
}

func TestTheConditionIsAskedAgainBehindAWait(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(fmt.Sprintf(waiting, "all"))
		d.followUp(`{"name":"stop","trigger":{"type":"user/update"},"actions":[{"type":"add-tag","tags":["stop"]}]}`)
		id := d.report(followup.UserRegister, ann, nil)
		d.work()
		d.report(followup.UserUpdate, ann, nil)
		d.work()
		d.pass()
		if s := d.story(id); s.Runs[0].Status != reaction.Skipped || s.Runs[0].Error == "" || slices.Contains(d.user(ann).Tags, "ended") {
			t.Errorf("%+v", s)
		}
	})
}

func TestRunsOfOneUserOverlapAsTheFollowUpSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		overlap             string
		first, second       reaction.Status
		first2nd, second2nd reaction.Status // behind the wait
	}{
		{"all", reaction.Waiting, reaction.Waiting, reaction.Succeeded, reaction.Succeeded},
		{"replace", reaction.Replaced, reaction.Waiting, reaction.Replaced, reaction.Succeeded},
		{"ignore", reaction.Waiting, reaction.Ignored, reaction.Succeeded, reaction.Ignored},
	} {
		t.Run(c.overlap, func(t *testing.T) {
			t.Parallel()
			eachDesk(t, func(t *testing.T, d *desk) {
				d.followUp(fmt.Sprintf(waiting, c.overlap))
				first := d.report(followup.UserRegister, ann, nil)
				d.work()
				second := d.report(followup.UserRegister, ann, nil)
				other := d.report(followup.UserRegister, "bob@example.com", nil)
				d.work()
				got := slices.Concat(d.statuses(first), d.statuses(second), d.statuses(other))
				if want := []reaction.Status{c.first, c.second, reaction.Waiting}; !slices.Equal(got, want) {
					t.Errorf("while it waits: %v, want %v", got, want)
				}
				if n := roomtest.Count(t, d.db, `SELECT count(*) FROM outbox WHERE state = 'scheduled'`); n != count(got, reaction.Waiting) {
					t.Errorf("%d tasks wait for %v", n, got)
				}
				d.pass()
				got = slices.Concat(d.statuses(first), d.statuses(second), d.statuses(other))
				if want := []reaction.Status{c.first2nd, c.second2nd, reaction.Succeeded}; !slices.Equal(got, want) {
					t.Errorf("in the end: %v, want %v", got, want)
				}
			})
		})
	}
}

func TestEventsOfOneBatchOverlapToo(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(fmt.Sprintf(waiting, "ignore"))
		first, second := d.report(followup.UserRegister, ann, nil), d.report(followup.UserRegister, ann, nil)
		d.work()
		if got := slices.Concat(d.statuses(first), d.statuses(second)); !slices.Equal(got, []reaction.Status{reaction.Waiting, reaction.Ignored}) {
			t.Errorf("%v", got)
		}
	})
}

func count[T comparable](list []T, one T) (n int) {
	for _, other := range list {
		if other == one {
			n++
		}
	}
	return n
}

func TestLoopsEndAfterEightHopsWithAnErrorOnTheEvent(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(`{"name":"begin","trigger":{"type":"user/register"},"actions":[{"type":"trigger-event","event":"custom/again","attributes":{"n":1,"who":"{{.profile.email}}"}}]}`)
		d.followUp(`{"name":"again","trigger":{"type":"custom/again"},"actions":[{"type":"trigger-event","event":"custom/again"},{"type":"add-tag","tags":["hop {{.trigger.hops}}"]}]}`)
		root := d.report(followup.UserRegister, ann, nil)
		d.work()
		events, err := event.List(t.Context(), d.org(), event.Filter{Type: "custom/again", Limit: 100})
		must(t, err)
		if len(events) != reaction.MaxHops+1 {
			t.Fatalf("%d events, want %d", len(events), reaction.MaxHops+1)
		}
		slices.SortFunc(events, func(a, b event.Event) int { return a.Trigger.Hops - b.Trigger.Hops })
		for i, e := range events {
			if e.Trigger.Hops != i+1 || e.Trigger.RootID != root || e.UserID != d.user(ann).ID {
				t.Errorf("event %d: %+v", i, e.Trigger)
			}
		}
		last := d.story(events[len(events)-1].ID)
		if len(last.Runs) != 0 || !strings.Contains(last.Error, "loop") {
			t.Errorf("%+v", last)
		}
		if got := len(d.user(ann).Tags); got != reaction.MaxHops {
			t.Errorf("%d hops left a tag, want %d", got, reaction.MaxHops)
		}
	})
}

func TestNoMoreThanAThousandActionsComeOfOneEvent(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(`{"name":"two","trigger":{"type":"user/register"},"actions":[{"type":"add-tag","tags":["a"]},{"type":"add-tag","tags":["b"]}]}`)
		id := d.report(followup.UserRegister, ann, nil)
		roomtest.Execute(t, d.db, fmt.Sprintf(`UPDATE events SET actions = %d`, reaction.MaxActions-1))
		d.work()
		s := d.story(id)
		if s.Runs[0].Status != reaction.Failed || !strings.Contains(s.Runs[0].Error, "1000 actions") || !slices.Equal(d.user(ann).Tags, []string{"a"}) {
			t.Errorf("%+v %v", s, d.user(ann).Tags)
		}
	})
}

func TestAnActionThatFailsIsTriedAgainAlone(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(`{"name":"f","trigger":{"type":"user/register"},"actions":[{"type":"add-tag","tags":["once"]},{"type":"add-tag","tags":["twice"]}]}`)
		id := d.report(followup.UserRegister, ann, nil)
		tries := 0
		d.handlers[reaction.Task.Name] = (&action.Service{Turns: fairness.NewTurns(&fairness.Presence{}), Store: d.Store, Log: slog.New(slog.DiscardHandler), Doers: map[followup.ActionType]action.Doer{
			followup.AddTag: func(_ context.Context, doing action.Doing) (action.Done, error) {
				if tries++; tries == 2 {
					return action.Done{}, &usersync.Error{Code: usersync.CodeUnavailable, Message: "The other side is away."}
				}
				return action.Done{Details: doing.Action.Tags[0]}, nil
			},
		}}).Handler()
		d.work()
		s := d.story(id)
		if r := s.Runs[0]; r.Status != reaction.Running || len(r.Actions) != 2 || r.Actions[1].Status != reaction.DeedRetrying || r.Actions[1].NextAt.IsZero() || r.Actions[1].Details != "The other side is away." {
			t.Fatalf("%+v", s)
		}
		d.pass()
		s = d.story(id)
		if r := s.Runs[0]; tries != 3 || r.Status != reaction.Succeeded || len(r.Actions) != 2 || r.Actions[1].Attempts != 2 || r.Actions[0].Details != "once" {
			t.Errorf("%d tries, %+v", tries, s)
		}
	})
}

func TestAnActionThatCannotSucceedEndsTheRunWithItsPlace(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(`{"name":"f","trigger":{"type":"user/register"},"actions":[{"type":"update-user","set":{"country":"{{.attributes.land}}"}},{"type":"add-tag","tags":["never"]}]}`)
		id := d.report(followup.UserRegister, ann, map[string]any{"land": "Nowhere"})
		d.work()
		if r := d.story(id).Runs[0]; r.Status != reaction.Failed || !strings.HasPrefix(r.Error, "actions[0]: country ") || len(d.user(ann).Tags) != 0 {
			t.Errorf("%+v", r)
		}
		if n := roomtest.Count(t, d.db, `SELECT count(*) FROM outbox`); n != 0 {
			t.Errorf("%d tasks are left", n)
		}
	})
}

func TestARunOfAFollowUpThatWasDeletedFails(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		f := d.followUp(fmt.Sprintf(waiting, "all"))
		id := d.report(followup.UserRegister, ann, nil)
		d.work()
		must(t, catalog.Delete(t.Context(), d.org(), "test", f.ID))
		d.pass()
		if r := d.story(id).Runs[0]; r.Status != reaction.Failed || r.Error != "The follow-up was deleted." || r.Name != "" {
			t.Errorf("%+v", r)
		}
	})
}

func TestManyWaitsKeepNobodyFromGoingOn(t *testing.T) {
	t.Parallel()
	eachDesk(t, func(t *testing.T, d *desk) {
		d.followUp(fmt.Sprintf(waiting, "all"))
		id := d.report(followup.UserRegister, ann, nil)
		d.work()
		far := time.Now().Add(time.Hour).UnixMicro()
		for i := range 20 { // 1,000 rows each
			var rows []string
			for j := range 1000 {
				n := i*1000 + j
				rows = append(rows, fmt.Sprintf(`('tsk_w%07d', '%s', 'followup.run', 'push', '%s', '{"run":"fur_none"}', 'scheduled', %d, 1)`, n, d.Organization.ID, d.Organization.ID, far+int64(n)))
			}
			roomtest.Execute(t, d.db, `INSERT INTO outbox (id, organization_id, kind, queue, fairness_key, args, state, look_at, created_at) VALUES `+strings.Join(rows, ","))
		}
		roomtest.Execute(t, d.db, `UPDATE outbox SET look_at = 1 WHERE id = (SELECT min(id) FROM outbox WHERE id NOT LIKE 'tsk_w%')`)
		start := time.Now()
		n, err := outbox.Promote(t.Context(), d.Store, 1000)
		if err != nil || n != 1 {
			t.Fatal(n, err)
		}
		d.work()
		if took := time.Since(start); took > 10*time.Second || d.statuses(id)[0] != reaction.Succeeded {
			t.Errorf("after %v it is %v", took, d.statuses(id))
		}
	})
}
