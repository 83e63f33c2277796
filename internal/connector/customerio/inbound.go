package customerio

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

// inbound is Customer.io's reporting webhook. The signature is the hex of an HMAC over
// the version, the time and the body, joined by colons.
var inbound = connector.Inbound{
	Key:  "webhookKey",
	Help: "Data & Integrations > Reporting Webhooks: the address and the events customer subscribed, customer unsubscribed, email unsubscribed and email spammed; its signing key goes into the credentials as webhookKey.",
	Read: readInbound,
}

// meanings are the metrics that tell what a person wants.
var meanings = map[string]usersync.ConsentStatus{
	"subscribed": usersync.Subscribed, "unsubscribed": usersync.Unsubscribed, "spammed": usersync.Unsubscribed,
}

// report is what is read of a call.
type report struct {
	Type   string `json:"object_type"`
	Metric string `json:"metric"`
	At     int64  `json:"timestamp"`
	Data   struct {
		Recipient   string `json:"recipient"`
		Address     string `json:"email_address"`
		Identifiers struct {
			ID    string `json:"id"`
			Email string `json:"email"`
		} `json:"identifiers"`
	} `json:"data"`
}

func readInbound(cfg connector.Config, call connector.InboundCall) ([]connector.Signal, error) {
	credentials, settings, err := webhook.ReadConfig[Credentials, Settings](cfg)
	if err != nil {
		return nil, err
	}
	stamp := call.Header.Get("X-Cio-Timestamp")
	given, err := hex.DecodeString(call.Header.Get("X-Cio-Signature"))
	if err != nil || !webhook.SameMAC(given, webhook.MAC(credentials.WebhookKey, "v0:", stamp, ":", string(call.Body))) {
		return nil, webhook.Unverified("X-CIO-Signature is wrong.")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return nil, webhook.Unverified("X-CIO-Timestamp is no number.")
	}
	if err := webhook.Fresh(call, time.Unix(seconds, 0)); err != nil {
		return nil, err
	}
	var r report
	if err := json.Unmarshal(call.Body, &r); err != nil {
		return nil, webhook.ErrUnreadable
	}
	status, tells := meanings[r.Metric]
	if !tells || r.Type != "customer" && r.Type != "email" {
		return nil, nil
	}
	return r.signal(status, settings), nil
}

// signal names the person by address where there is one, else by our id.
func (r report) signal(status usersync.ConsentStatus, settings Settings) []connector.Signal {
	s := connector.Signal{Channel: usersync.ChannelEmail, Status: status, Reason: r.Type + "_" + r.Metric, At: time.Unix(r.At, 0)}
	for _, address := range []string{r.Data.Identifiers.Email, r.Data.Address, r.Data.Recipient} {
		if s.Email == "" {
			s.Email = address
		}
	}
	if settings.IdentifyBy == byID {
		s.UserID = r.Data.Identifiers.ID
	}
	if s.Email == "" && s.UserID == "" {
		return nil
	}
	return []connector.Signal{s}
}
