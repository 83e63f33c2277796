package klaviyo

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/ability"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

// inbound is Klaviyo's system webhook. The signature is the hex of an HMAC over the body
// and the timestamp that follows it.
var inbound = connector.Inbound{
	Key:  "webhookSecret",
	Help: "Webhooks (of accounts with Klaviyo's data platform) > Create webhook: the address, a secret key, which goes into the credentials as webhookSecret, and the topics on subscribing, unsubscribing and spam.",
	Read: readInbound,
}

// topics are those that tell what a person wants.
var topics = map[string]struct {
	channel usersync.Channel
	status  usersync.ConsentStatus
}{
	"event:klaviyo.subscribed_to_email_marketing":     {usersync.ChannelEmail, usersync.Subscribed},
	"event:klaviyo.unsubscribed_from_email_marketing": {usersync.ChannelEmail, usersync.Unsubscribed},
	"event:klaviyo.marked_email_as_spam":              {usersync.ChannelEmail, usersync.Unsubscribed},
	"event:klaviyo.subscribed_to_sms_marketing":       {usersync.ChannelSMS, usersync.Subscribed},
	"event:klaviyo.unsubscribed_from_sms_marketing":   {usersync.ChannelSMS, usersync.Unsubscribed},
}

// delivery is what is read of a call.
type delivery struct {
	Data []struct {
		Topic   string `json:"topic"`
		Payload struct {
			Data struct {
				Attributes struct {
					Timestamp int64     `json:"timestamp"`
					At        time.Time `json:"datetime"`
				} `json:"attributes"`
				Relationships struct {
					Profile struct {
						Data resource `json:"data"`
					} `json:"profile"`
				} `json:"relationships"`
			} `json:"data"`
			Included []struct {
				resource
				Attributes struct {
					Email string `json:"email"`
				} `json:"attributes"`
			} `json:"included"`
		} `json:"payload"`
	} `json:"data"`
	Meta struct {
		Webhook string `json:"klaviyo_webhook_id"`
	} `json:"meta"`
}

func readInbound(cfg connector.Config, call connector.InboundCall) ([]connector.Signal, error) {
	credentials, _, err := webhook.ReadConfig[Credentials, Settings](cfg)
	if err != nil {
		return nil, err
	}
	stamp := call.Header.Get("Klaviyo-Timestamp")
	given, err := hex.DecodeString(call.Header.Get("Klaviyo-Signature"))
	if err != nil || !webhook.SameMAC(given, webhook.MAC(credentials.WebhookSecret, string(call.Body), stamp)) {
		return nil, webhook.Unverified("Klaviyo-Signature is wrong.")
	}
	if at, ok := signedAt(stamp); ok {
		if err := webhook.Fresh(call, at); err != nil {
			return nil, err
		}
	}
	var d delivery
	if err := json.Unmarshal(call.Body, &d); err != nil {
		return nil, webhook.ErrUnreadable
	}
	if id := call.Header.Get("Klaviyo-Webhook-Id"); id != d.Meta.Webhook {
		return nil, webhook.Unverified("Klaviyo-Webhook-Id is not that of the body.")
	}
	return d.signals(), nil
}

func (d delivery) signals() (out []connector.Signal) {
	for _, e := range d.Data {
		meaning, tells := topics[e.Topic]
		profile := e.Payload.Data.Relationships.Profile.Data.ID
		if !tells || profile == "" {
			continue
		}
		s := connector.Signal{Remote: profile, Channel: meaning.channel, Status: meaning.status, At: e.Payload.Data.Attributes.At,
			Reason: strings.TrimPrefix(e.Topic, "event:klaviyo.")}
		if s.At.IsZero() {
			s.At = time.Unix(e.Payload.Data.Attributes.Timestamp, 0)
		}
		for _, one := range e.Payload.Included {
			if one.Type == "profile" && one.ID == profile {
				s.Email = one.Attributes.Email
			}
		}
		out = append(out, s)
	}
	return out
}

// signedAt reads a time that Klaviyo may write in several forms.
func signedAt(text string) (time.Time, bool) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0), true
	}
	for _, layout := range []string{time.RFC3339, time.RFC1123, time.RFC1123Z} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

var _ ability.Resolver = (*klaviyo)(nil)

// Resolve reads the addresses of profiles.
func (k *klaviyo) Resolve(ctx context.Context, remotes []string) (map[string]string, error) {
	out := map[string]string{}
	for some := range slices.Chunk(remotes, page) {
		ids := make([]string, len(some))
		for i, id := range some {
			ids[i] = quoted(id)
		}
		query := url.Values{"filter": {"any(id,[" + strings.Join(ids, ",") + "])"}, "fields[profile]": {"email"}, "page[size]": {"100"}}
		var answer struct {
			Data []person `json:"data"`
		}
		if _, err := k.call(ctx, http.MethodGet, "/api/profiles?"+query.Encode(), nil, &answer); err != nil {
			return nil, fmt.Errorf("read the addresses of profiles: %w", err)
		}
		for _, one := range answer.Data {
			out[one.ID] = one.Attributes.Email
		}
	}
	return out, nil
}
