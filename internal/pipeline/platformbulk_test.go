package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"usersync/internal/bulk"
	"usersync/internal/connector"
	"usersync/internal/credit"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/outbox"
	"usersync/internal/pipeline"
	"usersync/internal/platform"
	"usersync/internal/queue"
	"usersync/internal/queue/embedded"
	"usersync/internal/request"
	"usersync/internal/store"
	"usersync/internal/store/storetest"
	"usersync/internal/tenant"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// hall is an organization with a connection, users and no credits, whose tasks a
// test works by itself.
type hall struct {
	store      *store.Store
	org        *store.Org
	key        string
	salt       []byte
	connection string
	work       *pipeline.Service
}

func newHall(t *testing.T, s *store.Store) *hall {
	t.Helper()
	o, err := tenant.Create(t.Context(), s, "test", tenant.Organization{Name: "Acme"})
	must(t, err)
	k, _, err := tenant.CreateKey(t.Context(), s, "test", o.ID, tenant.Key{Name: "k"})
	must(t, err)
	c, err := platform.CreateConnection(t.Context(), s.Org(o.ID), "test", platform.Connection{
		Platform: "mailchimp", Name: "Main", Settings: json.RawMessage("{}"), Credentials: usersync.NewSecret("{}"),
	})
	must(t, err)
	redis, err := embedded.Start()
	must(t, err)
	t.Cleanup(redis.Close)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	q, err := queue.Connect(queue.Options{URL: redis.URL(), Namespace: "t", Log: log})
	must(t, err)
	t.Cleanup(func() { _ = q.Close() })
	return &hall{store: s, org: s.Org(o.ID), key: k.ID, salt: o.Salt, connection: c.ID,
		work: &pipeline.Service{Store: s, Queue: q, Log: log, BulkTurn: time.Nanosecond}}
}

func (h *hall) accept(t *testing.T, items ...*intake.Acceptance) {
	t.Helper()
	sub := &intake.Submission{Organization: h.org.ID(), KeyID: h.key, Items: items}
	must(t, intake.Accept(t.Context(), h.store, []*intake.Submission{sub}))
	if sub.Err != nil {
		t.Fatal(sub.Err)
	}
}

// people stores n users and returns their ids in order.
func (h *hall) people(t *testing.T, n int) []string {
	t.Helper()
	_, err := credit.TopUp(t.Context(), h.store, "test", h.org.ID(), 1, "users")
	must(t, err)
	items := make([]*intake.Acceptance, n)
	for i := range items {
		email, err := identity.ParseEmail(fmt.Sprintf("user%d@acme.example.com", i))
		must(t, err)
		in := usersync.UserInput{Email: email, Country: "US"}
		items[i] = &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindUserSync, Salt: h.salt,
			User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}}
	}
	h.accept(t, items...)
	ids := make([]string, n)
	for i, a := range items {
		ids[i] = a.UserID
	}
	slices.Sort(ids)
	return ids
}

// bulk has a bulk accepted and returns its id.
func (h *hall) bulk(t *testing.T, in bulk.Input) string {
	t.Helper()
	in.Connection = h.connection
	input, err := json.Marshal(in)
	must(t, err)
	id := usersync.NewID(usersync.PrefixRequest)
	h.accept(t, &intake.Acceptance{RequestID: id, Kind: request.KindPlatformBulk, Input: input})
	return id
}

// claim takes the next bulk task; ok is false when there is none.
func (h *hall) claim(t *testing.T) (c usersync.Claim, ok bool) {
	t.Helper()
	taken, err := outbox.TakeReady(t.Context(), h.store, queue.Bulk, "", outbox.Shares{Slots: 1000, Key: 1}, 1)
	must(t, err)
	if len(taken) == 0 {
		return c, false
	}
	c, ok, err = outbox.Claim(t.Context(), h.store, taken[0].ID, taken[0].Generation)
	must(t, err)
	return c, ok
}

func (h *hall) handler(t *testing.T, kind string) queue.Handler {
	t.Helper()
	for _, one := range h.work.Handlers() {
		if one.Kind == kind {
			return one
		}
	}
	t.Fatalf("nobody handles %s", kind)
	return queue.Handler{}
}

