package customerio_test

import (
	"testing"

	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/customerio"
	"usersync/internal/connector/customerio/fake"
	"usersync/internal/connector/fakeplatform"
)

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, customerio.Kind, func() fakeplatform.Platform { return fake.New() })
}
