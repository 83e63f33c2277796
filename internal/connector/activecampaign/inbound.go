package activecampaign

import (
	"time"

	"usersync/internal/connector"
	"usersync/internal/connector/webhook"
	"usersync/internal/usersync"
)

// inbound is ActiveCampaign's webhook, a form. ActiveCampaign signs nothing: the secret
// address is what proves a call.
var inbound = connector.Inbound{
	Help: "Settings > Developer > Manage webhooks > Add: the address, the types Subscribe and Unsubscribe, and the sources public, admin and system, not api.",
	Read: readInbound,
}

func readInbound(cfg connector.Config, call connector.InboundCall) ([]connector.Signal, error) {
	_, settings, err := webhook.ReadConfig[Credentials, Settings](cfg)
	if err != nil {
		return nil, err
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
	// List 0 stands for all.
	if list := form.Get("list"); list != "" && list != "0" && settings.List != "" && list != settings.List {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, form.Get("date_time"))
	if err != nil || form.Get("contact[email]") == "" {
		return nil, webhook.ErrUnreadable
	}
	return []connector.Signal{{Email: form.Get("contact[email]"), Channel: usersync.ChannelEmail, Status: status,
		Reason: form.Get("unsubscribe[reason]"), At: at}}, nil
}
