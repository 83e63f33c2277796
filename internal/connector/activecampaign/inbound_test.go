package activecampaign_test

import (
	"net/url"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/usersync"
)

func TestWebhooksTellWhoComesAndWhoLeaves(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 4, 25, 14, 30, 0, 0, time.UTC)
	form := func(kind, list string) string {
		return url.Values{"type": {kind}, "date_time": {"2026-04-25T09:30:00-05:00"}, "contact[email]": {"ada@example.com"}, "list": {list}, "unsubscribe[reason]": {"too many"}}.Encode()
	}
	told := func(status usersync.ConsentStatus) []connector.Signal {
		return []connector.Signal{{Email: "ada@example.com", Channel: usersync.ChannelEmail, Status: status, Reason: "too many", At: at}}
	}
	platform.Receives(t, connector.Config{Settings: []byte(`{"listId":"3"}`)}, "", at, false, []connectortest.Called{
		{Name: "left the list", Body: form("unsubscribe", "3"), Want: told(usersync.Unsubscribed)},
		{Name: "left all", Body: form("unsubscribe", "0"), Want: told(usersync.Unsubscribed)},
		{Name: "left another list", Body: form("unsubscribe", "4")},
		{Name: "came", Body: form("subscribe", "3"), Want: told(usersync.Subscribed)},
		{Name: "opened", Body: form("open", "3")},
		{Name: "nothing", Refused: usersync.CodeInvalid},
	})
}
