package sendgrid_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/connectortest"
	"usersync/internal/usersync"
)

func TestSignedEventsTellWhoLeaves(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	const stamp = "1777127400"
	at := time.Unix(1777127400, 0)
	sign := func(body string) http.Header {
		sum := sha256.Sum256([]byte(stamp + body))
		signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return http.Header{"X-Twilio-Email-Event-Webhook-Signature": {base64.StdEncoding.EncodeToString(signature)}, "X-Twilio-Email-Event-Webhook-Timestamp": {stamp}}
	}
	body := `[{"email":"ada@example.com","timestamp":1777127000,"event":"unsubscribe"},{"email":"bob@example.com","timestamp":1777127001,"event":"open"},
		{"email":"cy@example.com","timestamp":1777127002,"event":"spamreport"},{"email":"ada@example.com","timestamp":1777127003,"event":"group_resubscribe","asm_group_id":7}]`
	told := func(email, event string, at int64, status usersync.ConsentStatus) connector.Signal {
		return connector.Signal{Email: email, Channel: usersync.ChannelEmail, Status: status, Reason: event, At: time.Unix(at, 0)}
	}
	cfg := connector.Config{Credentials: []byte(`{"webhookKey":"` + base64.StdEncoding.EncodeToString(public) + `"}`)}
	platform.Receives(t, cfg, "", at, true, []connectortest.Called{
		{Name: "events", Header: sign(body), Body: body, Want: []connector.Signal{
			told("ada@example.com", "unsubscribe", 1777127000, usersync.Unsubscribed), told("cy@example.com", "spamreport", 1777127002, usersync.Unsubscribed),
			told("ada@example.com", "group_resubscribe", 1777127003, usersync.Subscribed)}},
		{Name: "nonsense", Header: sign(`[{`), Body: `[{`, Refused: usersync.CodeInvalid},
	})
	platform.Receives(t, connector.Config{Credentials: []byte(`{}`)}, "", at, false, []connectortest.Called{
		{Name: "without a key", Header: sign(body), Body: body, Refused: usersync.CodeUnauthorized}})
}
