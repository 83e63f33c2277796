// Package fakes lists the fake of every platform.
package fakes

import (
	activecampaign "usersync/internal/connector/activecampaign/fake"
	copernica "usersync/internal/connector/copernica/fake"
	"usersync/internal/connector/fakeplatform"
	httpfake "usersync/internal/connector/http/fake"
	klaviyo "usersync/internal/connector/klaviyo/fake"
)

// New returns a fake of each platform: THE LIST.
func New() []fakeplatform.Platform {
	return []fakeplatform.Platform{
		copernica.New(),
		klaviyo.New(),
		activecampaign.New(),
		httpfake.New(),
	}
}