// turn works one turn and reports whether there was one.
func (h *hall) turn(t *testing.T) bool {
	t.Helper()
	c, ok := h.claim(t)
	if ok {
		must(t, h.handler(t, pipeline.PlatformBulk.Name).Work(t.Context(), c))
	}
	return ok
}

func (h *hall) plan(t *testing.T) {
	t.Helper()
	for h.turn(t) {
		continue
	}
}

func (h *hall) report(t *testing.T, id string) *request.View {
	t.Helper()
	r, err := request.Get(t.Context(), h.org, id)
	must(t, err)
	return r
}

// waiting returns the users that wait for their push.
func (h *hall) waiting(t *testing.T) (users []string) {
	t.Helper()
	must(t, h.store.Tx(t.Context(), func(tx *store.Tx) error {
		users = nil
		list, err := platform.Waits(t.Context(), tx, h.connection, 10_000)
		for _, w := range list {
			if w.Position == platform.BulkPosition {
				users = append(users, w.UserID)
			}
		}
		return err
	}))
	slices.Sort(users)
	return users
}

// pushed does what the pusher does when it knows what became of users.
func (h *hall) pushed(t *testing.T, id string, delta request.Progress, faults ...bulk.Error) {
	t.Helper()
	must(t, h.store.Tx(t.Context(), func(tx *store.Tx) error {
		if err := bulk.Count(t.Context(), tx, h.org.ID(), map[string]request.Progress{id: delta}, faults); err != nil {
			return err
		}
		waits, err := platform.Waits(t.Context(), tx, h.connection, 10_000)
		if err != nil {
			return err
		}
		if err := platform.DropWaits(t.Context(), tx, h.connection, waits); err != nil {
			return err
		}
		_, err = bulk.Finish(t.Context(), tx, h.org.ID(), id)
		return err
	}))
}

func TestBulkIsPlannedInTurnsAndGoesOnAfterItsWorkerDied(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		h := newHall(t, open())
		users := h.people(t, 2100)
		id := h.bulk(t, bulk.Input{})
		h.turn(t)
		if r := h.report(t, id); r.Progress.Total != 1000 || r.Progress.Done != 0 || r.Status != request.Processing {
			t.Errorf("after one turn %+v %+v", r.Status, r.Progress)
		}
		// The outcomes of the first thousand do not finish what is not planned.
		h.pushed(t, id, request.Progress{Added: 1000})
		dying, ok := h.claim(t)
		if !ok {
			t.Fatal("no task goes on")
		}
		ctx, die := context.WithCancel(t.Context())
		die()
		work := h.handler(t, pipeline.PlatformBulk.Name).Work
		if work(ctx, dying) == nil {
			t.Error("a worker that is dead has planned")
		}
		if _, err := outbox.UnsendAll(t.Context(), h.store, true); err != nil { // what the next start does
			t.Fatal(err)
		}
		h.plan(t)
		if err := work(t.Context(), dying); err != nil && !errors.Is(err, outbox.ErrClaimLost) {
			t.Errorf("the dead worker goes on: %v", err)
		}
		if left := h.waiting(t); !slices.Equal(left, users[1000:]) {
			t.Errorf("%d users wait, want the last 1,100", len(left))
		}
		if r := h.report(t, id); r.Progress.Total != 2100 || r.Status != request.Processing || r.Steps[0].ConnectionID != h.connection {
			t.Errorf("planned %+v %+v", r.Progress, r.Steps)
		}
		h.pushed(t, id, request.Progress{Updated: 1099, Errors: 1},
			bulk.Error{RequestID: id, UserID: users[1000], Status: request.StepFailed, Code: "rejected", Message: "No."})
		r := h.report(t, id)
		if r.Status != request.PartiallySucceeded || r.Progress.Done != 2100 || !r.Progress.ETA.IsZero() || r.Steps[0].Status != request.StepSynced {
			t.Errorf("done %s %+v %+v", r.Status, r.Progress, r.Steps)
		}
	})
}

