// Package connectors lists all platforms.
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

// Platforms are the platforms, in the order of GET /v1/platforms: THE LIST.
var Platforms = []connector.Platform{
	mailchimp.Platform,
	sendgrid.Platform,
	hubspot.Platform,
	brevo.Platform,
	customerio.Platform,
	klaviyo.Platform,
	activecampaign.Platform,
	copernica.Platform,
	httpdest.Platform,
}

// Find returns the platform with a name.
func Find(name string) (connector.Platform, bool) {
	for _, k := range Platforms {
		if k.Name == name {
			return k, true
		}
	}
	return connector.Platform{}, false
}
