package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"usersync/internal/app"
	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/followup"
	"usersync/internal/followup/catalog"
	"usersync/internal/identity"
	"usersync/internal/intake"
	"usersync/internal/platform"
	"usersync/internal/reaction"
	"usersync/internal/request"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// followUp makes a follow-up from its JSON.
func (n customer) followUp(t *testing.T, definition string) catalog.FollowUp {
	t.Helper()
	p, err := followup.Parse([]byte(definition))
	must(t, err)
	f, err := catalog.Create(t.Context(), n.app.Store.Org(n.org.ID), "test", p.Definition, catalog.Active)
	must(t, err)
	return f
}

// happen has an event of a user accepted, and returns its id.
func (n customer) happen(t *testing.T, kind followup.EventType, address string, attributes map[string]any) string {
	t.Helper()
	email, err := identity.ParseEmail(address)
	must(t, err)
	in := usersync.UserInput{Email: email, FirstName: "Ann", Attributes: attributes}
	a := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindEvent, Salt: n.org.Salt,
		User: intake.NewUser{UserInput: in, Identity: user.IdentityOf(in)}, Event: &intake.NewEvent{Type: string(kind), Attributes: attributes}}
	sub := &intake.Submission{Organization: n.org.ID, KeyID: n.key.ID, Items: []*intake.Acceptance{a}}
	must(t, n.app.Batcher.Submit(t.Context(), sub))
	return a.EventID()
}

// comesTo waits until the only run of an event has a status, and returns it.
func (n customer) comesTo(t *testing.T, event string, status reaction.Status) reaction.RunView {
	t.Helper()
	var s reaction.Story
	apptest.Eventually(t, fmt.Sprintf("the follow-up is %s", status), func() bool {
		v, err := reaction.Show(t.Context(), n.app.Store.Org(n.org.ID), event)
		must(t, err)
		s = v.FollowUps
		return len(s.Runs) == 1 && s.Runs[0].Status == status
	})
	return s.Runs[0]
}

func TestWaitsOfFollowUpsSurviveARestartAndAWipedRedis(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		a := e.Start(t, app.All)
		n := newTenant(t, a, 0)
		n.followUp(t, `{"name":"later","trigger":{"type":"user/register"},"actions":[
			{"type":"add-tag","tags":["began"]},{"type":"wait","for":"4s"},{"type":"add-tag","tags":["ended"]}]}`)
		id := n.happen(t, followup.UserRegister, "ann@example.com", nil)
		n.comesTo(t, id, reaction.Waiting)
		a.Stop(t)
		if e.Engine == "deployed" {
			wipe(t, e)
		}
		n.app = e.Start(t, app.All)
		r := n.comesTo(t, id, reaction.Succeeded)
		if len(r.Actions) != 3 || r.Actions[0].Attempts != 1 || r.Actions[2].At.Before(r.Actions[1].At.Time) {
			t.Errorf("%+v", r)
		}
	})
}

func TestWhatWaitsGoesOnSoonThoughAHundredThousandOthersWait(t *testing.T) {
	t.Parallel()
	many := 100_000
	if testing.Short() {
		many = 2_000
	}
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 0)
		n.followUp(t, `{"name":"later","trigger":{"type":"user/register"},"actions":[{"type":"wait","for":"3s"},{"type":"add-tag","tags":["ended"]}]}`)
		far := time.Now().Add(time.Hour).UnixMicro()
		for begin := 0; begin < many; begin += 1000 {
			rows := ""
			for i := range 1000 {
				rows += fmt.Sprintf(`,('tsk_w%07d', '%s', 'followup.run', 'push', '%s', '{"run":"fur_none"}', 'scheduled', %d, 1)`, begin+i, n.org.ID, n.org.ID, far+int64(begin+i))
			}
			admin(t, e, `INSERT INTO outbox (id, organization_id, kind, queue, fairness_key, args, state, look_at, created_at) VALUES `+rows[1:])
		}
		id := n.happen(t, followup.UserRegister, "ann@example.com", nil)
		due := n.comesTo(t, id, reaction.Waiting).DueAt
		r := n.comesTo(t, id, reaction.Succeeded)
		t.Logf("it went on %v after its time, while %d others wait", r.FinishedAt.Sub(due.Time), many)
		admin(t, e, `DELETE FROM outbox WHERE id LIKE 'tsk_w%'`)
	})
}

