package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"usersync/internal/app/apptest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/request"
	"usersync/internal/usersync"
)

// attempts returns what is kept of the pushes of a request.
func (n customer) attempts(t *testing.T, id string) []request.AttemptView {
	t.Helper()
	found, err := request.Attempts(t.Context(), n.app.Store.Org(n.org.ID), id)
	must(t, err)
	return found[id]
}

// A platform that echoes what it is sent shows neither the credentials nor an address.
func TestAttemptsShowWhatWasSentAndAnsweredWithoutSecrets(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "http")
		var credentials struct{ Headers map[string]string }
		must(t, json.Unmarshal([]byte(p.connection.Credentials.Reveal()), &credentials))
		secret := credentials.Headers["X-Receiver"]
		p.server.Break("http", fakeplatform.Fault{Status: 422, Body: secret + " refuses ann@gmail.com " + strings.Repeat("x", 2000)})
		id := n.sync(t, usersync.UserInput{FirstName: "Ann"}, "ann@gmail.com")
		n.until(t, id, request.Failed)
		list := n.attempts(t, id)
		if len(list) != 1 {
			t.Fatalf("%d attempts", len(list))
		}
		a := list[0]
		if a.HTTPStatus != http.StatusUnprocessableEntity || a.Status != request.StepFailed || a.Error.Code != usersync.CodeRejected || a.Users != 1 {
			t.Errorf("%+v", a)
		}
		if !strings.HasPrefix(a.Answer, "(secret) refuses (address) xxx") || len(a.Answer) > 1<<10 {
			t.Errorf("answer of %d bytes: %s", len(a.Answer), a.Answer)
		}
		if !strings.Contains(string(a.Sent), `"Ann"`) || strings.Contains(string(a.Sent), secret) {
			t.Errorf("sent %s", a.Sent)
		}
	})
}

// The last ten attempts are kept, the newest first, and an erasure empties them.
func TestAttemptsAreBoundedAndErased(t *testing.T) {
	t.Parallel()
	each(t, 10, func(t *testing.T, n customer) {
		p := n.connect(t, "http")
		p.server.Break("http", fakeplatform.Fault{Status: 422})
		id := n.sync(t, usersync.UserInput{}, "ann@gmail.com")
		n.until(t, id, request.Failed)
		const retries = 11
		for i := range retries {
			if i == retries-1 {
				p.server.Break("http")
			}
			must(t, n.retry(t, id))
			apptest.Eventually(t, "the retry has ended", func() bool { return n.report(t, id).Status.Final() })
			if kept := len(n.attempts(t, id)); kept != min(i+2, 10) {
				t.Errorf("%d attempts are kept after %d", kept, i+2)
			}
		}
		n.until(t, id, request.Succeeded)
		list := n.attempts(t, id)
		if len(list) != 10 || list[0].Status != request.StepSynced || list[0].Sent != nil || list[1].Status != request.StepFailed {
			t.Errorf("%d attempts, the newest %+v and %+v", len(list), list[0], list[1])
		}
		n.erased(t, n.erase(t, "ann@gmail.com"))
		if left := n.attempts(t, id); len(left) > 0 {
			t.Errorf("after the erasure: %+v", left)
		}
	})
}
