package klaviyo_test

import (
	"testing"

	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/klaviyo"
	"usersync/internal/connector/klaviyo/fake"
)

func TestConnector(t *testing.T) {
	connectortest.Run(t, klaviyo.Kind, func() fakeplatform.Platform { return fake.New() },
		connectortest.Options{JobOf: 6})
}
