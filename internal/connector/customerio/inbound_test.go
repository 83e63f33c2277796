package customerio_test

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

func TestReportingWebhooksTellWhoComesAndWhoLeaves(t *testing.T) {
	t.Parallel()
	const stamp = "1777127400"
	sign := func(body string) http.Header {
		sum := webhook.MAC(usersync.NewSecret("signing-key"), "v0:"+stamp+":"+body)
		return http.Header{"X-Cio-Signature": {hex.EncodeToString(sum)}, "X-Cio-Timestamp": {stamp}}
	}
	call := func(name, body string, want ...connector.Signal) connectortest.Called {
		return connectortest.Called{Name: name, Header: sign(body), Body: body, Want: want}
	}
	told := func(s connector.Signal, status usersync.ConsentStatus, reason string) connector.Signal {
		s.Channel, s.Status, s.Reason, s.At = usersync.ChannelEmail, status, reason, time.Unix(1777127000, 0)
		return s
	}
	ada := connector.Signal{Email: "ada@example.com"}
	byAddress := connector.Config{Credentials: []byte(`{"webhookKey":"signing-key"}`), Settings: []byte(`{}`)}
	platform.Receives(t, byAddress, "", time.Unix(1777127400, 0), true, []connectortest.Called{
		call("left", `{"object_type":"customer","metric":"unsubscribed","timestamp":1777127000,"data":{"email_address":"ada@example.com","identifiers":{"id":"x","cio_id":"d9"}}}`,
			told(ada, usersync.Unsubscribed, "customer_unsubscribed")),
		call("came back", `{"object_type":"customer","metric":"subscribed","timestamp":1777127000,"data":{"identifiers":{"email":"ada@example.com"}}}`,
			told(ada, usersync.Subscribed, "customer_subscribed")),
		call("complained", `{"object_type":"email","metric":"spammed","timestamp":1777127000,"data":{"recipient":"ada@example.com"}}`, told(ada, usersync.Unsubscribed, "email_spammed")),
		call("opened", `{"object_type":"email","metric":"opened","timestamp":1777127000,"data":{"recipient":"ada@example.com"}}`),
		call("nobody", `{"object_type":"customer","metric":"unsubscribed","timestamp":1777127000,"data":{"identifiers":{"id":"x"}}}`),
		{Name: "nonsense", Header: sign("["), Body: "[", Refused: usersync.CodeInvalid},
	})
	byID := byAddress
	byID.Settings = []byte(`{"identifyBy":"id"}`)
	platform.Receives(t, byID, "", time.Unix(1777127400, 0), true, []connectortest.Called{
		call("left", `{"object_type":"customer","metric":"unsubscribed","timestamp":1777127000,"data":{"identifiers":{"id":"user_1"}}}`,
			told(connector.Signal{UserID: "user_1"}, usersync.Unsubscribed, "customer_unsubscribed")),
	})
}
