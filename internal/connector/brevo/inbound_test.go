package brevo_test

import (
	"net/http"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/usersync"
)

func TestMarketingWebhooksTellWhoLeaves(t *testing.T) {
	t.Parallel()
	told := func(event string) []connector.Signal {
		return []connector.Signal{{Email: "ada@example.com", Channel: usersync.ChannelEmail, Status: usersync.Unsubscribed, Reason: event, At: time.Unix(1777127000, 0)}}
	}
	settings := []byte(`{"list":"7"}`)
	const left = `{"id":1,"email":"ada@example.com","event":"unsubscribe","list_id":[3,7],"ts_event":1777127000,"ts":1777127009}`
	calls := []connectortest.Called{
		{Name: "left", Body: left, Want: told("unsubscribe")},
		{Name: "complained", Body: `{"email":"ada@example.com","event":"spam","ts_event":1777127000}`, Want: told("spam")},
		{Name: "left another list", Body: `{"email":"ada@example.com","event":"unsubscribe","list_id":[17],"ts_event":1777127000}`},
		{Name: "opened", Body: `{"email":"ada@example.com","event":"opened","ts_event":1777127000}`},
		{Name: "nonsense", Body: `{"list_id":`, Refused: usersync.CodeInvalid},
	}
	platform.Receives(t, connector.Config{Credentials: []byte(`{"apiKey":"x"}`), Settings: settings}, "", time.Unix(1777127400, 0), false, calls)

	keyed := connector.Config{Credentials: []byte(`{"webhookToken":"the-token"}`), Settings: settings}
	platform.Receives(t, keyed, "", time.Unix(1777127400, 0), false, []connectortest.Called{
		{Name: "with the token", Header: http.Header{"Authorization": {"Bearer the-token"}}, Body: left, Want: told("unsubscribe")},
		{Name: "with another token", Header: http.Header{"Authorization": {"Bearer another"}}, Body: left, Refused: usersync.CodeUnauthorized},
		{Name: "without a token", Body: left, Refused: usersync.CodeUnauthorized},
	})
}