func TestRetryOfABulkPlansTheFailedUsersAlone(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		h := newHall(t, open())
		users := h.people(t, 5)
		id := h.bulk(t, bulk.Input{UserIDs: append(slices.Clone(users), users[0], "user1", "=user2")})
		h.plan(t)
		if left := h.waiting(t); !slices.Equal(left, users) {
			t.Errorf("%v wait, want %v", left, users)
		}
		if err := h.retry(t, id); !errors.Is(err, intake.ErrNothingFailed) {
			t.Errorf("a bulk that goes on was retried: %v", err)
		}
		h.pushed(t, id, request.Progress{Added: 3, Skipped: 1, Errors: 1},
			bulk.Error{RequestID: id, UserID: users[1], Status: request.StepFailed, Code: "rejected", Message: "No."},
			bulk.Error{RequestID: id, UserID: users[2], Status: request.StepSkipped, Code: usersync.ReasonUnsubscribed, Message: "Left."})
		faults, err := bulk.ListErrors(t.Context(), h.org, id, "", 10)
		must(t, err)
		if len(faults) != 4 || faults[0].UserID != "=user2" || faults[0].Code != "not_found" || faults[1].UserID != "user1" || faults[2].Email == "" {
			t.Errorf("%+v", faults)
		}
		must(t, h.retry(t, id))
		if r := h.report(t, id); r.Status != request.Queued || r.Progress.Errors != 0 || r.Progress.Done != 4 || r.Progress.Total != 7 {
			t.Errorf("retried %s %+v", r.Status, r.Progress)
		}
		h.plan(t)
		if left := h.waiting(t); !slices.Equal(left, users[1:2]) {
			t.Errorf("%v wait, want the one that failed", left)
		}
		h.pushed(t, id, request.Progress{Updated: 1})
		r := h.report(t, id)
		if p := r.Progress; r.Status != request.PartiallySucceeded || p.Total != 7 || p.Done != 7 || p.Errors != 2 || p.Updated != 1 {
			t.Errorf("in the end %s %+v", r.Status, p)
		}
		faults, err = bulk.ListErrors(t.Context(), h.org, id, "", 10)
		must(t, err)
		if len(faults) != 3 {
			t.Errorf("%+v", faults)
		}
	})
}

func (h *hall) retry(t *testing.T, id string) error {
	t.Helper()
	_, err := intake.Retry(t.Context(), h.org, id, usersync.NewID(usersync.PrefixRequest), nil)
	return err
}

func TestBulkOfNobodyIsDoneAndOneOfStrangersHasFailed(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		h := newHall(t, open())
		none := h.bulk(t, bulk.Input{})
		if p := h.report(t, none).Progress; p == nil || p.Total != 0 {
			t.Errorf("before it begins a bulk shows %+v", p)
		}
		h.plan(t)
		h.people(t, 1)
		since := usersync.Time{Time: time.Now().Add(time.Hour)}
		quiet := h.bulk(t, bulk.Input{ActiveSince: since})
		strange := h.bulk(t, bulk.Input{UserIDs: []string{"user1"}})
		h.plan(t)
		for id, want := range map[string]request.Status{none: request.Succeeded, quiet: request.Succeeded, strange: request.Failed} {
			if r := h.report(t, id); r.Status != want || r.FinishedAt.IsZero() {
				t.Errorf("%s %+v, want %s", r.Status, r.Progress, want)
			}
		}
		if r := h.report(t, strange); r.Steps[0].Status != request.StepFailed || r.Steps[0].Error == nil {
			t.Errorf("%+v", r.Steps)
		}
	})
}

func TestBulkAtAConnectionThatRestsFailsAndCanBeRetried(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		h := newHall(t, open())
		users := h.people(t, 2)
		id := h.bulk(t, bulk.Input{})
		_, err := platform.PauseConnection(t.Context(), h.org, "test", h.connection)
		must(t, err)
		h.plan(t)
		r := h.report(t, id)
		if r.Status != request.Failed || r.Steps[0].Error.Code != usersync.CodeConflict || r.Steps[0].Error.Message != "The connection is paused." {
			t.Errorf("%s %+v", r.Status, r.Steps)
		}
		_, err = platform.ResumeConnection(t.Context(), h.org, "test", h.connection)
		must(t, err)
		must(t, h.retry(t, id))
		h.plan(t)
		if left := h.waiting(t); !slices.Equal(left, users) {
			t.Errorf("%v wait, want %v", left, users)
		}
	})
}

func TestBulkFailsWhenItsConnectionIsDeletedOnTheWay(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		h := newHall(t, open())
		h.people(t, 1001)
		id := h.bulk(t, bulk.Input{})
		h.turn(t)
		must(t, platform.DeleteConnection(t.Context(), h.org, "test", h.connection))
		h.plan(t)
		r := h.report(t, id)
		if r.Status != request.Failed || r.Steps[0].Error == nil || r.Steps[0].Platform != "mailchimp" || r.Progress.Total != 1000 {
			t.Errorf("%s %+v %+v", r.Status, r.Steps, r.Progress)
		}
	})
}

