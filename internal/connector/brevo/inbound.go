package brevo

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

// inbound is Brevo's marketing webhook. Brevo signs nothing. It can be given a token,
// which it sends as Authorization: Bearer.
var inbound = connector.Inbound{
	Key: "webhookToken", KeyOptional: true,
	Help: "Settings > Webhooks > marketing webhook: the address, the events Unsubscribed and Complaint, and a token as authentication, which goes into the credentials as webhookToken.",
	Read: readInbound,
}

// told is what is read of an event. Some lists come as one number.
type told struct {
	Event string          `json:"event"`
	Email string          `json:"email"`
	Lists json.RawMessage `json:"list_id"`
	At    int64           `json:"ts_event"`
	Sent  int64           `json:"ts"`
}

func readInbound(cfg connector.Config, call connector.InboundCall) ([]connector.Signal, error) {
	credentials, settings, err := webhook.ReadConfig[Credentials, Settings](cfg)
	if err != nil {
		return nil, err
	}
	if token, ok := strings.CutPrefix(call.Header.Get("Authorization"), "Bearer "); !credentials.WebhookToken.IsZero() &&
		(!ok || !webhook.SameMAC([]byte(strings.TrimSpace(token)), []byte(credentials.WebhookToken.Reveal()))) {
		return nil, webhook.Unverified("its token is wrong.")
	}
	list, err := webhook.ReadList[told](call.Body)
	if err != nil {
		return nil, err
	}
	var out []connector.Signal
	for _, e := range list {
		if e.Email == "" || !slices.Contains([]string{"unsubscribe", "unsubscribed", "spam"}, e.Event) || !e.about(settings.List) {
			continue
		}
		at := e.At
		if at == 0 {
			at = e.Sent
		}
		out = append(out, connector.Signal{Email: e.Email, Channel: usersync.ChannelEmail, Status: usersync.Unsubscribed, Reason: e.Event, At: time.Unix(at, 0)})
	}
	return out, nil
}

// about reports whether an event is about a list. One that names none is about all.
func (e told) about(list string) bool {
	names := strings.FieldsFunc(string(e.Lists), func(r rune) bool { return r < '0' || r > '9' })
	return len(names) == 0 || slices.Contains(names, list)
}
