package sendgrid

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strconv"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

// inbound is SendGrid's Event Webhook with a signature: ECDSA over P-256 and SHA-256, of
// the timestamp and the body. The public vector of SendGrid's own libraries is in the
// tests.
var inbound = connector.Inbound{
	Key:  "webhookKey",
	Help: "Settings > Mail Settings > Event Webhooks: the address, the events Unsubscribed, Group Unsubscribes, Group Resubscribes and Spam Reports, and Signature Verification on; its verification key goes into the credentials as webhookKey.",
	Read: readInbound,
}

// The headers of a signed call.
const (
	signatureHeader = "X-Twilio-Email-Event-Webhook-Signature"
	timestampHeader = "X-Twilio-Email-Event-Webhook-Timestamp"
)

// meanings are the events that tell what a person wants.
var meanings = map[string]usersync.ConsentStatus{
	"unsubscribe": usersync.Unsubscribed, "group_unsubscribe": usersync.Unsubscribed, "spamreport": usersync.Unsubscribed,
	"group_resubscribe": usersync.Subscribed,
}

// mailEvent is what is read of an event.
type mailEvent struct {
	Email string `json:"email"`
	Event string `json:"event"`
	At    int64  `json:"timestamp"`
}

func readInbound(cfg connector.Config, call connector.InboundCall) ([]connector.Signal, error) {
	credentials, _, err := webhook.ReadConfig[Credentials, Settings](cfg)
	if err != nil {
		return nil, err
	}
	if err := verifyEvent(credentials.WebhookKey, call); err != nil {
		return nil, err
	}
	list, err := webhook.ReadList[mailEvent](call.Body)
	if err != nil {
		return nil, err
	}
	var out []connector.Signal
	for _, e := range list {
		if status, tells := meanings[e.Event]; tells && e.Email != "" {
			out = append(out, connector.Signal{Email: e.Email, Channel: usersync.ChannelEmail, Status: status, Reason: e.Event, At: time.Unix(e.At, 0)})
		}
	}
	return out, nil
}

func verifyEvent(key string, call connector.InboundCall) error {
	public, err := publicKey(key)
	if err != nil {
		return webhook.Unverified("webhookKey is no verification key of SendGrid.")
	}
	stamp := call.Header.Get(timestampHeader)
	signature, err := base64.StdEncoding.DecodeString(call.Header.Get(signatureHeader))
	if err != nil || stamp == "" {
		return webhook.Unverified("it has no signature.")
	}
	sum := sha256.Sum256(append([]byte(stamp), call.Body...))
	if !ecdsa.VerifyASN1(public, sum[:], signature) {
		return webhook.Unverified("its signature is wrong.")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return webhook.Unverified("its timestamp is no number.")
	}
	return webhook.Fresh(call, time.Unix(seconds, 0))
}

// publicKey reads the base64 of a key in the form that SendGrid shows.
func publicKey(text string) (*ecdsa.PublicKey, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The key is not base64.")
	}
	parsed, err := x509.ParsePKIXPublicKey(raw)
	key, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok {
		return nil, usersync.Errorf(usersync.CodeInvalid, "The key is no ECDSA key.")
	}
	return key, nil
}

// Validate refuses a verification key that is none.
func (c Credentials) Validate() []usersync.FieldError {
	if c.WebhookKey == "" {
		return nil
	}
	if _, err := publicKey(c.WebhookKey); err != nil {
		return []usersync.FieldError{{Field: "webhookKey", Message: "must be the verification key that SendGrid shows"}}
	}
	return nil
}
