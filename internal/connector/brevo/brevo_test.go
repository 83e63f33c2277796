package brevo_test

import (
	"testing"

	"usersync/internal/connector/brevo"
	"usersync/internal/connector/brevo/fake"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
)

func TestConnector(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, brevo.Kind, func() fakeplatform.Platform { return fake.New() })
}
