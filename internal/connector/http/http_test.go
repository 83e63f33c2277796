package httpdest_test

import (
	"testing"

	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
	httpdest "usersync/internal/connector/http"
	"usersync/internal/connector/http/fake"
)

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, httpdest.Kind, func() fakeplatform.Platform { return fake.New() },
		connectortest.Options{OneCallEach: true, StatusOnly: true})
}
