// Package connectors lists every platform there is.
package connectors

import (
	"usersync/internal/connector"
	"usersync/internal/connector/activecampaign"
	"usersync/internal/connector/brevo"
	"usersync/internal/connector/copernica"
	"usersync/internal/connector/customerio"
	httpdest "usersync/internal/connector/http"
	"usersync/internal/connector/hubspot"
	"usersync/internal/connector/klaviyo"
	"usersync/internal/connector/mailchimp"
	"usersync/internal/connector/sendgrid"
)

// Kinds are the platforms, in the order of GET /v1/platforms: THE LIST.
var Kinds = []connector.Kind{
	mailchimp.Kind,
	sendgrid.Kind,
	hubspot.Kind,
	brevo.Kind,
	customerio.Kind,
	klaviyo.Kind,
	activecampaign.Kind,
	copernica.Kind,
	httpdest.Kind,
}

// Find returns the kind with a name.
func Find(name string) (connector.Kind, bool) {
	for _, k := range Kinds {
		if k.Name == name {
			return k, true
		}
	}
	return connector.Kind{}, false
}
