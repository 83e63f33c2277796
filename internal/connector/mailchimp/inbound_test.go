package mailchimp_test

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

func TestWebhooksOfTheAudienceTellWhoComesAndWhoLeaves(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 4, 25, 14, 30, 0, 0, time.UTC)
	form := func(kind, list string, more ...string) string {
		v := url.Values{"type": {kind}, "fired_at": {"2026-04-25 14:30:00"}, "data[email]": {"Ada@example.com"}, "data[list_id]": {list}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v.Encode()
	}
	told := func(status usersync.ConsentStatus, reason string) []connector.Signal {
		return []connector.Signal{{Email: "Ada@example.com", Channel: usersync.ChannelEmail, Status: status, Reason: reason, At: at}}
	}
	settings := []byte(`{"listId":"a6b5da1054"}`)
	calls := []connectortest.Called{
		{Name: "left", Body: form("unsubscribe", "a6b5da1054", "data[reason]", "manual", "data[action]", "unsub"), Want: told(usersync.Unsubscribed, "manual")},
		{Name: "complained", Body: form("unsubscribe", "a6b5da1054", "data[reason]", "abuse"), Want: told(usersync.Unsubscribed, "abuse")},
		{Name: "came", Body: form("subscribe", "a6b5da1054"), Want: told(usersync.Subscribed, "")},
		{Name: "was deleted by the owner", Body: form("unsubscribe", "a6b5da1054", "data[action]", "delete")},
		{Name: "left another list", Body: form("unsubscribe", "other")},
		{Name: "another event", Body: form("campaign", "a6b5da1054")},
		{Name: "a try of the address"},
		{Name: "nonsense", Body: "%zz", Refused: usersync.CodeInvalid},
		{Name: "a time that is none", Body: form("unsubscribe", "a6b5da1054", "fired_at", "now"), Refused: usersync.CodeInvalid},
	}
	platform.Receives(t, connector.Config{Credentials: []byte(`{"apiKey":"x-us1"}`), Settings: settings}, "", at, false, calls)

	secret := usersync.NewSecret("mailchimp-webhook-secret")
	signed := calls[0]
	stamp := "1777127400"
	signed.Header = http.Header{"X-Mailchimp-Signature": {"t=" + stamp + ",v1=" + hex.EncodeToString(webhook.MAC(secret, stamp+"."+signed.Body))}}
	platform.Receives(t, connector.Config{Credentials: []byte(`{"webhookSecret":"mailchimp-webhook-secret"}`), Settings: settings}, "", time.Unix(1777127400, 0), true,
		[]connectortest.Called{signed})
}