func TestErasureReachesEventsAndTheirFollowUps(t *testing.T) {
	t.Parallel()
	apptest.Each(t, func(t *testing.T, e *apptest.Environment) {
		n := newTenant(t, e.Start(t, app.All), 0)
		n.followUp(t, `{"name":"tag","trigger":{"type":"user/register"},"actions":[
			{"type":"add-tag","tags":["{{.attributes.word}}"]},{"type":"update-user","set":{"firstName":"{{.attributes.word}}"}},
			{"type":"trigger-event","event":"custom/more","attributes":{"word":"{{.attributes.word}}"}}]}`)
		n.followUp(t, `{"name":"wait","trigger":{"type":"custom/more"},"condition":{"field":"attributes.word","isSet":true},"actions":[
			{"type":"add-tag","tags":["{{.profile.email}}"]},{"type":"wait","for":"1h"}]}`)
		id := n.happen(t, followup.UserRegister, "needle@acme.example.com", map[string]any{"word": "needleword", "needlename": "1"})
		n.comesTo(t, id, reaction.Succeeded)
		apptest.Eventually(t, "the second one waits", func() bool { return howMany(t, e, `SELECT count(*) FROM follow_up_runs WHERE status = 'waiting'`) == 1 })
		n.erased(t, n.erase(t, "needle@acme.example.com"))
		n.quiet(t)
		wantNothingOf(t, e, "needle")
		if left := howMany(t, e, `SELECT count(*) FROM outbox`); left != 0 {
			t.Errorf("%d tasks are left", left)
		}
	})
}

func howMany(t *testing.T, e *apptest.Environment, query string) (n int) {
	t.Helper()
	must(t, database(t, e).QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// A follow-up is about the connections that it names, and a user who is taken off a
// platform stays a user: the next sync brings them back, as far as the platform takes them.
func TestFollowUpsSyncToChosenPlatformsAndTakeUsersOff(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		chosen, other := n.connect(t, "mailchimp"), n.connect(t, "brevo")
		n.followUp(t, `{"name":"sync","trigger":{"type":"user/register"},"actions":[{"type":"sync-to-platforms","connections":["`+chosen.connection.ID+`"]}]}`)
		n.followUp(t, `{"name":"off","trigger":{"type":"user/remove"},"actions":[{"type":"remove-from-platforms"}]}`)
		asked := func(event string) string {
			_, id, _ := strings.Cut(n.comesTo(t, event, reaction.Succeeded).Actions[0].Details, "by request ")
			return id
		}
		there := func() (both [2]bool) {
			for i, p := range []*shownPlatform{chosen, other} {
				_, both[i] = p.fake.People().Get("ann@acme.example.com")
			}
			both[0] = both[0] && !chosen.fake.(fakeplatform.Archiver).Archived("ann@acme.example.com")
			return both
		}
		first := asked(n.happen(t, followup.UserRegister, "ann@acme.example.com", nil))
		chosen.step(t, first, request.StepSynced)
		if r := n.until(t, first, request.Succeeded); len(r.Steps) != 1 || there() != [2]bool{true, false} {
			t.Errorf("%d steps, and the platforms have them: %v", len(r.Steps), there())
		}
		second := asked(n.happen(t, followup.UserRemove, "ann@acme.example.com", nil))
		if s := chosen.step(t, second, request.StepSynced); !strings.Contains(s.Details, "archived") {
			t.Errorf("%q", s.Details)
		}
		other.step(t, second, request.StepSynced) // who is not there is taken off too
		if there() != [2]bool{} {
			t.Errorf("the platforms have them still: %v", there())
		}
		n.until(t, second, request.Succeeded)
		third := asked(n.happen(t, followup.UserRegister, "ann@acme.example.com", nil))
		chosen.step(t, third, request.StepSynced)
		if there() != [2]bool{true, false} {
			t.Errorf("after another sync the platforms have them: %v", there())
		}
	})
}

// What is to be taken off a paused connection goes when it is resumed.
func TestAPausedConnectionTakesUsersOffWhenItIsResumed(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "brevo")
		n.followUp(t, `{"name":"off","trigger":{"type":"user/remove"},"actions":[{"type":"remove-from-platforms","connections":["`+p.connection.ID+`"]}]}`)
		p.step(t, n.sync(t, usersync.UserInput{}, "ann@example.com"), request.StepSynced)
		org := n.app.Store.Org(n.org.ID)
		_, err := platform.PauseConnection(t.Context(), org, "test", p.connection.ID)
		must(t, err)
		_, id, _ := strings.Cut(n.comesTo(t, n.happen(t, followup.UserRemove, "ann@example.com", nil), reaction.Succeeded).Actions[0].Details, "by request ")
		if s := p.step(t, id, request.StepSkipped); s.Details != "The connection is paused; this waits until it is resumed" {
			t.Errorf("%q", s.Details)
		}
		_, err = platform.ResumeConnection(t.Context(), org, "test", p.connection.ID)
		must(t, err)
		apptest.Eventually(t, "they are taken off", func() bool {
			_, there := p.fake.People().Get("ann@example.com")
			return !there
		})
	})
}
