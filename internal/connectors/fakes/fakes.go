// Package fakes lists the fake of every platform.
package fakes

import (
	activecampaign "usersync/internal/connector/activecampaign/fake"
	brevo "usersync/internal/connector/brevo/fake"
	copernica "usersync/internal/connector/copernica/fake"
	customerio "usersync/internal/connector/customerio/fake"
	"usersync/internal/connector/fakeplatform"
	httpfake "usersync/internal/connector/http/fake"
	hubspot "usersync/internal/connector/hubspot/fake"
	klaviyo "usersync/internal/connector/klaviyo/fake"
	mailchimp "usersync/internal/connector/mailchimp/fake"
	sendgrid "usersync/internal/connector/sendgrid/fake"
)

// New returns a fake of each platform: THE LIST.
func New() []fakeplatform.Platform {
	return []fakeplatform.Platform{
		mailchimp.New(),
		sendgrid.New(),
		hubspot.New(),
		brevo.New(),
		customerio.New(),
		klaviyo.New(),
		activecampaign.New(),
		copernica.New(),
		httpfake.New(),
	}
}
