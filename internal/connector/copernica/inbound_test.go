package copernica_test

import (
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/copernica/fake"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/usersync"
)

// The fake calls about every change of a profile, as Copernica does: only who is marked as
// unsubscribed is told of.
func TestWebhooksTellWhoIsMarked(t *testing.T) {
	t.Parallel()
	a := platform.Serve(t)
	f, ada := a.Fake.(*fake.Fake), connectortest.Ada(t)
	cfg := a.Config("")
	cfg.Facts = a.Check("")
	a.Push(a.Open(""), ada)
	address := ada.Email.Display()
	at := time.Date(2026, 4, 25, 14, 30, 0, 0, time.UTC)
	there := f.Webhook("update", fake.Database, address, at)
	f.Leave(address, fakeplatform.LeftList)
	left := []connector.Signal{{Email: address, Channel: usersync.ChannelEmail, Status: usersync.Unsubscribed, Reason: "unsubscribe", At: at}}
	platform.Receives(t, cfg, "", at, false, []connectortest.Called{
		{Name: "changed", Body: there},
		{Name: "left", Body: f.Webhook("update", fake.Database, address, at), Want: left},
		{Name: "left another database", Body: f.Webhook("update", "1", address, at)},
		{Name: "was made", Body: f.Webhook("create", fake.Database, address, at)},
		{Name: "nothing", Refused: usersync.CodeInvalid},
		{Name: "without a time", Body: "type=update&database=" + fake.Database + "&fields[newsletter]=no&fields[email]=ada@example.com", Refused: usersync.CodeInvalid},
		{Name: "without an address", Body: "type=update&time=1777127400&database=" + fake.Database + "&fields[newsletter]=no", Refused: usersync.CodeInvalid},
	})
}
