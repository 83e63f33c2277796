package hubspot

import (
	"context"
	"encoding/base64"
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

// inbound is a webhook subscription of a HubSpot app. Version 3 of the signature covers
// method, address, body and time.
var inbound = connector.Inbound{
	Key:  "clientSecret",
	Help: "In the private app: Webhooks > target URL, the address, and a subscription to contact.propertyChange of hs_email_optout; the app's client secret goes into the credentials as clientSecret.",
	Read: readInbound,
}

// optedOut is the property that says that a person wants no e-mail at all.
const optedOut = "hs_email_optout"

// change is what is read of an event.
type change struct {
	Type     string      `json:"subscriptionType"`
	Object   json.Number `json:"objectId"`
	Property string      `json:"propertyName"`
	Value    string      `json:"propertyValue"`
	At       int64       `json:"occurredAt"` // milliseconds
}

func readInbound(cfg connector.Config, call connector.InboundCall) ([]connector.Signal, error) {
	credentials, _, err := webhook.ReadConfig[Credentials, Settings](cfg)
	if err != nil {
		return nil, err
	}
	if err := verifyV3(credentials.ClientSecret, call); err != nil {
		return nil, err
	}
	list, err := webhook.ReadList[change](call.Body)
	if err != nil {
		return nil, err
	}
	var out []connector.Signal
	for _, c := range list {
		if !strings.HasSuffix(c.Type, ".propertyChange") || c.Property != optedOut || c.Object == "" {
			continue
		}
		status := usersync.Subscribed
		if c.Value == "true" {
			status = usersync.Unsubscribed
		}
		out = append(out, connector.Signal{Remote: c.Object.String(), Channel: usersync.ChannelEmail, Status: status, Reason: optedOut, At: time.UnixMilli(c.At)})
	}
	return out, nil
}

func verifyV3(secret usersync.Secret, call connector.InboundCall) error {
	stamp := call.Header.Get("X-Hubspot-Request-Timestamp")
	given, err := base64.StdEncoding.DecodeString(call.Header.Get("X-Hubspot-Signature-V3"))
	if err != nil || len(given) == 0 {
		return webhook.Unverified("it has no X-HubSpot-Signature-v3.")
	}
	signed := func(address string) bool {
		return webhook.SameMAC(given, webhook.MAC(secret, call.Method, address, string(call.Body), stamp))
	}
	if !slices.ContainsFunc(call.URLs, signed) {
		return webhook.Unverified("X-HubSpot-Signature-v3 is wrong.")
	}
	ms, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return webhook.Unverified("its timestamp is no number.")
	}
	return webhook.Fresh(call, time.UnixMilli(ms))
}

var _ ability.Resolver = (*hubspot)(nil)

// Resolve reads the addresses of contacts.
func (h *hubspot) Resolve(ctx context.Context, remotes []string) (map[string]string, error) {
	out := map[string]string{}
	for some := range slices.Chunk(remotes, maxBatch) {
		type input struct {
			ID string `json:"id"`
		}
		body := struct {
			Properties []string `json:"properties"`
			Inputs     []input  `json:"inputs"`
		}{Properties: []string{byEmail}}
		for _, id := range some {
			body.Inputs = append(body.Inputs, input{id})
		}
		var answer struct {
			Results []struct {
				ID         looseID           `json:"id"`
				Properties map[string]string `json:"properties"`
			} `json:"results"`
		}
		r, err := h.call(ctx, http.MethodPost, h.path("objects", "/contacts/batch/read?"+url.Values{"archived": {"false"}}.Encode()), body, &answer)
		if connector.NotFound(r) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the addresses of contacts: %w", err)
		}
		for _, one := range answer.Results {
			if address := one.Properties[byEmail]; address != "" {
				out[string(one.ID)] = address
			}
		}
	}
	return out, nil
}
