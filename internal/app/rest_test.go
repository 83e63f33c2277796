package app_test

import (
	"encoding/json"
	"slices"
	"testing"

	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/intake"
	"usersync/internal/platform"
	"usersync/internal/request"
	"usersync/internal/user"
	"usersync/internal/usersync"
)

// ask submits a platform-sync of the user with an address.
func (n customer) ask(t *testing.T, address string, in usersync.PlatformSync) string {
	t.Helper()
	org := n.app.Store.Org(n.org.ID)
	users, err := user.ByEmail(t.Context(), org, usersync.NewEmail(address, address))
	must(t, err)
	input, err := json.Marshal(in)
	must(t, err)
	a := &intake.Acceptance{RequestID: usersync.NewID(usersync.PrefixRequest), Kind: request.KindPlatformSync, UserID: users[0].ID, Input: input,
		User: intake.NewUser{UserInput: usersync.UserInput{Email: users[0].Email}}}
	must(t, n.app.Batcher.Submit(t.Context(), &intake.Submission{Organization: n.org.ID, KeyID: n.key.ID, Items: []*intake.Acceptance{a}}))
	return a.RequestID
}

func (p *shownPlatform) pause(t *testing.T) {
	t.Helper()
	_, err := platform.PauseConnection(t.Context(), p.app.Store.Org(p.org.ID), "test", p.connection.ID)
	must(t, err)
}

func (p *shownPlatform) resume(t *testing.T) {
	t.Helper()
	_, err := platform.ResumeConnection(t.Context(), p.app.Store.Org(p.org.ID), "test", p.connection.ID)
	must(t, err)
	p.app.Relay.Wake()
}

func (n customer) retry(t *testing.T, id string) error {
	t.Helper()
	_, err := intake.Retry(t.Context(), n.app.Store.Org(n.org.ID), id, usersync.NewID(usersync.PrefixRequest), nil)
	n.app.Relay.Wake()
	return err
}

// What a paused connection did not get waits: with what a request overrides, and where the
// platform has the user's state already.
func TestStepsWaitForAPausedConnection(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "mailchimp")
		const ann = "ann@gmail.com"
		n.until(t, n.sync(t, usersync.UserInput{FirstName: "Ann"}, ann), request.Succeeded)
		p.pause(t)
		tagged := n.ask(t, ann, usersync.PlatformSync{Tags: []string{"spring"}})
		plain := n.ask(t, ann, usersync.PlatformSync{})
		told := n.sync(t, usersync.UserInput{FirstName: "Anna"}, ann)
		waiting := []string{tagged, plain, told}
		for _, id := range waiting {
			s := p.step(t, id, request.StepSkipped)
			if s.Reason != platform.ReasonConnectionPaused || s.Details != "The connection is paused; this waits until it is resumed" {
				t.Errorf("step %+v", s)
			}
			n.until(t, id, request.Processing)
		}
		preview := n.ask(t, ann, usersync.PlatformSync{DryRun: true})
		n.until(t, preview, request.Succeeded)
		p.resume(t)
		for _, id := range waiting {
			n.until(t, id, request.Succeeded)
		}
		if one, _ := p.fake.People().Get(ann); !slices.Contains(one.Tags, "spring") || one.Fields["FNAME"] != "Anna" {
			t.Errorf("the platform has %+v", one)
		}
		if s := p.step(t, preview, request.StepSkipped); s.Reason != platform.ReasonConnectionPaused {
			t.Errorf("the preview is %+v", s)
		}
	})
}

// What was on its way when the platform refused the credentials waits too, and is pushed
// with what the request overrides once they are mended.
func TestStepsWaitForADisconnectedConnection(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "mailchimp")
		const ann = "ann@gmail.com"
		n.until(t, n.sync(t, usersync.UserInput{}, ann), request.Succeeded)
		p.server.Break("mailchimp", fakeplatform.Fault{Status: 401})
		tagged := n.ask(t, ann, usersync.PlatformSync{Tags: []string{"spring"}})
		if s := p.step(t, tagged, request.StepSkipped); s.Reason != platform.ReasonConnectionDisconnected {
			t.Errorf("step %+v", s)
		}
		n.until(t, tagged, request.Processing)
		p.server.Break("mailchimp")
		p.resume(t)
		n.until(t, tagged, request.Succeeded)
		if one, _ := p.fake.People().Get(ann); !slices.Contains(one.Tags, "spring") {
			t.Errorf("the platform has %+v", one)
		}
	})
}

func TestRetryTakesUpStepsThatWaitForAConnection(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "http")
		p.pause(t)
		id := n.sync(t, usersync.UserInput{}, "ann@gmail.com")
		n.until(t, id, request.Processing)
		p.step(t, id, request.StepSkipped)
		must(t, n.retry(t, id))
		n.until(t, id, request.Processing)
		p.step(t, id, request.StepSkipped)
		p.resume(t)
		n.until(t, id, request.Succeeded)
		if err := n.retry(t, id); usersync.CodeOf(err) != usersync.CodeConflict {
			t.Errorf("a retry of what has succeeded: %v", err)
		}
	})
}

func TestStepsOfADeletedConnectionEndAndTheirRequestsToo(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "mailchimp")
		const ann = "ann@gmail.com"
		n.until(t, n.sync(t, usersync.UserInput{}, ann), request.Succeeded)
		p.pause(t)
		waiting := []string{n.ask(t, ann, usersync.PlatformSync{Tags: []string{"spring"}}), n.sync(t, usersync.UserInput{FirstName: "Ann"}, ann)}
		for _, id := range waiting {
			p.step(t, id, request.StepSkipped)
			n.until(t, id, request.Processing)
		}
		must(t, platform.DeleteConnection(t.Context(), n.app.Store.Org(n.org.ID), "test", p.connection.ID))
		n.app.Relay.Wake()
		for _, id := range waiting {
			n.until(t, id, request.Succeeded)
			if s := p.step(t, id, request.StepSkipped); s.Reason != platform.ReasonConnectionDeleted {
				t.Errorf("step %+v", s)
			}
		}
	})
}

// The webhook tells when all is done, and not that a step waits.
func TestTheWebhookComesWhenWhatWaitedIsPushed(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "http")
		receiver := apptest.NewReceiver(t)
		n.endpoint(t, receiver)
		p.pause(t)
		first := n.sync(t, usersync.UserInput{}, "ann@gmail.com")
		p.step(t, first, request.StepSkipped)
		n.until(t, first, request.Processing)
		if got := receiver.Got(); len(got) > 0 {
			t.Errorf("told of %s", got[0].Body)
		}
		p.resume(t)
		apptest.Eventually(t, "the webhook arrived", func() bool { return len(receiver.Got()) == 1 })
		n.until(t, first, request.Succeeded)
	})
}
