// Package fakes lists the fake of every platform.
package fakes

import (
	"usersync/internal/connector/fakeplatform"
	httpfake "usersync/internal/connector/http/fake"
	mailchimp "usersync/internal/connector/mailchimp/fake"
	sendgrid "usersync/internal/connector/sendgrid/fake"
)

// New returns a fake of each platform: THE LIST.
func New() []fakeplatform.Platform {
	return []fakeplatform.Platform{
		mailchimp.New(),
		sendgrid.New(),
		httpfake.New(),
	}
}
