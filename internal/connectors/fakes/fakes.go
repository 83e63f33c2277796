// Package fakes lists the fake of every platform.
package fakes

import (
	brevo "usersync/internal/connector/brevo/fake"
	customerio "usersync/internal/connector/customerio/fake"
	"usersync/internal/connector/fakeplatform"
	httpfake "usersync/internal/connector/http/fake"
	hubspot "usersync/internal/connector/hubspot/fake"
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
		httpfake.New(),
	}
}