// maker is a connector that makes audiences, or refuses to.
type maker struct {
	connector.Connector
	made    []string
	within  time.Duration // the call has
	failure error
}

func (*maker) CheckAudience(context.Context, string) error { return nil }

func (m *maker) MakeAudience(ctx context.Context, name, _ string) (string, usersync.PlatformSync, error) {
	m.made = append(m.made, name)
	if deadline, ok := ctx.Deadline(); ok {
		m.within = time.Until(deadline)
	}
	return "aud_1", usersync.PlatformSync{List: "list_1"}, m.failure
}

func TestAudienceIsMadeBeforeUsersArePlanned(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		h := newHall(t, open())
		h.people(t, 1)
		m := &maker{}
		h.work.Open = func(context.Context, string, string) (connector.Connector, error) { return m, nil }
		dry := h.bulk(t, bulk.Input{AudienceName: "Dry", PlatformSync: usersync.PlatformSync{DryRun: true}})
		h.plan(t)
		if len(m.made) != 0 || h.report(t, dry).Progress.AudienceID != "" {
			t.Errorf("a dry run has made %v", m.made)
		}
		id := h.bulk(t, bulk.Input{AudienceName: "Spring"})
		h.plan(t)
		in, err := bulk.LoadInput(t.Context(), h.org, id)
		must(t, err)
		if !slices.Equal(m.made, []string{"Spring"}) || in.List != "list_1" || in.AudienceName != "Spring" || h.report(t, id).Progress.AudienceID != "aud_1" {
			t.Errorf("made %v, %+v", m.made, in)
		}
		m.failure = usersync.Errorf(usersync.CodeRejected, "No more audiences.")
		refused := h.bulk(t, bulk.Input{AudienceName: "Summer"})
		h.plan(t)
		if r := h.report(t, refused); r.Status != request.Failed || r.Steps[0].Error.Message != "No more audiences." || r.Progress.Total != 0 {
			t.Errorf("%s %+v", r.Status, r.Steps)
		}
		m.failure = usersync.Errorf(usersync.CodeUnavailable, "Later.")
		later := h.bulk(t, bulk.Input{AudienceName: "Autumn"})
		c, _ := h.claim(t)
		handler := h.handler(t, pipeline.PlatformBulk.Name)
		if err := handler.Work(t.Context(), c); usersync.CodeOf(err) != usersync.CodeUnavailable {
			t.Errorf("an outage gave %v", err)
		}
		must(t, handler.GiveUp(t.Context(), c, m.failure))
		if r := h.report(t, later); r.Status != request.Failed || r.Steps[0].Error.Code != usersync.CodeInternal {
			t.Errorf("given up: %s %+v", r.Status, r.Steps)
		}
	})
}

func TestAudienceIsMadeByTheHolderOfTheClaimAlone(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, open func() *store.Store) {
		h := newHall(t, open())
		m := &maker{}
		h.work.Open = func(context.Context, string, string) (connector.Connector, error) { return m, nil }
		id := h.bulk(t, bulk.Input{AudienceName: "Spring"})
		lost, _ := h.claim(t)
		_, err := outbox.UnsendAll(t.Context(), h.store, true)
		must(t, err)
		holder, ok := h.claim(t)
		if !ok {
			t.Fatal("nobody else can claim the task")
		}
		work := h.handler(t, pipeline.PlatformBulk.Name).Work
		if err := work(t.Context(), lost); !errors.Is(err, outbox.ErrClaimLost) || len(m.made) != 0 {
			t.Errorf("a worker that has lost its claim: %v, it has made %v", err, m.made)
		}
		m.made = nil
		must(t, work(t.Context(), holder))
		if !slices.Equal(m.made, []string{"Spring"}) || h.report(t, id).Progress.AudienceID != "aud_1" {
			t.Errorf("the holder has made %v", m.made)
		}
		// A claim holds that long after its fence: nobody else makes it meanwhile.
		if m.within <= 0 || m.within >= outbox.ClaimFor {
			t.Errorf("the call has %s, the claim %s", m.within, outbox.ClaimFor)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
