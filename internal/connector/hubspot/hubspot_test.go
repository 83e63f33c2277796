package hubspot_test

import (
	"testing"

	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	"usersync/internal/connector/hubspot"
	"usersync/internal/connector/hubspot/fake"
)

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, hubspot.Kind, func() fakeplatform.Platform { return fake.New() })
}
