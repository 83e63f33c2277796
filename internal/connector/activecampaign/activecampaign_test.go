package activecampaign_test

import (
	"testing"

	"usersync/internal/connector/activecampaign"
	"usersync/internal/connector/activecampaign/fake"
	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/fakeplatform"
)

func TestConnector(t *testing.T) {
	connectortest.Run(t, activecampaign.Kind, func() fakeplatform.Platform { return fake.New() },
		connectortest.Options{OneCallEach: true, JobOf: 11})
}
