package copernica_test

import (
	"testing"

	"usersync/internal/connector/connectortest"
	"usersync/internal/connector/copernica"
	"usersync/internal/connector/copernica/fake"
	"usersync/internal/connector/fakeplatform"
)

func TestConnector(t *testing.T) {
	connectortest.Run(t, copernica.Kind, func() fakeplatform.Platform { return fake.New() },
		connectortest.Options{OneCallEach: true})
}
