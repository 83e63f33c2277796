package mailchimp

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

// inbound is Mailchimp's webhook of an audience. It is a form. Audiences that sign their
// webhooks send X-Mailchimp-Signature; older ones sign nothing, and the secret address
// is what proves them.
var inbound = connector.Inbound{
	Key: "webhookSecret", KeyOptional: true,
	Help: "Audience > Settings > Webhooks > Create new webhook: the address, the events subscribes and unsubscribes, and changes by subscriber and by admin, not by API.",
	Read: readInbound,
}

// firedAt is the form of Mailchimp's times, which are UTC.
const firedAt = "2006-01-02 15:04:05"

func readInbound(cfg connector.Config, call connector.InboundCall) ([]connector.Signal, error) {
	credentials, settings, err := webhook.ReadConfig[Credentials, Settings](cfg)
	if err != nil {
		return nil, err
	}
	if err := verifySignature(credentials.WebhookSecret, call); err != nil {
		return nil, err
	}
	if len(call.Body) == 0 {
		return nil, nil // Mailchimp tries the address when the webhook is made
	}
	form, err := webhook.Form(call)
	if err != nil {
		return nil, err
	}
	status := usersync.Subscribed
	switch form.Get("type") {
	case "":
		return nil, webhook.ErrUnreadable
	case "subscribe":
	case "unsubscribe":
		status = usersync.Unsubscribed
	default:
		return nil, nil
	}
	// Who was deleted by the owner has not said anything.
	if form.Get("data[action]") == "delete" || form.Get("data[list_id]") != settings.ListID {
		return nil, nil
	}
	at, err := time.Parse(firedAt, form.Get("fired_at"))
	if err != nil || form.Get("data[email]") == "" {
		return nil, webhook.ErrUnreadable
	}
	return []connector.Signal{{Email: form.Get("data[email]"), Channel: usersync.ChannelEmail, Status: status, Reason: form.Get("data[reason]"), At: at}}, nil
}

// verifySignature checks t=…,v1=…: the hex of an HMAC over the time, a dot and the body.
func verifySignature(secret usersync.Secret, call connector.InboundCall) error {
	if secret.IsZero() {
		return nil
	}
	var stamp string
	var given [][]byte
	for part := range strings.SplitSeq(call.Header.Get("X-Mailchimp-Signature"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			stamp = value
		case "v1":
			if sum, err := hex.DecodeString(value); err == nil {
				given = append(given, sum)
			}
		}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return webhook.Unverified("it has no X-Mailchimp-Signature.")
	}
	want := webhook.MAC(secret, stamp, ".", string(call.Body))
	for _, sum := range given {
		if webhook.SameMAC(sum, want) {
			return webhook.Fresh(call, time.Unix(seconds, 0))
		}
	}
	return webhook.Unverified("X-Mailchimp-Signature is wrong.")
}
