// Package fakes lists the fake of every platform.
package fakes

import (
	"usersync/internal/connector/fakeplatform"
	httpfake "usersync/internal/connector/http/fake"
)

// New returns a fake of each platform: THE LIST.
func New() []fakeplatform.Platform {
	return []fakeplatform.Platform{
		httpfake.New(),
	}
}
