package klaviyo_test

import (
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

func TestSystemWebhooksTellWhoComesAndWhoLeaves(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 4, 25, 14, 30, 0, 0, time.UTC)
	stamp := at.Format(time.RFC3339)
	sign := func(body string) http.Header {
		sum := webhook.MAC(usersync.NewSecret("klaviyo-webhook-secret"), body+stamp)
		return http.Header{"Klaviyo-Signature": {hex.EncodeToString(sum)}, "Klaviyo-Timestamp": {stamp}, "Klaviyo-Webhook-Id": {"wh_1"}}
	}
	body := `{"data":[
		{"topic":"event:klaviyo.unsubscribed_from_email_marketing","external_id":"e1","payload":{"data":{"type":"event","id":"1","attributes":{"timestamp":1777127000,"datetime":"2026-04-25T14:23:20+00:00"},
			"relationships":{"profile":{"data":{"type":"profile","id":"01GDDKASAP8TKDDA2GRZDSVP4H"}}}},"included":[{"type":"profile","id":"01GDDKASAP8TKDDA2GRZDSVP4H","attributes":{"email":"ada@example.com"}}]}},
		{"topic":"event:klaviyo.unsubscribed_from_sms_marketing","external_id":"e2","payload":{"data":{"attributes":{"timestamp":1777127000},"relationships":{"profile":{"data":{"type":"profile","id":"02"}}}}}},
		{"topic":"event:klaviyo.opened_email","external_id":"e3","payload":{"data":{"attributes":{"timestamp":1777127000},"relationships":{"profile":{"data":{"type":"profile","id":"03"}}}}}}],
		"meta":{"klaviyo_webhook_id":"wh_1","klaviyo_account_id":"Abc","timestamp":"2026-04-25T14:30:00+00:00"}}`
	other := `{"data":[],"meta":{"klaviyo_webhook_id":"wh_2"}}`
	platform.Receives(t, connector.Config{Credentials: []byte(`{"webhookSecret":"klaviyo-webhook-secret"}`)}, "", at, true, []connectortest.Called{
		{Name: "events", Header: sign(body), Body: body, Want: []connector.Signal{
			{Email: "ada@example.com", Remote: "01GDDKASAP8TKDDA2GRZDSVP4H", Channel: usersync.ChannelEmail, Status: usersync.Unsubscribed, Reason: "unsubscribed_from_email_marketing", At: time.Unix(1777127000, 0)},
			{Remote: "02", Channel: usersync.ChannelSMS, Status: usersync.Unsubscribed, Reason: "unsubscribed_from_sms_marketing", At: time.Unix(1777127000, 0)}}},
		{Name: "of another webhook", Header: sign(other), Body: other, Refused: usersync.CodeUnauthorized},
		{Name: "nonsense", Header: sign(`{`), Body: `{`, Refused: usersync.CodeInvalid},
	})
}
