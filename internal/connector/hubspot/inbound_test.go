package hubspot_test

import (
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

func TestWebhooksSignedByVersion3TellWhoOptedOut(t *testing.T) {
	t.Parallel()
	const url, stamp = "https://usersync.example.com/v1/connections/con_1/inbound/secret", "1777127400000"
	at := time.UnixMilli(1777127400000)
	secret := usersync.NewSecret("client-secret-of-the-app")
	sign := func(body string) http.Header {
		sum := webhook.MAC(secret, "POST"+url+body+stamp)
		return http.Header{"X-Hubspot-Signature-V3": {base64.StdEncoding.EncodeToString(sum)}, "X-Hubspot-Request-Timestamp": {stamp}}
	}
	body := `[{"eventId":1,"subscriptionType":"contact.propertyChange","objectId":1246965,"propertyName":"hs_email_optout","propertyValue":"true","occurredAt":1777127000123},
		{"eventId":2,"subscriptionType":"contact.propertyChange","objectId":7,"propertyName":"lifecyclestage","propertyValue":"lead","occurredAt":1777127000123},
		{"eventId":3,"subscriptionType":"object.propertyChange","objectId":8,"propertyName":"hs_email_optout","propertyValue":"","occurredAt":1777127000123}]`
	told := func(remote string, status usersync.ConsentStatus) connector.Signal {
		return connector.Signal{Remote: remote, Channel: usersync.ChannelEmail, Status: status, Reason: "hs_email_optout", At: time.UnixMilli(1777127000123)}
	}
	platform.Receives(t, connector.Config{Credentials: []byte(`{"clientSecret":"client-secret-of-the-app"}`)}, url, at, true, []connectortest.Called{
		{Name: "changes", Header: sign(body), Body: body, Want: []connector.Signal{told("1246965", usersync.Unsubscribed), told("8", usersync.Subscribed)}},
		{Name: "nonsense", Header: sign(`x`), Body: `x`, Refused: usersync.CodeInvalid},
	})
}
